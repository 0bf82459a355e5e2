/// A public key as JSON Web Key (RFC 7517), for checking signatures or as trust anchor.
///
/// Members for private keys are never kept, so a value cannot leak one.
package struct JWK: Sendable, Equatable {
    /// The key material, found to be a valid public key of its type.
    package enum Key: Sendable, Equatable {
        /// Both coordinates, 32 bytes each.
        case p256(rawRepresentation: [UInt8])
        /// Both coordinates, 48 bytes each.
        case p384(rawRepresentation: [UInt8])
        /// Both coordinates, 66 bytes each.
        case p521(rawRepresentation: [UInt8])
        /// Modulus and public exponent, big endian without leading zeros.
        case rsa(modulus: [UInt8], exponent: [UInt8])
        /// The 32 bytes of RFC 8032.
        case ed25519(rawRepresentation: [UInt8])
    }

    /// The sizes of RSA keys that are accepted.
    package static let allowedRSAModulusBits = 2048...8192

    /// The key material.
    package let key: Key

    /// The key ID (RFC 7517 §4.5).
    package var kid: String?

    /// The only algorithm the key is for (RFC 7517 §4.4), if it says so.
    package let algorithm: JWSAlgorithm?

    /// The intended use (RFC 7517 §4.2), such as `sig` or SPIFFE's `x509-svid`.
    package var use: String?

    /// The certificate chain in DER (RFC 7517 §4.7), leaf first; empty if there is none.
    package var x5c: [[UInt8]]

    /// Public members without meaning here, in their order; written back unchanged.
    package let otherMembers: JSONObject

    /// A key of these parts; refuses key material that is invalid or does not go with the algorithm.
    package init(
        key: Key, kid: String? = nil, algorithm: JWSAlgorithm? = nil, use: String? = nil, x5c: [[UInt8]] = []
    ) throws(JWKError) {
        try self.init(
            key: key, kid: kid, algorithm: algorithm, use: use, x5c: x5c, otherMembers: JSONObject())
    }

    private init(
        key: Key, kid: String?, algorithm: JWSAlgorithm?, use: String?, x5c: [[UInt8]], otherMembers: JSONObject
    ) throws(JWKError) {
        let publicKey = try PublicKey(key)
        if let algorithm, !publicKey.supports(algorithm) { throw .algorithmMismatch }
        self.init(
            valid: key, kid: kid, algorithm: algorithm, use: use, x5c: x5c, otherMembers: otherMembers)
    }

    /// Takes key material that is known to be valid and to go with the algorithm.
    init(
        valid key: Key, kid: String?, algorithm: JWSAlgorithm?, use: String? = nil, x5c: [[UInt8]] = [],
        otherMembers: JSONObject = JSONObject()
    ) {
        self.key = key
        self.kid = kid
        self.algorithm = algorithm
        self.use = use
        self.x5c = x5c
        self.otherMembers = otherMembers
    }

    /// The name of the key type (RFC 7518 §6.1, RFC 8037 §2).
    package var keyType: String {
        switch key {
        case .p256, .p384, .p521: "EC"
        case .rsa: "RSA"
        case .ed25519: "OKP"
        }
    }
}

extension JWK {
    /// The members that only a private or secret key has (RFC 7518 §6.2.2, §6.3.2, §6.4, RFC 8037 §2, RFC 7517
    /// appendix of later key types); dropped on reading.
    private static let privateMembers: [String] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"]

    private static let knownMembers: [String] = ["kty", "crv", "x", "y", "n", "e", "kid", "alg", "use", "x5c"]

    /// Reads a key; keys of unknown type, curve or algorithm are refused as unsupported, known ones must be exact.
    package init(json: JSONObject) throws(JWKError) {
        let key = try Self.readKey(json)
        var algorithm: JWSAlgorithm?
        if let name = try Self.optionalString("alg", of: json) {
            guard let known = JWSAlgorithm(rawValue: name) else { throw .unsupportedAlgorithm(name) }
            algorithm = known
        }
        var others: [(name: String, value: JSONValue)] = []
        for member in json.members
        where !(Self.knownMembers + Self.privateMembers).contains(where: { $0.hasSameBytes(as: member.name) }) {
            others.append(member)
        }
        try self.init(
            key: key, kid: try Self.optionalString("kid", of: json), algorithm: algorithm,
            use: try Self.optionalString("use", of: json), x5c: try Self.readChain(json),
            otherMembers: JSONObject(distinct: others))
    }

    /// Whether an object has a member that only a private or secret key has; where a peer shows its public key, such
    /// a member is a mistake worth refusing (RFC 9449 §4.3).
    package static func hasPrivateMembers(_ json: JSONObject) -> Bool {
        privateMembers.contains { json[$0] != nil }
    }

    /// The public members: required ones first, then `kid`, `use`, `alg`, `x5c` and the others in their order.
    package func json() -> JSONObject {
        var members: [(name: String, value: JSONValue)] = [("kty", .string(keyType))]
        switch key {
        case .p256(let raw): members += Self.curveMembers("P-256", raw)
        case .p384(let raw): members += Self.curveMembers("P-384", raw)
        case .p521(let raw): members += Self.curveMembers("P-521", raw)
        case .rsa(let modulus, let exponent):
            members.append(("n", .string(Base64URL.encode(modulus))))
            members.append(("e", .string(Base64URL.encode(exponent))))
        case .ed25519(let raw):
            members.append(("crv", "Ed25519"))
            members.append(("x", .string(Base64URL.encode(raw))))
        }
        if let kid { members.append(("kid", .string(kid))) }
        if let use { members.append(("use", .string(use))) }
        if let algorithm { members.append(("alg", .string(algorithm.rawValue))) }
        if !x5c.isEmpty { members.append(("x5c", .array(x5c.map { .string(Base64.encode($0)) }))) }
        return JSONObject(distinct: members + otherMembers.members)
    }

    private static func curveMembers(_ curve: String, _ raw: [UInt8]) -> [(name: String, value: JSONValue)] {
        [
            ("crv", .string(curve)),
            ("x", .string(Base64URL.encode(raw.prefix(raw.count / 2)))),
            ("y", .string(Base64URL.encode(raw.suffix(raw.count / 2)))),
        ]
    }

    private static func readKey(_ json: JSONObject) throws(JWKError) -> Key {
        let keyType = try requiredString("kty", of: json)
        // Not a switch over strings: `==` would take the Kelvin sign for the K of `OKP`.
        if keyType.hasSameBytes(as: "RSA") {
            return .rsa(modulus: try readBytes("n", of: json), exponent: try readBytes("e", of: json))
        }
        guard keyType.hasSameBytes(as: "EC") || keyType.hasSameBytes(as: "OKP") else {
            throw .unsupportedKeyType(keyType)
        }
        let curve = try requiredString("crv", of: json)
        switch (keyType, curve) {
        case ("EC", "P-256"): return .p256(rawRepresentation: try readCoordinates(json, width: 32))
        case ("EC", "P-384"): return .p384(rawRepresentation: try readCoordinates(json, width: 48))
        case ("EC", "P-521"): return .p521(rawRepresentation: try readCoordinates(json, width: 66))
        case ("OKP", "Ed25519"): return .ed25519(rawRepresentation: try readBytes("x", of: json))
        default: throw .unsupportedCurve(curve)
        }
    }

    /// Both coordinates with all their leading zeros (RFC 7518 §6.2.1.2).
    private static func readCoordinates(_ json: JSONObject, width: Int) throws(JWKError) -> [UInt8] {
        let x = try readBytes("x", of: json)
        let y = try readBytes("y", of: json)
        guard x.count == width, y.count == width else { throw .invalidKey }
        return x + y
    }

    private static func readBytes(_ name: String, of json: JSONObject) throws(JWKError) -> [UInt8] {
        let text = try requiredString(name, of: json)
        do {
            return try Base64URL.decode(text)
        } catch {
            throw .invalidEncoding(member: name)
        }
    }

    private static func readChain(_ json: JSONObject) throws(JWKError) -> [[UInt8]] {
        guard let value = json["x5c"] else { return [] }
        guard let texts = value.stringArrayValue, !texts.isEmpty else { throw .wrongType(member: "x5c") }
        var chain: [[UInt8]] = []
        for text in texts {
            do {
                chain.append(try Base64.decode(text))
            } catch {
                throw .invalidEncoding(member: "x5c")
            }
        }
        return chain
    }

    private static func requiredString(_ name: String, of json: JSONObject) throws(JWKError) -> String {
        guard let value = try optionalString(name, of: json) else { throw .missingMember(name) }
        return value
    }

    private static func optionalString(_ name: String, of json: JSONObject) throws(JWKError) -> String? {
        guard let value = json[name] else { return nil }
        guard case .string(let string) = value else { throw .wrongType(member: name) }
        return string
    }
}
