import AuditTrail
import Crypto
import SPIFFE

/// One act on the registry, as the audit log tells of it.
typealias RegistryAct = AuditedAct

/// A write that did not succeed, and what is known of its effect.
typealias WriteFailure = AuditedFailure<RegistryError>

extension Registry {
    /// Intent, write, outcome. Without a recorded intent nothing is written.
    func perform<Value: Sendable>(
        _ act: RegistryAct, _ write: () async throws(WriteFailure) -> Written<Value>
    ) async throws(RegistryError) -> Value {
        try await audit.perform(act, write)
    }

    /// Records that an act was refused before anything was tried, and returns the error to throw.
    func refuse(_ act: RegistryAct, _ error: RegistryError) async -> RegistryError {
        await audit.refuse(act, error)
    }
}

extension RegistryError: AuditedError {
    /// Whether a rule said no, as opposed to something that broke.
    package var isRefusal: Bool {
        switch self {
        case .storage, .audit: false
        default: true
        }
    }
}

/// A SHA-256 over fields, each with its length before it, so that no two lists of fields have the same input.
package struct FieldDigest {
    private var hash = SHA256()

    package init() {}

    package mutating func add(_ text: String) {
        withUnsafeBytes(of: UInt64(text.utf8.count).bigEndian) { hash.update(bufferPointer: $0) }
        hash.update(data: Array(text.utf8))
    }

    package mutating func add(_ list: [some CustomStringConvertible]) {
        add(String(list.count))
        for item in list { add(item.description) }
    }

    package func hexadecimal() -> String { Hexadecimal.encode(hash.finalize()) }
}

extension EntryDraft {
    /// Hex SHA-256 over every field; selectors appear in the audit log only in this form.
    func digest(mask: EntryMask = .all) -> String {
        var digest = FieldDigest()
        digest.add(String(mask.rawValue))
        digest.add(id ?? "")
        digest.add(spiffeID?.string ?? "")
        digest.add(parentID?.string ?? "")
        digest.add(selectors)
        digest.add(String(x509SVIDTTL))
        digest.add(String(jwtSVIDTTL))
        digest.add(federatesWith)
        digest.add("\(isAdmin) \(isDownstream) \(storeSVID)")
        digest.add(expiresAt.map { String($0.milliseconds) } ?? "")
        digest.add(dnsNames)
        digest.add(hint)
        digest.add("\(attributes.disableX509SVIDPrefetch) \(attributes.jwtSVIDIncludeJTI)")
        return digest.hexadecimal()
    }
}
