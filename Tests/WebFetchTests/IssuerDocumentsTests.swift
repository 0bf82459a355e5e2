import Authentication
import NIOCore
import NIOSSL
import OAuth
import SPIFFE
import Synchronization
import Testing

@testable import WebFetch

@Suite("An issuer's document", .timeLimit(.minutes(1)))
struct IssuerDocumentsTests {
    private let authority: WebAuthority

    init() throws {
        authority = try WebAuthority()
    }

    /// Fetches by a name that a resolver of the test's own knows.
    private func get(
        _ url: String, private allowsPrivate: Bool = true, roots: TrustedIssuer.Roots? = nil,
        addresses: [String] = ["127.0.0.1"], lookUps: LookUps = LookUps(), timeout: Duration = .seconds(20)
    ) async throws(IssuerDocumentError) -> IssuerDocument {
        let request: IssuerDocumentRequest
        do {
            let issuer = try TrustedIssuer(
                issuer: url, roots: roots ?? .pem(authority.pem), allowsPrivateAddresses: allowsPrivate,
                allowsLoopbackHTTP: true)
            request = IssuerDocumentRequest(issuer.url, of: issuer, maximumBytes: 1000)
        } catch {
            throw .unreachable("\(error)")
        }
        let documents = IssuerDocuments(timeout: timeout) { host, port in
            lookUps.add(host)
            return try addresses.map { try SocketAddress(ipAddress: $0, port: port) }
        }
        return try await documents.get(request)
    }

    private func refusal(
        _ url: String, private allowsPrivate: Bool = true, roots: TrustedIssuer.Roots? = nil,
        addresses: [String] = ["127.0.0.1"], timeout: Duration = .seconds(20)
    ) async -> IssuerDocumentError? {
        do throws(IssuerDocumentError) {
            _ = try await get(
                url, private: allowsPrivate, roots: roots, addresses: addresses, timeout: timeout)
            return nil
        } catch {
            return error
        }
    }

    /// What a server with the right certificate achieves by this answer.
    private func refusal(ofAnswer answer: String) async throws -> IssuerDocumentError? {
        let server = try await WebServer.start(try authority.context(["issuer.example"]), answer: answer)
        let error = await refusal("https://issuer.example:\(server.port)/keys")
        try await server.stop()
        return error
    }

    @Test("comes from the address that was judged, under the certificate of the name, with one look-up")
    func success() async throws {
        let server = try await WebServer.start(
            try authority.context(["issuer.example"]),
            answer: ok("{}", "cache-control: public\r\ncache-control: max-age=7\r\n"))
        let lookUps = LookUps()
        let document = try await get("https://issuer.example:\(server.port)/a/b", lookUps: lookUps)
        #expect(document.bytes == Array("{}".utf8))
        #expect(document.cacheControl == "public,max-age=7")
        #expect(lookUps.all == ["issuer.example"])
        #expect(server.received.count == 1)
        #expect(
            server.received.first?.hasPrefix("GET /a/b HTTP/1.1\r\nhost: issuer.example:\(server.port)\r\n") == true)
        try await server.stop()
    }

    @Test(
        "may come in chunks, or until the connection ends as TLS ends it",
        arguments: [
            "transfer-encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", "\r\n{}",
        ])
    func framing(rest: String) async throws {
        let server = try await WebServer.start(
            try authority.context(["issuer.example"]), answer: "HTTP/1.1 200 OK\r\n\(rest)")
        #expect(try await get("https://issuer.example:\(server.port)").bytes == Array("{}".utf8))
        try await server.stop()
    }

    @Test("comes from the next address where the first does not answer")
    func nextAddress() async throws {
        let server = try await WebServer.start(try authority.context(["issuer.example"]), answer: ok("{}"))
        // Nothing listens there.
        let document = try await get(
            "https://issuer.example:\(server.port)", addresses: ["127.0.0.2", "127.0.0.1"])
        #expect(document.bytes == Array("{}".utf8))
        try await server.stop()
    }

    @Test(
        "is not fetched where one of the host's addresses may not be reached",
        arguments: [
            (["127.0.0.1"], false), (["10.0.0.1"], false), (["::ffff:127.0.0.1"], false),
            (["127.0.0.1", "1.1.1.1"], false),
            (["1.1.1.1", "127.0.0.1"], false), (["169.254.169.254"], true), (["127.0.0.1", "169.254.169.254"], true),
            (["0.0.0.0"], true),
        ])
    func refusedAddress(addresses: [String], allowsPrivate: Bool) async throws {
        let server = try await WebServer.start(try authority.context(["issuer.example"]), answer: ok("{}"))
        let error = await refusal(
            "https://issuer.example:\(server.port)", private: allowsPrivate, addresses: addresses)
        guard case .refusedAddress = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(server.received.isEmpty)
        try await server.stop()
    }

    @Test("is not fetched without TLS from anywhere but this machine, whatever the name says")
    func plain() async throws {
        let server = try await WebServer.start(nil, answer: ok("{}"))
        #expect(try await get("http://localhost:\(server.port)").bytes == Array("{}".utf8))
        #expect(
            await refusal("http://localhost:\(server.port)", addresses: ["10.0.0.1"]) == .refusedAddress("10.0.0.1"))
        #expect(await refusal("http://localhost:\(server.port)", addresses: ["1.1.1.1"]) == .refusedAddress("1.1.1.1"))
        try await server.stop()
    }

    @Test("is not believed under the certificate of another name or of another authority")
    func unverified() async throws {
        let server = try await WebServer.start(try authority.context(["other.example"]), answer: ok("{}"))
        let wrongName = await refusal("https://issuer.example:\(server.port)")
        let wrongRoots = await refusal("https://other.example:\(server.port)", roots: .pem(try WebAuthority().pem))
        let systemRoots = await refusal("https://other.example:\(server.port)", roots: .system)
        for error in [wrongName, wrongRoots, systemRoots] {
            guard case .unverified = error else {
                Issue.record("\(String(describing: error))")
                continue
            }
        }
        #expect(await refusal("https://other.example:\(server.port)") == nil)
        #expect(server.received.count == 1)
        try await server.stop()
    }

    @Test(
        "is not looked for where a redirect leads; its host alone is named",
        arguments: [
            ("https://elsewhere.example/secret?token=1", "elsewhere.example"),
            ("http://169.254.169.254/latest", "169.254.169.254"),
            ("/relative", nil),
        ] as [(String, String?)])
    func redirect(location: String, host: String?) async throws {
        for code in [301, 302, 307, 308] {
            let answer = "HTTP/1.1 \(code) Moved\r\nlocation: \(location)\r\ncontent-length: 0\r\n\r\n"
            #expect(try await refusal(ofAnswer: answer) == .redirect(code, host: host))
        }
    }

    @Test("is refused with another status, even one that comes with a body", arguments: [201, 204, 401, 404, 500])
    func status(code: Int) async throws {
        let answer = "HTTP/1.1 \(code) Word\r\ncontent-length: \(code == 204 ? 0 : 2)\r\n\r\n\(code == 204 ? "" : "{}")"
        #expect(try await refusal(ofAnswer: answer) == .status(code))
    }

    @Test("has a limit, announced or not")
    func size() async throws {
        let body = String(repeating: "a", count: 1001)
        #expect(try await refusal(ofAnswer: ok(body)) == .tooLarge)
        #expect(try await refusal(ofAnswer: "HTTP/1.1 200 OK\r\n\r\n\(body)") == .tooLarge)
        #expect(
            try await refusal(
                ofAnswer: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n\(body)\r\n0\r\n\r\n")
                == .tooLarge)
        #expect(try await refusal(ofAnswer: ok(String(body.dropLast()))) == nil)
    }

    @Test(
        "is refused where it ends too early or is no HTTP",
        arguments: [
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}", "SSH-2.0-OpenSSH_9.2\r\n", "",
        ])
    func broken(answer: String) async throws {
        guard case .unreachable = try await refusal(ofAnswer: answer) else {
            Issue.record("taken: \(answer)")
            return
        }
    }

    @Test(
        "ends with its time where the server says nothing, or never stops saying that it goes on",
        arguments: [
            nil, "HTTP/1.1 102 Processing\r\n\r\n",
        ])
    func timeout(answer: String?) async throws {
        let server = try await SilentServer.start(saying: answer)
        #expect(await refusal("http://localhost:\(server.port)", timeout: .milliseconds(300)) == .timeout)
        try await server.stop()
    }

    @Test("goes to an issuer's keyring through discovery and keys, from one server")
    func keyring() async throws {
        let server = try await WebServer.start(try authority.context(["issuer.example"]), answer: ok(#"{"keys":[]}"#))
        let issuer = try TrustedIssuer(
            issuer: "https://issuer.example:\(server.port)", jwksURI: "https://issuer.example:\(server.port)/keys?a=b",
            roots: .pem(authority.pem), allowsPrivateAddresses: true)
        let documents = IssuerDocuments(timeout: .seconds(20)) { _, port in
            [try SocketAddress(ipAddress: "127.0.0.1", port: port)]
        }
        let keyring = try IssuerKeyring(
            [issuer], now: { UnixTime(seconds: 0) }, observe: { _ in },
            fetch: { request throws(IssuerDocumentError) in try await documents.get(request) })
        await #expect(throws: IssuerKeyError.noSuchKey) {
            try await keyring.keys(of: issuer, keyID: "a", algorithm: .es256)
        }
        #expect(server.received.map { $0.prefix(13) } == ["GET /keys?a=b"])
        try await server.stop()
    }
}

/// The names that a resolver was asked for.
final class LookUps: Sendable {
    // Guards the names.
    private let names = Mutex<[String]>([])

    func add(_ name: String) { names.withLock { $0.append(name) } }
    var all: [String] { names.withLock { $0 } }
}
