import GRPCCore
import NIOHPACK

extension HPACKHeaders {
    /// The headers in front of the messages of a response.
    static func response(_ metadata: Metadata) -> HPACKHeaders {
        var headers: HPACKHeaders = [":status": "200", "content-type": "application/grpc"]
        headers.add(metadata)
        return headers
    }

    /// What ends a response; with the headers of one that has none yet.
    static func trailers(_ status: Status, _ metadata: Metadata = [:], afterHeaders: Bool) -> HPACKHeaders {
        var headers: HPACKHeaders = afterHeaders ? [:] : [":status": "200", "content-type": "application/grpc"]
        headers.add(name: "grpc-status", value: String(status.code.rawValue))
        if !status.message.isEmpty { headers.add(name: "grpc-message", value: percentEncoded(status.message)) }
        headers.add(metadata)
        return headers
    }

    mutating func add(_ metadata: Metadata) {
        for (name, value) in metadata {
            let text =
                switch value {
                case .string(let string): string
                case .binary(let bytes): BinaryHeader.encode(bytes)
                }
            add(name: name.lowercased(), value: text)
        }
    }

    /// Printable ASCII without `%` stands for itself (gRPC over HTTP/2, "Percent-Encoded").
    private static func percentEncoded(_ text: String) -> String {
        let isPlain = { (byte: UInt8) in (0x20...0x7E).contains(byte) && byte != UInt8(ascii: "%") }
        guard !text.utf8.allSatisfy(isPlain) else { return text }
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            if isPlain(byte) {
                bytes.append(byte)
            } else {
                bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
