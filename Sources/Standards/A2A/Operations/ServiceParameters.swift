/// What travels beside a request in every binding: headers of HTTP, metadata of gRPC (A2A 1.0.1 §3.2.6).
public struct ServiceParameters: Sendable, Equatable {
    /// The version that the client speaks.
    public var version: ProtocolVersion
    /// URIs of the extensions that the client wants to use.
    public var extensions: [String]

    /// The most extensions that a request may name, and the most bytes of their list.
    package static let maximumExtensions = 32
    package static let maximumExtensionsLength = 8192

    /// Parameters; by default those of version 1.0 without extensions.
    public init(version: ProtocolVersion = .v1, extensions: [String] = []) {
        self.version = version
        self.extensions = extensions
    }

    /// Names in lower case, as gRPC has them.
    package static let versionName = "a2a-version"
    package static let extensionsName = "a2a-extensions"

    /// Reads the fields of a request. An absent or empty version means 0.3.
    package init(version: String?, extensions: [String]) throws(A2AError) {
        self.version = try ProtocolVersion(version)
        guard extensions.reduce(0, { $0 + $1.utf8.count }) <= Self.maximumExtensionsLength else {
            throw A2AError(.invalidRequest, "A2A-Extensions is too long")
        }
        var uris: [String] = []
        for field in extensions {
            for part in field.split(separator: ",") {
                let uri = part.trimmingSpaces
                if !uri.isEmpty, !uris.contains(uri) { uris.append(uri) }
            }
        }
        guard uris.count <= Self.maximumExtensions else {
            throw A2AError(.invalidRequest, "A2A-Extensions names too many extensions")
        }
        self.extensions = uris
    }
}

/// A version of the protocol as it goes over the wire: major and minor (A2A 1.0.1 §3.6).
public enum ProtocolVersion: String, Sendable, CaseIterable {
    /// The version before 1.0, which a request without a version means.
    case v0_3 = "0.3"
    /// Version 1.0.
    case v1 = "1.0"

    /// Reads `A2A-Version`; a third number is no part of what is negotiated.
    init(_ text: String?) throws(A2AError) {
        guard let text = text?.trimmingSpaces, !text.isEmpty else {
            self = .v0_3
            return
        }
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard (2...3).contains(parts.count), parts.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy(Self.isDigit) }),
            let version = ProtocolVersion(rawValue: "\(parts[0]).\(parts[1])")
        else {
            throw A2AError(
                .versionNotSupported, "this agent speaks versions 1.0 and 0.3", metadata: ["supported": "1.0,0.3"])
        }
        self = version
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
}

extension StringProtocol {
    var trimmingSpaces: String {
        var text = Substring(self)
        while let first = text.utf8.first, first == 0x20 || first == 0x09 { text.removeFirst() }
        while let last = text.utf8.last, last == 0x20 || last == 0x09 { text.removeLast() }
        return String(text)
    }
}
