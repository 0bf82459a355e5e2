package import JOSE

/// The public keys of one external issuer, as it published them at one time (RFC 7517 §5).
///
/// A key that is not for us is passed over, one bad key does not take the others with it. A set without any key for us
/// is a set all the same: an issuer may withdraw all of them.
package struct IssuerKeys: Sendable, Equatable {
    /// How many keys of a document do not count, and why.
    package struct PassedOver: Sendable, Equatable {
        /// Keys with private or symmetric members: the issuer has a problem, and the key is nobody's any more.
        package var secret = 0
        /// Keys for something else than signatures.
        package var otherUse = 0
        /// Keys of a type, curve, size or algorithm that is not used here or not allowed for this issuer.
        package var unsupported = 0
        /// Entries that are no proper keys.
        package var malformed = 0
    }

    /// Largest document that is read, in bytes.
    package static let maximumBytes = 256 << 10
    /// The most keys of a document, whatever they are for.
    package static let maximumCount = 100
    /// Longest key ID that is known, in bytes.
    package static let maximumKeyIDBytes = 256

    /// One for each key and algorithm: an RSA key that states no algorithm is there for each allowed one.
    private let keys: [JWSVerificationKey]
    package let passedOver: PassedOver

    /// Reads a key set for an issuer that may use these algorithms.
    package init(
        parsing document: some Collection<UInt8>, algorithms: [JWSAlgorithm]
    ) throws(IssuerKeysError) {
        let json: JSONObject
        do {
            json = try JSONObject(
                parsing: document, limits: JSONLimits(maximumBytes: Self.maximumBytes, maximumDepth: 12))
        } catch {
            throw .json(error)
        }
        guard case .array(let entries)? = json["keys"] else { throw .notAKeySet }
        guard entries.count <= Self.maximumCount else { throw .tooManyKeys }
        var keys: [JWSVerificationKey] = []
        var passedOver = PassedOver()
        for entry in entries {
            guard case .object(let object) = entry else {
                passedOver.malformed += 1
                continue
            }
            guard !JWK.hasPrivateMembers(object) else {
                passedOver.secret += 1
                continue
            }
            do throws(JWKError) {
                keys += try Self.read(object, algorithms)
            } catch {
                switch error {
                case .notForVerification: passedOver.otherUse += 1
                case .unsupportedKeyType, .unsupportedCurve, .unsupportedAlgorithm, .refusedRSASize:
                    passedOver.unsupported += 1
                default: passedOver.malformed += 1
                }
            }
        }
        self.keys = keys
        self.passedOver = passedOver
    }

    /// Whether there is no key for us.
    package var isEmpty: Bool { keys.isEmpty }

    /// The keys that a signature by this algorithm may be of.
    ///
    /// - Parameter keyID: nil fits only where the issuer has exactly one key for the algorithm.
    package func candidates(keyID: String?, algorithm: JWSAlgorithm) -> Candidates {
        let fitting = keys.filter { $0.algorithm == algorithm }
        guard let keyID else {
            return fitting.isEmpty ? .none : fitting.count == 1 ? .keys(fitting) : .keyIDRequired
        }
        let named = fitting.filter { $0.keyID?.hasSameBytes(as: keyID) ?? false }
        return named.isEmpty ? .none : .keys(named)
    }

    /// What a look-up finds.
    package enum Candidates: Sendable {
        case none
        /// Several keys fit and the assertion does not say which.
        case keyIDRequired
        /// At least one; more only where the issuer gave one ID to several.
        case keys([JWSVerificationKey])
    }

    package static func == (left: IssuerKeys, right: IssuerKeys) -> Bool {
        left.keys.map(\.jwk) == right.keys.map(\.jwk)
    }

    /// The key for each algorithm that it supports and the issuer may use; at least one.
    private static func read(
        _ json: JSONObject, _ algorithms: [JWSAlgorithm]
    ) throws(JWKError) -> [JWSVerificationKey] {
        let jwk = try JWK(json: json)
        guard jwk.use.map({ $0.hasSameBytes(as: "sig") }) ?? true else { throw .notForVerification }
        guard jwk.kid.map({ (1...maximumKeyIDBytes).contains($0.utf8.count) }) ?? true else {
            throw .wrongType(member: "kid")
        }
        var keys: [JWSVerificationKey] = []
        for algorithm in JWSAlgorithm.allCases where algorithms.contains(algorithm) {
            do throws(JWKError) {
                let key = try JWSVerificationKey(jwk: jwk, defaultAlgorithm: algorithm)
                if key.algorithm == algorithm { keys.append(key) }
            } catch {
                // RSA keys do not support the algorithms of curves.
                guard error == .algorithmMismatch else { throw error }
            }
        }
        guard !keys.isEmpty else { throw .unsupportedAlgorithm(jwk.algorithm?.rawValue ?? jwk.keyType) }
        return keys
    }
}

/// Why a document is no key set.
package enum IssuerKeysError: Error, Sendable, Equatable, CustomStringConvertible {
    case json(JSONParseError)
    /// No object with an array `keys`.
    case notAKeySet
    case tooManyKeys

    package var description: String {
        switch self {
        case .json(let error): error.description
        case .notAKeySet: "the document is no key set"
        case .tooManyKeys: "the key set has more than \(IssuerKeys.maximumCount) keys"
        }
    }
}
