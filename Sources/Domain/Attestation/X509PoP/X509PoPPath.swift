import SPIFFE

/// Finds the ways from a node's certificate to the authorities (RFC 5280 §6, for the extensions that are understood).
///
/// The certificates in between may come in any order. Each pair of certificates is looked at once, so a chain of the
/// longest length costs at most as many signature checks as it has pairs that name each other.
struct X509PoPPath {
    private let leaf: ParsedCertificate
    private let intermediates: [ParsedCertificate]
    private let authorities: [ParsedCertificate]
    private let time: UnixTime
    private var checked: [Pair: Bool] = [:]
    private var problem: X509PoPError?
    private var found: [ParsedCertificate] = []

    /// Most signatures that are checked for one node.
    static let maximumChecks = 32

    private struct Pair: Hashable {
        let child: [UInt8]
        let issuer: [UInt8]
    }

    /// Every certificate above the leaf on one of the good ways; throws when there is no good way.
    static func certificates(
        above leaf: ParsedCertificate, intermediates: [ParsedCertificate], authorities: [ParsedCertificate],
        at time: UnixTime
    ) throws(X509PoPError) -> [ParsedCertificate] {
        var path = X509PoPPath(leaf: leaf, intermediates: intermediates, authorities: authorities, time: time)
        try check(leaf, at: time)
        path.climb([leaf])
        guard !path.found.isEmpty else { throw path.problem ?? .notAnchored }
        return path.found
    }

    private init(
        leaf: ParsedCertificate, intermediates: [ParsedCertificate], authorities: [ParsedCertificate], time: UnixTime
    ) {
        self.leaf = leaf
        self.intermediates = intermediates
        self.authorities = authorities
        self.time = time
    }

    private mutating func climb(_ way: [ParsedCertificate]) {
        guard let child = way.last else { return }
        for authority in authorities where leads(from: child, to: authority, below: way.count - 1) {
            for certificate in way.dropFirst() + [authority] where !found.contains(certificate) {
                found.append(certificate)
            }
        }
        for intermediate in intermediates where !way.contains(intermediate) {
            if leads(from: child, to: intermediate, below: way.count - 1) { climb(way + [intermediate]) }
        }
    }

    /// Whether `issuer` may have signed and has signed `child`, under which `count` further CA certificates stand.
    private mutating func leads(from child: ParsedCertificate, to issuer: ParsedCertificate, below count: Int) -> Bool {
        guard child.issuer == issuer.subject, issuer.isCA, issuer.keyUsage?.contains(.keyCertSign) ?? true else {
            return false
        }
        if let limit = issuer.basicConstraints?.pathLength, count > limit { return false }
        do throws(X509PoPError) {
            try Self.check(issuer, at: time)
        } catch {
            problem = problem ?? error
            return false
        }
        let pair = Pair(child: child.der, issuer: issuer.der)
        if let known = checked[pair] { return known }
        guard checked.count < Self.maximumChecks else { return false }
        let isSigned = child.isSigned(by: issuer.publicKey)
        checked[pair] = isSigned
        return isSigned
    }

    private static func check(_ certificate: ParsedCertificate, at time: UnixTime) throws(X509PoPError) {
        guard certificate.notBefore <= time else { throw .notYetValid }
        guard certificate.isValid(at: time) else { throw .expired }
        guard certificate.unknownCriticalExtensions.isEmpty else { throw .unknownCriticalExtension }
    }
}
