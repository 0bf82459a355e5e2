import JOSE

extension TrustBundle {
    /// The SPIFFE bundle document: `x509-svid` keys with their certificate and without `kid`, `jwt-svid` and
    /// `wit-svid` keys with `kid`, then sequence and refresh hint (SPIFFE Trust Domain and Bundle §4).
    ///
    /// An X.509 authority whose key no JWK can express is left out; the parser accepts no such certificate.
    package func spiffeJSON() -> [UInt8] {
        var keys: [JSONValue] = []
        for authority in x509Authorities {
            guard
                let key = try? JWSVerificationKey(derSPKI: authority.certificate.publicKey.derSPKI, keyID: nil),
                let jwk = try? JWK(key: key.jwk.key, use: Self.x509Use, x5c: [authority.der])
            else { continue }
            keys.append(.object(jwk.json()))
        }
        keys += jwtAuthorities.map { .object($0.jwk(use: Self.jwtUse).json()) }
        keys += witAuthorities.map { .object($0.jwk(use: Self.witUse).json()) }
        var document: JSONObject = ["keys": .array(keys)]
        document[Self.sequenceMember] = .number(JSONNumber(Int64(clamping: sequenceNumber)))
        if let refreshHint { document[Self.hintMember] = .number(JSONNumber(refreshHint)) }
        return document.serializedBytes
    }

    /// Reads a SPIFFE bundle document of a trust domain that the caller knows by other means.
    ///
    /// Entries of unknown `kty` or `use`, or without `use`, are passed over; a broken entry of a known use refuses the
    /// whole document, so that nobody is left with half a bundle.
    package init(parsingSPIFFEJSON bytes: [UInt8], trustDomain: TrustDomain) throws(BundleError) {
        let value: JSONValue
        do {
            value = try JSONValue(parsing: bytes, limits: Self.jsonLimits)
        } catch {
            throw .json(error)
        }
        guard let document = value.objectValue, let entries = document["keys"]?.arrayValue else { throw .notABundle }
        var x509Authorities: [X509Authority] = []
        var tokenKeys = TokenKeyList()
        for entry in entries {
            guard let entry = entry.objectValue else { throw .notABundle }
            guard entry["kty"]?.stringValue != nil else { throw .badMember("kty") }
            guard let useMember = entry["use"] else { continue }
            guard let use = useMember.stringValue else { throw .badMember("use") }
            if use.hasSameBytes(as: Self.x509Use) {
                guard let key = try Self.key(entry) else { continue }
                guard x509Authorities.count < Self.maximumKeys else { throw .tooManyKeys }
                x509Authorities.append(try Self.authority(key))
            } else if use.hasSameBytes(as: Self.jwtUse) {
                guard let key = try Self.key(entry) else { continue }
                try tokenKeys.append(key, to: \.jwt)
            } else if use.hasSameBytes(as: Self.witUse) {
                guard let key = try Self.key(entry) else { continue }
                try tokenKeys.append(key, to: \.wit)
            }
        }
        self.init(
            trustDomain: trustDomain, x509Authorities: x509Authorities, jwtAuthorities: tokenKeys.jwt,
            witAuthorities: tokenKeys.wit.map { WITAuthority(checked: $0) },
            refreshHint: try Self.number(Self.hintMember, of: document),
            sequenceNumber: UInt64(try Self.number(Self.sequenceMember, of: document) ?? 0))
    }

    private static let x509Use = "x509-svid"
    private static let jwtUse = "jwt-svid"
    private static let witUse = "wit-svid"
    private static let sequenceMember = "spiffe_sequence"
    private static let hintMember = "spiffe_refresh_hint"

    /// The entry's key; `nil` if its type, curve or algorithm is not used here.
    private static func key(_ entry: JSONObject) throws(BundleError) -> JWK? {
        do throws(JWKError) {
            return try JWK(json: entry)
        } catch {
            switch error {
            case .unsupportedKeyType, .unsupportedCurve, .unsupportedAlgorithm: return nil
            default: throw .key(error)
            }
        }
    }

    /// The first certificate counts; its key has to be the one that the entry spells out.
    private static func authority(_ key: JWK) throws(BundleError) -> X509Authority {
        guard let der = key.x5c.first else { throw .badMember("x5c") }
        let authority: X509Authority
        do {
            authority = try X509Authority(der: der)
        } catch {
            throw .certificate(error)
        }
        guard let stated = try? JWSVerificationKey(jwk: key),
            stated.derSPKI == authority.certificate.publicKey.derSPKI
        else { throw .keyIsNotTheCertificates }
        return authority
    }

    private static func number(_ name: String, of document: JSONObject) throws(BundleError) -> Int64? {
        guard let value = document[name] else { return nil }
        guard let number = value.int64Value, number >= 0 else { throw .badNumber(name) }
        return number
    }
}
