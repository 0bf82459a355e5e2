package import SPIFFE

/// The rule that a registration entry breaks.
package enum EntryError: Error, Hashable {
    /// The ID is not 1 to 255 letters, digits, dots, underscores and hyphens.
    case badID
    case missingSPIFFEID
    /// The SPIFFE ID is of another trust domain.
    case foreignSPIFFEID
    /// The SPIFFE ID is the trust domain's own.
    case pathlessSPIFFEID
    /// `/spire` and below belong to servers and node agents, `/agentshield/any-node` is the built-in alias.
    case reservedSPIFFEID
    /// The configuration demands a parent ID.
    case missingParentID
    case foreignParentID
    case pathlessParentID
    case noSelectors
    case tooManySelectors
    /// The selectors have `launch:name` and no `launch:uid`, and nobody said that any user's launch will do.
    case launchOfAnyUser
    case negativeX509SVIDTTL
    case negativeJWTSVIDTTL
    case negativeExpiry
    case tooManyDNSNames
    case badDNSName(String)
    /// A wildcard name covers another name of the entry.
    case overlappingDNSName(String)
    case hintTooLong
    case federatesWithItself
    case tooManyFederatedTrustDomains
    /// There is no bundle of this trust domain yet.
    case unknownTrustDomain(TrustDomain)

    /// A short word for audit records and tests.
    package var code: String {
        switch self {
        case .badID: "bad_id"
        case .missingSPIFFEID: "missing_spiffe_id"
        case .foreignSPIFFEID: "foreign_spiffe_id"
        case .pathlessSPIFFEID: "pathless_spiffe_id"
        case .reservedSPIFFEID: "reserved_spiffe_id"
        case .missingParentID: "missing_parent_id"
        case .foreignParentID: "foreign_parent_id"
        case .pathlessParentID: "pathless_parent_id"
        case .noSelectors: "no_selectors"
        case .tooManySelectors: "too_many_selectors"
        case .launchOfAnyUser: "launch_of_any_user"
        case .negativeX509SVIDTTL: "negative_x509_svid_ttl"
        case .negativeJWTSVIDTTL: "negative_jwt_svid_ttl"
        case .negativeExpiry: "negative_expiry"
        case .tooManyDNSNames: "too_many_dns_names"
        case .badDNSName: "bad_dns_name"
        case .overlappingDNSName: "overlapping_dns_name"
        case .hintTooLong: "hint_too_long"
        case .federatesWithItself: "federates_with_itself"
        case .tooManyFederatedTrustDomains: "too_many_federated_trust_domains"
        case .unknownTrustDomain: "unknown_trust_domain"
        }
    }
}

extension EntryError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .badID: "entry id must be 1 to 255 letters, digits, dots, underscores and hyphens"
        case .missingSPIFFEID: "spiffe id is missing"
        case .foreignSPIFFEID: "spiffe id is not of this trust domain"
        case .pathlessSPIFFEID: "spiffe id has no path"
        case .reservedSPIFFEID: "spiffe id is reserved"
        case .missingParentID: "parent id is missing"
        case .foreignParentID: "parent id is not of this trust domain"
        case .pathlessParentID: "parent id has no path"
        case .noSelectors: "at least one selector is required"
        case .tooManySelectors: "more than \(EntryLimits.selectors) selectors"
        case .launchOfAnyUser:
            "selector launch:name without launch:uid: any user could take the name; add launch:uid, "
                + "or say -allowAnyLauncher (allow_any_launcher)"
        case .negativeX509SVIDTTL: "x509-svid ttl is negative"
        case .negativeJWTSVIDTTL: "jwt-svid ttl is negative"
        case .negativeExpiry: "expiry is before 1970"
        case .tooManyDNSNames: "more than \(EntryLimits.dnsNames) dns names"
        case .badDNSName(let name): "`\(name.prefix(80))` is not a dns name"
        case .overlappingDNSName(let name): "dns name `\(name.prefix(80))` is covered by a wildcard of the same entry"
        case .hintTooLong: "hint is longer than \(EntryLimits.hintLength) bytes"
        case .federatesWithItself: "an entry cannot federate with its own trust domain"
        case .tooManyFederatedTrustDomains: "federates with more than \(EntryLimits.federatesWith) trust domains"
        case .unknownTrustDomain(let name): "there is no bundle of trust domain `\(name.name.prefix(80))`"
        }
    }
}

/// What one entry may hold.
package enum EntryLimits {
    package static let selectors = 256
    package static let dnsNames = 256
    package static let federatesWith = 256
    /// In UTF-8 bytes, as in SPIRE.
    package static let hintLength = 1024
    package static let idLength = 255
}
