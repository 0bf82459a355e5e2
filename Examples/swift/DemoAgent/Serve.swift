import AgentShield
import ArgumentParser
import Glibc
import Hummingbird
import Logging
import NIOCore
import ServiceLifecycle
import UnixSignals

/// The weather agent: proves itself to every caller and decides by the caller's SPIFFE ID.
struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Serve the weather to the agents that may ask.")

    @Option(help: "Address and port to listen on; port 0 takes a free one.") var listen = "127.0.0.1:0"
    @Option(help: "A SPIFFE ID that may ask; repeat it for more.", transform: parseID) var allow: [SPIFFEID] = []
    @Option(help: "File to write the port to when the agent serves.") var portFile: String?
    @Option(help: "Seconds to wait for an identity.") var wait = 30
    @Option(help: "Issuer of access tokens; with it /forecast wants one.") var issuer: String?
    @Option(help: "What the agent is called in access tokens.") var audience = "api://weather"
    @Option(help: "The scope that a forecast needs.") var scope = "Forecast.Read"

    @Option(help: "A name of the agent in proofs of requests; with it /proved wants them. Repeat it for more.")
    var proofAudience: [String] = []
    @Flag(help: "Take proof tokens at /proved, not only signatures.") var proofTokens = false

    func run() async throws {
        let (host, port) = try address()
        try await withIdentity(seconds: wait) { identity, own in
            // The handshake admits every agent of the trust domains concerned; the route decides by ID and says so.
            let rule = PeerRule.trustDomains(Set(allow.map(\.trustDomain)).union([own.id.trustDomain]))
            let app = Application(
                router: try router(identity, own.id), server: .agentShield(identity: identity, allow: rule),
                configuration: ApplicationConfiguration(address: .hostname(host, port: port)),
                onServerRunning: { announce($0, host: host, as: own.id) },
                logger: AgentIdentity.silentLogger)
            let services = ServiceGroup(
                services: [app], gracefulShutdownSignals: [.sigterm, .sigint], logger: AgentIdentity.silentLogger)
            do {
                try await services.run()
            } catch let error as IOError {
                throw Failure("cannot listen on `\(listen)`: \(error)")
            }
        }
    }

    private func announce(_ channel: any Channel, host: String, as own: SPIFFEID) {
        guard let port = channel.localAddress?.port else { return }
        Output.line("serving https://\(host):\(port)/task as \(own)")
        if let portFile, !writeAtomically("\(port)\n", to: portFile) {
            Output.error("cannot write `\(portFile)`")
        }
    }

    private func router(_ identity: AgentIdentity, _ own: SPIFFEID) throws -> Router<BasicRequestContext> {
        let router = Router()
        let allowed = Set(allow)
        let decide: @Sendable (Request, BasicRequestContext) async throws -> Response = { _, context in
            guard let caller = context.agentCaller else { throw HTTPError(.unauthorized) }
            let isAllowed = allowed.contains(caller.id)
            let decision = isAllowed ? "allow" : "deny"
            Output.line("request from \(caller.id) serial \(caller.serialNumber.prefix(8)): \(decision)")
            // A SPIFFE ID holds nothing that JSON would escape.
            let forecast = isAllowed ? #","forecast":"sunny, 21 degrees""# : ""
            let json = #"{"agent":"\#(own)","caller":"\#(caller.id)","decision":"\#(decision)"\#(forecast)}"#
            return Response(
                status: isAllowed ? .ok : .forbidden, headers: [.contentType: "application/json"],
                body: ResponseBody(byteBuffer: ByteBuffer(string: json)))
        }
        router.get("task", use: decide)
        router.post("task", use: decide)
        if let issuer { try addForecast(to: router, identity, issuer) }
        if !proofAudience.isEmpty { try addProved(to: router, identity) }
        return router
    }

    /// The route that asks what the caller may do, and not only who it is.
    private func addForecast(
        to router: Router<BasicRequestContext>, _ identity: AgentIdentity, _ issuer: String
    ) throws {
        let verifier = try AgentTokenVerifier(
            identity: identity, AgentTokenVerifier.Settings(issuer: issuer, audiences: [audience]))
        verifier.registerMetadata(on: router)
        router.group("forecast").add(middleware: AccessTokenMiddleware(verifier, scopes: [scope])).get { _, _ in
            guard let caller = AgentTokenCaller.current else { throw HTTPError(.unauthorized) }
            // Neither a SPIFFE ID nor a scope holds anything that JSON would escape.
            let scopes = caller.scopes.sorted().joined(separator: " ")
            let facts = #""subject":"\#(caller.subject.name)","scope":"\#(scopes)","bound":\#(caller.isBound)"#
            return Response(
                status: .ok, headers: [.contentType: "application/json"],
                body: ResponseBody(byteBuffer: ByteBuffer(string: "{\(facts)}")))
        }
    }

    /// The route for callers behind a gateway: whose the request is, it shows itself.
    private func addProved(to router: Router<BasicRequestContext>, _ identity: AgentIdentity) throws {
        var settings = AgentProofVerifier.Settings(audiences: proofAudience)
        settings.takesTokens = proofTokens
        settings.allow = .ids(Set(allow))
        let verifier = try AgentProofVerifier(identity: identity, settings)
        let group = router.group("proved").add(middleware: RequestProofMiddleware(verifier))
        for method in [HTTPRequest.Method.get, .post] {
            group.on("**", method: method) { request, context in
                guard let caller = context.proofCaller else { throw HTTPError(.unauthorized) }
                let body = try await request.body.collect(upTo: 65_536)
                let json = #"{"caller":"\#(caller.id)","signed":\#(caller.isSigned),"bytes":\#(body.readableBytes)}"#
                return Response(
                    status: .ok, headers: [.contentType: "application/json"],
                    body: ResponseBody(byteBuffer: ByteBuffer(string: json)))
            }
        }
    }

    private func address() throws -> (host: String, port: Int) {
        guard let colon = listen.lastIndex(of: ":"), let port = Int(listen[listen.index(after: colon)...]),
            (0...65535).contains(port), colon > listen.startIndex
        else { throw Failure("`\(listen)` is not an address and a port") }
        return (String(listen[..<colon]), port)
    }
}

/// Whoever sees the file sees all of it.
private func writeAtomically(_ text: String, to path: String) -> Bool {
    let temporary = "\(path).\(getpid())"
    guard let file = fopen(temporary, "w") else { return false }
    let isWritten = fputs(text, file) >= 0
    return fclose(file) == 0 && isWritten && rename(temporary, path) == 0
}
