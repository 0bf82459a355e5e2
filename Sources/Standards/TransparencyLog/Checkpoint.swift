/// The state of a log that is signed: origin, size and root hash (C2SP tlog-checkpoint).
package struct Checkpoint: Sendable {
    /// Why a text is not a checkpoint.
    package enum ParseError: Error, Hashable, Sendable {
        /// The body is larger than `maximumBodyBytes`.
        case tooLarge
        /// The text is not UTF-8, or has control characters within a line.
        case forbiddenBytes
        /// The text has fewer than three lines, or does not end in a newline.
        case missingLines
        /// The origin is empty.
        case emptyOrigin
        /// The size is not a decimal number without leading zeros.
        case malformedSize
        /// The root is not the base64 of 32 bytes.
        case malformedRoot
        /// An extension line is empty.
        case emptyExtension
        /// The root of a tree of size 0 is not the hash of nothing.
        case wrongEmptyRoot
    }

    /// The largest body that is read or made, in bytes.
    package static let maximumBodyBytes = 65_536

    /// The name of the log; compare it byte by byte with the one expected, as `SignedCheckpoint.open` does.
    package let origin: String

    /// The number of leaves.
    package let size: Int64

    /// The root hash over these leaves.
    package let root: Hash256

    /// Further signed lines; their use is not recommended.
    package let extensions: [String]

    /// Makes a checkpoint to be signed, by the rules of `init(parsingBody:)`.
    package init(origin: String, size: Int64, root: Hash256, extensions: [String] = []) throws(ParseError) {
        // Reading back what was written applies every rule, also to line breaks hidden in origin and extensions.
        let lines = [origin, String(size), root.base64] + extensions
        let body = Array(lines.map { $0 + "\n" }.joined().utf8)
        let parsed = try Checkpoint(parsingBody: body)
        guard parsed.extensions.count == extensions.count else { throw .forbiddenBytes }
        self = parsed
    }

    /// Reads the text of a note: three lines and extension lines, each with its newline.
    package init(parsingBody body: [UInt8]) throws(ParseError) {
        guard body.count <= Self.maximumBodyBytes else { throw .tooLarge }
        guard LogText.isPlain(body) else { throw .forbiddenBytes }
        guard let lines = LogText.lines(body[...]), lines.count >= 3 else { throw .missingLines }
        guard !lines[0].isEmpty else { throw .emptyOrigin }
        guard let size = Decimal.parse(lines[1]) else { throw .malformedSize }
        guard let root = Hash256(base64: lines[2]) else { throw .malformedRoot }
        guard size > 0 || root == .emptyTree else { throw .wrongEmptyRoot }
        guard lines.dropFirst(3).allSatisfy({ !$0.isEmpty }) else { throw .emptyExtension }
        origin = LogText.string(lines[0])
        self.size = size
        self.root = root
        extensions = lines.dropFirst(3).map(LogText.string)
    }

    /// The text that is signed.
    package var body: String {
        ([origin, String(size), root.base64] + extensions).map { $0 + "\n" }.joined()
    }

    /// The bytes of `body`.
    package var bodyBytes: [UInt8] { Array(body.utf8) }
}

extension Checkpoint: Hashable {
    package static func == (left: Checkpoint, right: Checkpoint) -> Bool {
        left.bodyBytes == right.bodyBytes
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(size)
        hasher.combine(root)
    }
}

extension Checkpoint.ParseError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .tooLarge: "the checkpoint is over \(Checkpoint.maximumBodyBytes) bytes"
        case .forbiddenBytes: "the checkpoint is not plain UTF-8 text"
        case .missingLines: "the checkpoint has fewer than three lines"
        case .emptyOrigin: "the origin of the checkpoint is empty"
        case .malformedSize: "the size in the checkpoint is not a decimal number without leading zeros"
        case .malformedRoot: "the root in the checkpoint is not the base64 of 32 bytes"
        case .emptyExtension: "an extension line of the checkpoint is empty"
        case .wrongEmptyRoot: "the checkpoint of an empty tree has another root hash"
        }
    }
}
