import GRPCCore
import JOSE

/// The values of headers whose name ends in `-bin` (gRPC over HTTP/2, "Custom-Metadata").
enum BinaryHeader {
    static func encode(_ bytes: [UInt8]) -> String {
        Base64.encode(bytes)
    }

    /// Takes base64 with and without padding, as every implementation must; nil for anything else.
    static func decode(_ text: String) -> [UInt8]? {
        let padding = String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)
        return try? Base64.decode(text + padding)
    }
}

extension Metadata {
    /// Adds a header as it came; one that says it is binary and is not stays text.
    mutating func add(_ name: String, _ value: String) {
        if name.hasSuffix("-bin"), let bytes = BinaryHeader.decode(value) {
            addBinary(bytes, forKey: name)
        } else {
            addString(value, forKey: name)
        }
    }
}
