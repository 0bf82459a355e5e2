import JOSE

/// A request as far as proofs are made for it.
package struct WorkloadRequest: Sendable {
    package let method: String
    /// The path as it is sent, with its escapes; `/` where it is empty (RFC 9421 §2.2.6).
    package let path: String
    /// What follows `?`, if there is one.
    package let query: String?
    package var fields: MessageFields
    /// The whole body; empty for none.
    package let body: [UInt8]

    /// - Parameter target: path and query as in the request line.
    package init(method: String, target: String, fields: MessageFields, body: [UInt8] = []) {
        self.method = method
        let bytes = Array(target.utf8)
        let mark = bytes.firstIndex(of: UInt8(ascii: "?"))
        let path = String(decoding: bytes[..<(mark ?? bytes.endIndex)], as: UTF8.self)
        self.path = path.isEmpty ? "/" : path
        query = mark.map { String(decoding: bytes[($0 + 1)...], as: UTF8.self) }
        self.fields = fields
        self.body = body
    }
}

/// A response as far as it is signed.
package struct WorkloadResponse: Sendable {
    package let status: Int
    package var fields: MessageFields
    /// The whole body; empty for none.
    package let body: [UInt8]

    package init(status: Int, fields: MessageFields, body: [UInt8] = []) {
        self.status = status
        self.fields = fields
        self.body = body
    }
}

/// The names of the header fields that proofs live in.
package enum WorkloadField {
    package static let identityToken = "Workload-Identity-Token"
    package static let contentDigest = "Content-Digest"
    package static let signatureInput = "Signature-Input"
    package static let signature = "Signature"
    package static let authorization = "Authorization"
    package static let contentType = "Content-Type"
    package static let transactionToken = "Txn-Token"
}

/// What a receiver of proofs demands of them.
package struct WorkloadProofPolicy: Sendable {
    package var audiences: WorkloadAudiences
    /// How long a proof may last, in seconds: from its making where it says when that was, otherwise from now.
    package var maximumLifetime: Int64
    /// How far the sender's clock may be ahead, in seconds; an end gets no leeway.
    package var clockSkew: Int64
    /// The header fields, apart from `Txn-Token`, whose values the receiver takes as tokens: a proof token has to name them when
    /// they are there, and may name no others.
    package var contextTokens: [String]

    package init(
        audiences: WorkloadAudiences, maximumLifetime: Int64 = 300, clockSkew: Int64 = 30, contextTokens: [String] = []
    ) {
        self.audiences = audiences
        self.maximumLifetime = maximumLifetime
        self.clockSkew = clockSkew
        self.contextTokens = contextTokens
    }
}

/// The names that a receiver goes by in proofs, from its configuration: never from the request, which says what its sender likes.
package struct WorkloadAudiences: Sendable, Equatable {
    package let names: [String]

    /// Longest name, in bytes.
    package static let maximumLength = 2048

    /// Names to compare byte by byte. One of the form `https://HOST[:PORT]` also stands for every target there: that origin with
    /// the path of the request at hand.
    package init(_ names: [String]) { self.names = names }

    /// Whether a proof with this audience is for the receiver, in a request with this path.
    package func accepts(_ audience: String, path: String) -> Bool {
        names.contains { name in
            name.hasSameBytes(as: audience) || Self.isOrigin(name) && (name + path).hasSameBytes(as: audience)
        }
    }

    private static func isOrigin(_ name: String) -> Bool {
        for scheme in ["https://", "http://"] where name.hasPrefix(scheme) {
            let authority = name.utf8.dropFirst(scheme.utf8.count)
            return !authority.isEmpty && !authority.contains { "/?#@".utf8.contains($0) }
        }
        return false
    }
}
