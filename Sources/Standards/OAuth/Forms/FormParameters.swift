import JOSE

/// The parameters of a request as `application/x-www-form-urlencoded` (RFC 6749 appendix B).
///
/// Every name occurs once, but for those that the reader allows to be repeated. A parameter without a value is as good
/// as not there (RFC 6749 §3.2), and yet counts when names are compared, so that no other reader sees another request.
package struct FormParameters: Sendable, Equatable {
    /// One parameter; its value is not empty.
    package struct Field: Sendable, Equatable {
        package let name: String
        package let value: String
    }

    /// The parameters that have a value, in their order.
    package let fields: [Field]

    /// The media type of such a body.
    package static let mediaType = "application/x-www-form-urlencoded"

    /// The names that a token request may repeat: `resource` (RFC 8707 §2) and `audience` (RFC 8693 §2.1).
    package static let repeatableInTokenRequests = ["resource", "audience"]

    /// Parameters to be sent; those without a value are left out.
    package init(_ fields: [(name: String, value: String)]) {
        self.fields = fields.filter { !$0.value.isEmpty }.map { Field(name: $0.name, value: $0.value) }
    }

    /// Reads a body. Names are compared byte by byte; only those in `repeatable` may occur more than once.
    package init(
        parsing body: some Collection<UInt8>, repeatable: [String] = [], limits: FormLimits = .default
    ) throws(FormError) {
        guard body.count <= limits.maximumBytes else { throw .tooLarge(limit: limits.maximumBytes) }
        let bytes = [UInt8](body)
        var fields: [Field] = []
        var names: [String] = []
        var start = 0
        while start < bytes.count {
            let end = bytes[start...].firstIndex(of: UInt8(ascii: "&")) ?? bytes.count
            let pair = bytes[start..<end]
            start = end + 1
            if pair.isEmpty { continue }
            guard names.count < limits.maximumCount else { throw .tooManyParameters(limit: limits.maximumCount) }
            let equals = pair.firstIndex(of: UInt8(ascii: "=")) ?? pair.endIndex
            let name = try FormText.decode(pair[..<equals])
            guard !name.isEmpty else { throw .emptyName }
            guard name.utf8.count <= limits.maximumNameBytes else {
                throw .nameTooLong(limit: limits.maximumNameBytes)
            }
            if names.contains(where: { $0.hasSameBytes(as: name) }),
                !repeatable.contains(where: { $0.hasSameBytes(as: name) })
            {
                throw .duplicateParameter(name)
            }
            names.append(name)
            let value = try FormText.decode(pair[min(equals + 1, pair.endIndex)...])
            guard value.utf8.count <= limits.maximumValueBytes else { throw .valueTooLong(name: name) }
            if !value.isEmpty { fields.append(Field(name: name, value: value)) }
        }
        self.fields = fields
    }

    /// The value of a parameter, the first if it was repeated.
    package subscript(_ name: String) -> String? {
        fields.first { $0.name.hasSameBytes(as: name) }?.value
    }

    /// All values of a parameter in their order.
    package func all(_ name: String) -> [String] {
        fields.filter { $0.name.hasSameBytes(as: name) }.map(\.value)
    }

    /// The body, as browsers and Python's `urlencode` write it.
    package var serializedBytes: [UInt8] {
        var bytes: [UInt8] = []
        for field in fields {
            if !bytes.isEmpty { bytes.append(UInt8(ascii: "&")) }
            FormText.append(field.name, to: &bytes)
            bytes.append(UInt8(ascii: "="))
            FormText.append(field.value, to: &bytes)
        }
        return bytes
    }

    /// Whether a `Content-Type` says that a body is a form. A `charset` has to be UTF-8; other parameters say nothing.
    package static func isForm(contentType: String) -> Bool {
        let parts = contentType.split(separator: ";", omittingEmptySubsequences: false)
            .map { String($0).trimmingASCIIWhitespace }
        guard let type = parts.first, ByteClass.equalsIgnoringCase(type.utf8, mediaType) else { return false }
        return parts.dropFirst().allSatisfy { part in
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard pair.count == 2, ByteClass.equalsIgnoringCase(pair[0].utf8, "charset") else { return true }
            return ByteClass.equalsIgnoringCase(pair[1].utf8.filter { $0 != UInt8(ascii: "\"") }, "utf-8")
        }
    }
}

extension FormParameters: CustomStringConvertible, CustomReflectable {
    /// Names alone: values are secrets and tokens.
    package var description: String {
        "form of " + fields.map { "`\($0.name.truncatedForMessage)`" }.joined(separator: ", ")
    }

    /// Hides the values from dumps.
    package var customMirror: Mirror { Mirror(self, children: ["names": fields.map(\.name)]) }
}

/// What a form may cost its reader.
package struct FormLimits: Sendable {
    /// The most bytes of a whole body.
    package let maximumBytes: Int
    /// The most parameters, those without a value included.
    package let maximumCount: Int
    /// The most bytes of a name once decoded.
    package let maximumNameBytes: Int
    /// The most bytes of a value once decoded.
    package let maximumValueBytes: Int

    /// 64 KiB, 64 parameters, 128 bytes of a name, 32 KiB of a value.
    package static let `default` = FormLimits()

    /// Limits.
    package init(
        maximumBytes: Int = 64 << 10, maximumCount: Int = 64, maximumNameBytes: Int = 128,
        maximumValueBytes: Int = 32 << 10
    ) {
        self.maximumBytes = maximumBytes
        self.maximumCount = maximumCount
        self.maximumNameBytes = maximumNameBytes
        self.maximumValueBytes = maximumValueBytes
    }
}

/// Why a form is refused; the standard's code is always `invalid_request`.
package enum FormError: Error, Sendable, Equatable, CustomStringConvertible {
    case tooLarge(limit: Int)
    case tooManyParameters(limit: Int)
    case nameTooLong(limit: Int)
    case valueTooLong(name: String)
    /// A value without a name.
    case emptyName
    /// `%` without two hexadecimal digits; the offset counts bytes of the body.
    case invalidEscape(offset: Int)
    /// A control character that is not escaped.
    case controlCharacter(offset: Int)
    /// A name or value that is not UTF-8 once decoded.
    case invalidUTF8
    case duplicateParameter(String)

    package var description: String {
        switch self {
        case .tooLarge(let limit): "form is larger than \(limit) bytes"
        case .tooManyParameters(let limit): "form has more than \(limit) parameters"
        case .nameTooLong(let limit): "a parameter's name is longer than \(limit) bytes"
        case .valueTooLong(let name): "parameter `\(name.truncatedForMessage)` is too long"
        case .emptyName: "a parameter has no name"
        case .invalidEscape(let offset): "invalid escape in form at offset \(offset)"
        case .controlCharacter(let offset): "unescaped control character in form at offset \(offset)"
        case .invalidUTF8: "form is not UTF-8"
        case .duplicateParameter(let name): "parameter `\(name.truncatedForMessage)` is there twice"
        }
    }
}
