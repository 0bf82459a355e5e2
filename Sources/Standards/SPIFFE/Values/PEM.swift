import JOSE

/// Textual encodings (RFC 7468), strict: only blocks of the expected label and blank lines between them.
package enum PEM {
    package static let certificateLabel = "CERTIFICATE"
    package static let privateKeyLabel = "PRIVATE KEY"
    package static let publicKeyLabel = "PUBLIC KEY"
    package static let certificateRequestLabel = "CERTIFICATE REQUEST"

    /// Longest text that is read, in bytes.
    package static let maximumLength = 1 << 20
    private static let lineLength = 64

    /// One block, with lines of 64 characters and a line end after the last.
    package static func encode(label: String, der: [UInt8]) -> String {
        let body = Base64.encodeBytes(der)
        var bytes = Array("-----BEGIN \(label)-----\n".utf8)
        bytes.reserveCapacity(body.count + body.count / lineLength + 2 * bytes.count + 8)
        var start = 0
        while start < body.count {
            let end = min(start + lineLength, body.count)
            bytes.append(contentsOf: body[start..<end])
            bytes.append(UInt8(ascii: "\n"))
            start = end
        }
        bytes.append(contentsOf: "-----END \(label)-----\n".utf8)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The contents of all blocks, at least one and at most `limit`.
    package static func decodeAll(_ text: String, label: String, limit: Int) throws(PEMError) -> [[UInt8]] {
        guard text.utf8.count <= maximumLength else { throw .tooLarge }
        let begin = Array("-----BEGIN \(label)-----".utf8)
        let end = Array("-----END \(label)-----".utf8)
        var blocks: [[UInt8]] = []
        var body: [UInt8] = []
        var isInside = false
        for line in text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            let line = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
            if isInside {
                if line.elementsEqual(end) {
                    blocks.append(try decode(body))
                    isInside = false
                } else if line.starts(with: "-----".utf8) {
                    throw .unterminated
                } else {
                    guard !line.isEmpty, line.count <= lineLength else { throw .badLine }
                    body.append(contentsOf: line)
                }
            } else if line.elementsEqual(begin) {
                guard blocks.count < limit else { throw .tooMany(limit: limit) }
                body = []
                isInside = true
            } else if line.starts(with: "-----BEGIN ".utf8) {
                throw .unexpectedLabel
            } else if !line.allSatisfy({ $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }) {
                throw .textOutsideBlock
            }
        }
        guard !isInside else { throw .unterminated }
        guard !blocks.isEmpty else { throw .noBlock }
        return blocks
    }

    private static func decode(_ body: [UInt8]) throws(PEMError) -> [UInt8] {
        guard !body.isEmpty, let der = try? Base64.decode(body) else { throw .badBase64 }
        return der
    }
}

/// Why a text was refused as PEM.
package enum PEMError: Error, Equatable, Sendable, CustomStringConvertible {
    case tooLarge
    /// No block at all.
    case noBlock
    case tooMany(limit: Int)
    case unexpectedLabel
    case textOutsideBlock
    /// A block without its own end line.
    case unterminated
    /// An empty line, or one of more than 64 characters, inside a block.
    case badLine
    case badBase64

    package var description: String {
        switch self {
        case .tooLarge: "the PEM text is larger than \(PEM.maximumLength) bytes"
        case .noBlock: "the PEM text has no block"
        case .tooMany(let limit): "the PEM text has more than \(limit) blocks"
        case .unexpectedLabel: "a PEM block has another label than expected"
        case .textOutsideBlock: "the PEM text has text outside its blocks"
        case .unterminated: "a PEM block does not end as it began"
        case .badLine: "a PEM block has an empty or overlong line"
        case .badBase64: "a PEM block is not base64"
        }
    }
}
