import GRPCCore
import NIOCore
import NIOHPACK
import Testing

@testable import PeerRPC

struct RequestHeadTests {
    private static let good: [(String, String)] = [
        (":method", "POST"), (":scheme", "http"), (":path", "/a.B/C"), (":authority", "tmp%2Fx.sock"),
        ("content-type", "application/grpc"), ("te", "trailers"),
    ]

    private static func headers(without names: [String] = [], _ more: [(String, String)] = []) -> HPACKHeaders {
        HPACKHeaders(good.filter { !names.contains($0.0) } + more)
    }

    private static func refusal(_ headers: HPACKHeaders, maximumFields: Int = 64) -> [String: String]? {
        do throws(RequestHead.Refusal) {
            _ = try RequestHead(headers, methods: [:], maximumFields: maximumFields)
            return nil
        } catch {
            return Dictionary(error.headers.map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first })
        }
    }

    @Test func `a call has its method and its own header fields`() throws {
        let head = try RequestHead(
            Self.headers([
                ("workload.spiffe.io", "true"), ("x", "1"), ("x", "2"), ("grpc-timeout", "3S"), ("y-bin", "AAE"),
                ("z-bin", "AAE="),
            ]), methods: [:], maximumFields: 64)
        #expect(head.method.fullyQualifiedMethod == "a.B/C")
        #expect(Array(head.metadata[stringValues: "workload.spiffe.io"]) == ["true"])
        #expect(Array(head.metadata[stringValues: "x"]) == ["1", "2"])
        #expect(head.timeout == .seconds(3))
        #expect(Array(head.metadata[binaryValues: "y-bin"]) == [[0, 1]])
        #expect(Array(head.metadata[binaryValues: "z-bin"]) == [[0, 1]])
        #expect(!head.metadata.contains { $0.key.hasPrefix(":") || $0.key == "te" })
    }

    @Test(arguments: ["application/grpc", "application/grpc+proto"])
    func `both names of the content type are taken`(_ type: String) {
        #expect(Self.refusal(Self.headers(without: ["content-type"], [("content-type", type)])) == nil)
    }

    @Test(arguments: [[], ["text/plain"], ["application/json"], ["application/grpc-web"], [""]])
    func `what is not gRPC is an unsupported media type`(_ types: [String]) {
        let headers = Self.headers(without: ["content-type"], types.map { ("content-type", $0) })
        #expect(Self.refusal(headers) == [":status": "415"])
    }

    @Test(arguments: ["", "/", "/a", "a/b", "/a/", "//b", "/a/b/c", "/a.B/C/"])
    func `a path that names no method is unimplemented`(_ path: String) {
        #expect(Self.refusal(Self.headers(without: [":path"], [(":path", path)]))?["grpc-status"] == "12")
    }

    @Test(arguments: ["GET", "PUT", "post", ""]) func `another method than POST is refused`(_ method: String) {
        #expect(Self.refusal(Self.headers(without: [":method"], [(":method", method)]))?["grpc-status"] == "3")
    }

    @Test func `compression is unimplemented, and identity is none`() {
        #expect(Self.refusal(Self.headers([("grpc-encoding", "gzip")]))?["grpc-status"] == "12")
        #expect(Self.refusal(Self.headers([("grpc-encoding", "identity")])) == nil)
    }

    @Test(arguments: [
        ("1H", TimeAmount.hours(1)), ("2M", .minutes(2)), ("99999999S", .seconds(99_999_999)), ("5m", .milliseconds(5)),
        ("6u", .microseconds(6)), ("7n", .nanoseconds(7)), ("0n", .nanoseconds(0)), ("", nil), ("S", nil), ("1", nil),
        ("1s", nil), ("-1S", nil), ("+1S", nil), ("123456789S", nil), ("1 S", nil), ("1.5S", nil),
    ]) func `a timeout is digits and a unit`(_ text: String, _ timeout: TimeAmount?) throws {
        let head = try RequestHead(Self.headers([("grpc-timeout", text)]), methods: [:], maximumFields: 64)
        #expect(head.timeout == timeout)
        #expect(!head.metadata.contains { $0.key == "grpc-timeout" })
    }

    @Test func `more header fields than the limit exhaust it`() {
        #expect(Self.refusal(Self.headers(), maximumFields: Self.good.count) == nil)
        #expect(Self.refusal(Self.headers(), maximumFields: Self.good.count - 1)?["grpc-status"] == "8")
    }

    @Test func `a refusal's words travel percent-encoded`() {
        let headers = HPACKHeaders.trailers(
            Status(code: .notFound, message: "100 % ü\n"), ["D-bin": .init(binary: [0, 1])], afterHeaders: false)
        #expect(headers.first(name: "grpc-message") == "100 %25 %C3%BC%0A")
        #expect(headers.first(name: "d-bin") == "AAE=")
        #expect(headers.first(name: ":status") == "200")
        let late = HPACKHeaders.trailers(Status(code: .ok, message: ""), afterHeaders: true)
        #expect(late.map { $0.name } == ["grpc-status"])
    }
}

extension Metadata.Value {
    fileprivate init(binary bytes: [UInt8]) { self = .binary(bytes) }
}
