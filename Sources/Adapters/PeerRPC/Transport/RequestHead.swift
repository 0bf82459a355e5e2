import GRPCCore
import NIOCore
import NIOHPACK

/// The first headers of a call, found to be a gRPC request.
struct RequestHead {
    let method: MethodDescriptor
    let metadata: Metadata
    /// How long the caller waits.
    let timeout: TimeAmount?

    /// How a request that is none is answered: headers that end the stream.
    struct Refusal: Error {
        let headers: HPACKHeaders

        init(httpStatus: String) {
            headers = [":status": httpStatus]
        }

        init(_ code: Status.Code, _ message: String) {
            headers = .trailers(Status(code: code, message: message), afterHeaders: false)
        }
    }

    /// - Parameter methods: the methods of the server by their path; others are parsed, and refused by the router.
    init(
        _ headers: HPACKHeaders, methods: [String: MethodDescriptor], maximumFields: Int
    ) throws(Refusal) {
        guard headers.count <= maximumFields else {
            throw Refusal(.resourceExhausted, "more than \(maximumFields) header fields")
        }
        var metadata = Metadata()
        metadata.reserveCapacity(headers.count)
        var path: String?
        var httpMethod: String?
        var isGRPC = false
        var timeout: TimeAmount?
        for (name, value, _) in headers {
            switch name {
            case ":path": path = value
            case ":method": httpMethod = value
            case ":scheme", ":authority", "te": break
            case "grpc-timeout": timeout = TimeAmount(timeout: value)
            case "content-type": isGRPC = value == "application/grpc" || value == "application/grpc+proto"
            case "grpc-encoding" where value != "identity":
                throw Refusal(.unimplemented, "messages may not be compressed")
            default: metadata.add(name, value)
            }
        }
        guard isGRPC else { throw Refusal(httpStatus: "415") }
        guard httpMethod == "POST" else { throw Refusal(.invalidArgument, "the method of a call is POST") }
        guard let path, let method = methods[path] ?? MethodDescriptor(path: path) else {
            throw Refusal(.unimplemented, "no such method")
        }
        self.method = method
        self.metadata = metadata
        self.timeout = timeout
    }
}

extension TimeAmount {
    /// `TimeoutValue TimeoutUnit`, at most eight digits (gRPC over HTTP/2, "Timeout"); nil for anything else.
    fileprivate init?(timeout text: String) {
        let digits = text.utf8.dropLast()
        guard (1...8).contains(digits.count), digits.allSatisfy({ (0x30...0x39).contains($0) }),
            let value = Int64(text.dropLast())
        else { return nil }
        switch text.utf8.last {
        case UInt8(ascii: "H"): self = .hours(value)
        case UInt8(ascii: "M"): self = .minutes(value)
        case UInt8(ascii: "S"): self = .seconds(value)
        case UInt8(ascii: "m"): self = .milliseconds(value)
        case UInt8(ascii: "u"): self = .microseconds(value)
        case UInt8(ascii: "n"): self = .nanoseconds(value)
        default: return nil
        }
    }
}

extension MethodDescriptor {
    /// `/package.Service/Method`.
    fileprivate init?(path: String) {
        let parts = path.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].isEmpty, !parts[1].isEmpty, !parts[2].isEmpty,
            let service = String(parts[1]), let method = String(parts[2])
        else { return nil }
        self.init(fullyQualifiedService: service, method: method)
    }
}
