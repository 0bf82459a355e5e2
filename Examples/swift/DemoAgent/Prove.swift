import AgentShield
import ArgumentParser

/// The planner agent asks somebody behind a gateway, by a request that proves itself.
struct Prove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Send one request that proves whose it is wherever TLS ends.",
        discussion: "Ends with code 0 if the answer is 200, otherwise with 1.")

    /// How the request proves itself.
    enum Kind: String, ExpressibleByArgument, CaseIterable {
        case signature, token
    }

    @Option(help: "What to send to, https://HOST:PORT/PATH.") var url: String
    @Option(help: "The SPIFFE ID that the gateway has to prove by TLS.", transform: parseID) var server: SPIFFEID
    @Option(help: "The SPIFFE ID that has to sign the answer.", transform: parseID) var signer: SPIFFEID?
    @Option(help: "How to prove the request: signature or token.") var kind = Kind.signature
    @Option(help: "Whom the request is for, by name; its URL without it.") var audience: String?
    @Option(help: "JSON to send with POST; a GET without it.") var json: String?
    @Option(help: "Seconds to wait for an identity.") var wait = 30

    func run() async throws {
        try await withIdentity(seconds: wait) { identity, own in
            Output.line("asking as \(own.id)")
            var settings = AgentProofSource.Settings()
            settings.kind = kind == .signature ? .signature : .token
            settings.audience = audience
            settings.signedResponseFrom = signer.map { .ids([$0]) }
            let client = AgentHTTPClient(identity: identity, allow: .ids([server]))
            let request = json.map { AgentHTTPRequest.post(url, json: $0) } ?? AgentHTTPRequest(url: url)
            let response = try await client.execute(
                request, proving: AgentProofSource(identity: identity, settings: settings))
            let body = String(buffer: try await response.body.collect(upTo: 65_536))
            let signed = response.signer.map { "signed by \($0)" } ?? "not signed"
            Output.line("status \(response.status.code)  \(signed)  \(body)")
            if response.status != .ok { throw Failure("the agent did not answer with 200") }
        }
    }
}
