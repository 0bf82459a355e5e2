import AgentShield
import ArgumentParser
import Foundation

/// The planner agent asks for one thing, with an access token beside its certificate.
struct Ask: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Ask an agent for one thing with an access token.",
        discussion: "Ends with code 0 if the answer is 200, otherwise with 1.")

    @Option(help: "What to ask, https://HOST:PORT/PATH.") var url: String
    @Option(help: "The SPIFFE ID that the server has to prove.", transform: parseID) var server: SPIFFEID
    @Option(help: "The issuer of access tokens, https://HOST/oauth2.") var issuer: String?
    @Option(help: "What the token is for.") var resource: String?
    @Option(help: "A scope to ask for; repeat it for more.") var scope: [String] = []
    @Option(help: "File to leave the token in, for the demonstration of a theft.") var saveToken: String?
    @Option(help: "File with the token to show, instead of asking for one.") var tokenFile: String?
    @Option(help: "Seconds to wait for an identity.") var wait = 30

    func validate() throws {
        guard (issuer == nil) != (tokenFile == nil) else {
            throw ValidationError("either --issuer or --token-file has to be there")
        }
    }

    func run() async throws {
        try await withIdentity(seconds: wait) { identity, own in
            Output.line("asking as \(own.id)")
            let client = AgentHTTPClient(identity: identity, allow: .ids([server]))
            let response: AgentHTTPResponse
            if let issuer {
                let tokens = try AgentTokenSource(identity: identity, issuer: issuer, resource: resource, scopes: scope)
                let token = try await tokens.token()
                if let saveToken { try save(token.value, to: saveToken) }
                response = try await client.execute(AgentHTTPRequest(url: url), with: tokens)
            } else {
                var request = AgentHTTPRequest(url: url)
                request.headers.add(name: "Authorization", value: "Bearer \(try stolenToken())")
                response = try await client.execute(request)
            }
            let body = String(buffer: try await response.body.collect(upTo: 65_536))
            let said = response.status == .ok ? body : Self.error(response.headers["WWW-Authenticate"])
            Output.line("status \(response.status.code)  \(said)")
            if response.status != .ok { throw Failure("the agent did not answer with 200") }
        }
    }

    private func stolenToken() throws -> String {
        guard let tokenFile, let text = try? String(contentsOfFile: tokenFile, encoding: .utf8) else {
            throw Failure("the token cannot be read")
        }
        return text
    }

    private func save(_ token: String, to path: String) throws {
        guard
            FileManager.default.createFile(
                atPath: path, contents: Data(token.utf8), attributes: [.posixPermissions: 0o600])
        else { throw Failure("cannot write `\(path)`") }
    }

    /// The standard's code out of the challenges.
    private static func error(_ challenges: [String]) -> String {
        for challenge in challenges {
            if let mark = challenge.range(of: "error=\"") {
                return String(challenge[mark.upperBound...].prefix { $0 != "\"" })
            }
        }
        return "no token"
    }
}
