import Attestation
import ControlPlaneAPI
import GRPCCore
import Registry
import SPIFFE

// Registration entries between SPIRE's wire form and the registry's.

extension Spire_Api_Types_SPIFFEID {
    /// - Throws: InvalidArgument naming `field`.
    func parsed(_ field: String) throws(RPCError) -> SPIFFEID {
        do throws(SPIFFEIDError) {
            return try SPIFFEID(self)
        } catch {
            throw RPCError(code: .invalidArgument, message: "\(field): \(error)")
        }
    }
}

extension Spire_Api_Types_Selector {
    init(_ selector: Selector) {
        self.init()
        type = selector.type
        value = selector.value
    }

    func parsed() throws(RPCError) -> Selector {
        do throws(SelectorError) {
            return try Selector(type: type, value: value)
        } catch {
            throw RPCError(code: .invalidArgument, message: "selector: \(error)")
        }
    }
}

extension [Spire_Api_Types_Selector] {
    func parsed() throws(RPCError) -> [Selector] {
        var selectors: [Selector] = []
        for selector in self { selectors.append(try selector.parsed()) }
        return selectors
    }
}

extension Spire_Api_Types_Entry {
    /// The wire form of an entry, with the fields that `mask` asks for; the ID always.
    init(_ entry: RegistrationEntry, mask: Spire_Api_Types_EntryMask?) {
        self.init()
        id = entry.id
        let all = mask == nil
        let mask = mask ?? Spire_Api_Types_EntryMask()
        if all || mask.spiffeID { spiffeID = entry.spiffeID.message }
        if all || mask.parentID { parentID = entry.parentID.message }
        if all || mask.selectors { selectors = entry.selectors.map { Spire_Api_Types_Selector($0) } }
        if all || mask.x509SvidTtl { x509SvidTtl = entry.x509SVIDTTL }
        if all || mask.jwtSvidTtl { jwtSvidTtl = entry.jwtSVIDTTL }
        if all || mask.federatesWith { federatesWith = entry.federatesWith.map(\.name) }
        if all || mask.admin { admin = entry.isAdmin }
        if all || mask.downstream { downstream = entry.isDownstream }
        if all || mask.expiresAt { expiresAt = entry.expiresAt?.seconds ?? 0 }
        if all || mask.dnsNames { dnsNames = entry.dnsNames }
        if all || mask.revisionNumber { revisionNumber = entry.revision }
        if all || mask.storeSvid { storeSvid = entry.storeSVID }
        if all || mask.hint { hint = entry.hint }
        if all || mask.createdAt { createdAt = entry.createdAt.seconds }
        if all || mask.additionalAttributes {
            additionalAttributes.disableX509SvidPrefetch = entry.attributes.disableX509SVIDPrefetch
            additionalAttributes.jwtSvidIncludeJti = entry.attributes.jwtSVIDIncludeJTI
        }
    }

    /// What a caller asks for; the registry judges it. Fields outside `mask` are read too: the registry ignores them.
    func draft(_ mask: EntryMask = .all) throws(RPCError) -> EntryDraft {
        var draft = EntryDraft(spiffeID: nil)
        draft.id = id.isEmpty ? nil : id
        if mask.contains(.spiffeID), hasSpiffeID { draft.spiffeID = try spiffeID.parsed("spiffe_id") }
        // An entry made without a parent gets the built-in alias; the registry decides whether that is allowed.
        if mask.contains(.parentID), hasParentID, !(parentID.trustDomain.isEmpty && parentID.path.isEmpty) {
            draft.parentID = try parentID.parsed("parent_id")
        }
        if mask.contains(.selectors) { draft.selectors = try selectors.parsed() }
        draft.x509SVIDTTL = x509SvidTtl
        draft.jwtSVIDTTL = jwtSvidTtl
        if mask.contains(.federatesWith) { draft.federatesWith = try federatesWith.parsedTrustDomains() }
        draft.isAdmin = admin
        draft.isDownstream = downstream
        draft.expiresAt = expiresAt == 0 ? nil : try UnixTime(wireSeconds: expiresAt, field: "expires_at")
        draft.dnsNames = dnsNames
        draft.hint = hint
        draft.storeSVID = storeSvid
        draft.attributes = EntryAttributes(
            disableX509SVIDPrefetch: additionalAttributes.disableX509SvidPrefetch,
            jwtSVIDIncludeJTI: additionalAttributes.jwtSvidIncludeJti)
        return draft
    }
}

extension [String] {
    func parsedTrustDomains() throws(RPCError) -> [TrustDomain] {
        var domains: [TrustDomain] = []
        for name in self {
            do throws(SPIFFEIDError) {
                domains.append(try TrustDomain(name))
            } catch {
                throw RPCError(code: .invalidArgument, message: "federates_with: \(error)")
            }
        }
        return domains
    }
}

extension UnixTime {
    /// Seconds since 1970 from the wire: what does not fit our range is refused rather than wrapped.
    init(wireSeconds seconds: Int64, field: String) throws(RPCError) {
        // The year 9999, where DER's GeneralizedTime ends too.
        guard seconds >= 0, seconds <= 253_402_300_799 else {
            throw RPCError(code: .invalidArgument, message: "\(field) is out of range")
        }
        self.init(seconds: seconds)
    }
}

extension EntryMask {
    /// Every field that an update may write.
    init(_ mask: Spire_Api_Types_EntryMask?) {
        guard let mask else {
            self = .all
            return
        }
        self = []
        if mask.spiffeID { insert(.spiffeID) }
        if mask.parentID { insert(.parentID) }
        if mask.selectors { insert(.selectors) }
        if mask.x509SvidTtl { insert(.x509SVIDTTL) }
        if mask.jwtSvidTtl { insert(.jwtSVIDTTL) }
        if mask.federatesWith { insert(.federatesWith) }
        if mask.admin { insert(.isAdmin) }
        if mask.downstream { insert(.isDownstream) }
        if mask.expiresAt { insert(.expiresAt) }
        if mask.dnsNames { insert(.dnsNames) }
        if mask.storeSvid { insert(.storeSVID) }
        if mask.hint { insert(.hint) }
        if mask.additionalAttributes { insert(.attributes) }
    }
}

extension Spire_Api_Types_SelectorMatch {
    func parsed() throws(RPCError) -> SetFilter<Selector> {
        let match: SelectorMatch =
            switch self.match {
            case .matchExact: .exact
            case .matchSubset: .subset
            case .matchSuperset: .superset
            case .matchAny: .any
            case .UNRECOGNIZED:
                throw RPCError(code: .invalidArgument, message: "unknown match behavior")
            }
        guard !selectors.isEmpty else {
            throw RPCError(code: .invalidArgument, message: "a selector match needs at least one selector")
        }
        return SetFilter(Set(try selectors.parsed()), match: match)
    }
}

extension Spire_Api_Types_FederatesWithMatch {
    func parsed() throws(RPCError) -> SetFilter<TrustDomain> {
        let match: SelectorMatch =
            switch self.match {
            case .matchExact: .exact
            case .matchSubset: .subset
            case .matchSuperset: .superset
            case .matchAny: .any
            case .UNRECOGNIZED:
                throw RPCError(code: .invalidArgument, message: "unknown match behavior")
            }
        guard !trustDomains.isEmpty else {
            throw RPCError(code: .invalidArgument, message: "a trust domain match needs at least one trust domain")
        }
        return SetFilter(Set(try trustDomains.parsedTrustDomains()), match: match)
    }
}
