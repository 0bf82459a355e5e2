import GRPCCore
import NIOHPACK

/// What the headers and trailers of a response say (gRPC over HTTP/2, "Responses").
enum ResponseHead {
    /// Headers that announce more to come (RFC 9110 §15.2).
    static func isInformational(_ headers: HPACKHeaders) -> Bool {
        headers.first(name: ":status")?.hasPrefix("1") ?? false
    }

    /// The metadata of a response that begins.
    static func metadata(_ headers: HPACKHeaders) throws(RPCError) -> Metadata {
        if let refusal = refusal(headers) { throw refusal }
        return Metadata(headers)
    }

    /// What ends a response; `isAll` when nothing came before.
    static func status(_ trailers: HPACKHeaders, isAll: Bool) -> (Status, Metadata) {
        guard let text = trailers.first(name: "grpc-status") else {
            let error =
                (isAll ? refusal(trailers) : nil)
                ?? RPCError(code: .unknown, message: "the response ends without a status")
            return (Status(code: Status.Code(error.code), message: error.message), [:])
        }
        let code = Int(text).flatMap { Status.Code(rawValue: $0) } ?? .unknown
        let message = trailers.first(name: "grpc-message").map(percentDecoded) ?? ""
        return (Status(code: code, message: message), Metadata(trailers))
    }

    /// An answer that is none of gRPC's, as its specification maps it ("HTTP to gRPC Status Code Mapping").
    private static func refusal(_ headers: HPACKHeaders) -> RPCError? {
        let status = headers.first(name: ":status") ?? ""
        guard status == "200" else {
            let code: RPCError.Code =
                switch status {
                case "400": .internalError
                case "401": .unauthenticated
                case "403": .permissionDenied
                case "404": .unimplemented
                case "429", "502", "503", "504": .unavailable
                default: .unknown
                }
            return RPCError(code: code, message: "the server answered with HTTP status `\(status)`")
        }
        guard headers.first(name: "content-type")?.hasPrefix("application/grpc") ?? false else {
            return RPCError(code: .unknown, message: "the server's answer is not gRPC")
        }
        switch headers.first(name: "grpc-encoding") {
        case nil, "identity": return nil
        default: return RPCError(code: .internalError, message: "the response is compressed, which was not asked for")
        }
    }

    /// Undoes "Percent-Encoded"; what is not encoded well stands for itself.
    static func percentDecoded(_ text: String) -> String {
        guard text.utf8.contains(UInt8(ascii: "%")) else { return text }
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension Metadata {
    /// Without the fields that HTTP/2 and gRPC themselves use.
    fileprivate init(_ headers: HPACKHeaders) {
        self.init()
        for (name, value, _) in headers {
            switch name {
            case "content-type", "grpc-status", "grpc-message", "grpc-encoding": continue
            case _ where name.hasPrefix(":"): continue
            default: add(name, value)
            }
        }
    }
}
