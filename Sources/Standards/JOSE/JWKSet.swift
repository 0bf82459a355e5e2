/// A set of public keys (RFC 7517 §5).
package struct JWKSet: Sendable, Equatable {
    /// The understood keys in their order.
    package var keys: [JWK]

    /// How many entries were passed over on reading because their type, curve or algorithm is not used here.
    package let skippedCount: Int

    /// A set of these keys.
    package init(keys: [JWK]) {
        self.keys = keys
        skippedCount = 0
    }

    /// Reads a key set; unknown types of keys are passed over and counted, a malformed key of a known type is refused.
    package init(parsing bytes: some Collection<UInt8>, limits: JSONLimits = .default) throws(JWKError) {
        let value: JSONValue
        do {
            value = try JSONValue(parsing: bytes, limits: limits)
        } catch {
            throw .json(error)
        }
        guard case .object(let object) = value else { throw .notAKeySet }
        try self.init(json: object)
    }

    /// Reads a key set from its object; other members, such as those of a SPIFFE bundle, are the caller's.
    package init(json: JSONObject) throws(JWKError) {
        guard case .array(let entries)? = json["keys"] else { throw .notAKeySet }
        var keys: [JWK] = []
        var skippedCount = 0
        for entry in entries {
            guard case .object(let object) = entry else { throw .notAKeySet }
            do {
                keys.append(try JWK(json: object))
            } catch {
                guard error.isUnsupported else { throw error }
                skippedCount += 1
            }
        }
        self.keys = keys
        self.skippedCount = skippedCount
    }

    /// The first key with this ID, compared byte by byte.
    package func key(withID keyID: String) -> JWK? {
        keys.first { $0.kid?.hasSameBytes(as: keyID) ?? false }
    }

    /// The set as an object with the one member `keys`.
    package func json() -> JSONObject {
        JSONObject([("keys", .array(keys.map { .object($0.json()) }))])
    }

    /// The set as JSON text.
    package var serializedBytes: [UInt8] { json().serializedBytes }
}
