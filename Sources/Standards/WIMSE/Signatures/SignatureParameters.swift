import JOSE

/// The parameters of a signature of the profile (draft-ietf-wimse-http-signature-07).
struct SignatureParameters {
    let created: Int64
    let expires: Int64
    let nonce: String

    /// Longest nonce, in bytes.
    static let maximumNonceBytes = 256

    /// Reads what every signature has. What is for the other direction, or would let a signature choose its own key, is refused.
    init(
        _ parameters: StructuredParameters, forbidding others: [String], policy: WorkloadProofPolicy, now: Int64
    ) throws(WorkloadSignatureError) {
        for name in ["alg", "keyid"] + others where parameters[name] != nil { throw .forbiddenParameter(name) }
        created = try Self.time("created", of: parameters)
        expires = try Self.time("expires", of: parameters)
        nonce = try Self.text("nonce", of: parameters, limit: Self.maximumNonceBytes)
        // Times are between 1970 and 9999: no difference overflows.
        guard created <= now + max(policy.clockSkew, 0) else { throw .createdInFuture(at: created) }
        guard now < expires else { throw .expired(at: expires) }
        guard created < expires, expires - created <= policy.maximumLifetime else { throw .lastsTooLong }
    }

    static func text(
        _ name: String, of parameters: StructuredParameters, limit: Int
    ) throws(WorkloadSignatureError) -> String {
        guard let value = parameters[name] else { throw .missingParameter(name) }
        guard case .string(let text) = value, (1...limit).contains(text.utf8.count) else { throw .badParameter(name) }
        return text
    }

    private static func time(
        _ name: String, of parameters: StructuredParameters
    ) throws(WorkloadSignatureError) -> Int64 {
        guard let value = parameters[name] else { throw .missingParameter(name) }
        guard case .integer(let time) = value, JWTClaims.allowedDates.contains(time) else { throw .badParameter(name) }
        return time
    }
}

/// The one signature of a message that has WIMSE's tag.
struct SelectedSignature {
    let input: InnerList
    let signature: [UInt8]

    /// Looks by tag alone: a label says nothing, and signatures of others may stand beside.
    init(in fields: MessageFields) throws(WorkloadSignatureError) {
        let inputs = try Self.dictionary(WorkloadField.signatureInput, of: fields)
        var found: (label: String, input: InnerList)?
        for entry in inputs.entries {
            guard case .innerList(let list) = entry.value else { throw .badInput }
            guard list.parameters["tag"] == .string(WorkloadSignature.tag) else { continue }
            guard found == nil else { throw .severalSignatures }
            found = (entry.key, list)
        }
        guard let found else { throw .noSignature }
        let signatures = try Self.dictionary(WorkloadField.signature, of: fields)
        guard case .item(let item)? = signatures[found.label], case .bytes(let bytes) = item.value, !bytes.isEmpty
        else { throw .missingSignature }
        input = found.input
        signature = bytes
    }

    static func dictionary(
        _ name: String, of fields: MessageFields
    ) throws(WorkloadSignatureError) -> StructuredDictionary {
        do {
            return try StructuredDictionary(parsing: fields.values(name))
        } catch {
            throw .badField(name, error)
        }
    }

    /// The components, each once, with every one of these among them.
    func components(requiring required: [SignedComponent]) throws(WorkloadSignatureError) -> [SignedComponent] {
        var components: [SignedComponent] = []
        for item in input.items {
            let component = try SignedComponent(item)
            guard !components.contains(component) else { throw .repeatedComponent(component.name) }
            components.append(component)
        }
        for component in required where !components.contains(component) { throw .missingComponent(component.name) }
        return components
    }
}
