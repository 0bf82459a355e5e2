package import JOSE

/// HTTP message signatures between workloads (draft-ietf-wimse-http-signature-07, a profile of RFC 9421): whoever holds the key of a
/// workload identity token signs method, target, body and the tokens of a request, or a response to it.
package enum WorkloadSignature {
    /// By this tag, and by nothing else, a signature is one of the profile.
    package static let tag = "wimse-workload-to-workload"

    /// The label of signatures that are made here; it means nothing.
    static let label = "wimse"

    /// The fields that a request's signature covers when they are there.
    private static let requestFields = [
        WorkloadField.contentType, WorkloadField.contentDigest, WorkloadField.authorization,
        WorkloadField.transactionToken, WorkloadField.identityToken,
    ]
    private static let responseFields = [
        WorkloadField.contentType, WorkloadField.contentDigest, WorkloadField.identityToken,
    ]

    /// Whether a message claims to have a signature of the profile; throws where it has several, or where nobody can tell.
    package static func isPresent(in fields: MessageFields) throws(WorkloadSignatureError) -> Bool {
        guard fields.has(WorkloadField.signatureInput) else { return false }
        do throws(WorkloadSignatureError) {
            _ = try SelectedSignature(in: fields)
            return true
        } catch {
            if case .noSignature = error { return false }
            throw error
        }
    }
}

// MARK: - Requests

extension WorkloadSignature {
    /// What a request's signature says.
    package struct RequestTerms: Sendable {
        /// Whom the request is for: its target without query, or a name agreed upon.
        package var audience: String
        /// Seconds since 1970.
        package var created: Int64
        package var expires: Int64
        /// Random, and never used again.
        package var nonce: String
        /// Whether an unsigned answer is none.
        package var asksForSignedResponse: Bool

        package init(
            audience: String, created: Int64, expires: Int64, nonce: String, asksForSignedResponse: Bool = false
        ) {
            self.audience = audience
            self.created = created
            self.expires = expires
            self.nonce = nonce
            self.asksForSignedResponse = asksForSignedResponse
        }
    }

    /// Signs a request, which has its `Workload-Identity-Token` and, with a body, its `Content-Digest` already.
    package static func sign(
        _ request: WorkloadRequest, _ terms: RequestTerms, key: JWSSigningKey
    ) throws(WorkloadSignatureError) -> SignatureFields {
        guard (1...WorkloadAudiences.maximumLength).contains(terms.audience.utf8.count),
            terms.audience.utf8.allSatisfy({ (0x20...0x7E).contains($0) })
        else { throw .badParameter("wimse-aud") }
        var parameters: [(String, BareItem)] = try common(terms.created, terms.expires, terms.nonce)
        parameters.append(("wimse-aud", .string(terms.audience)))
        if terms.asksForSignedResponse { parameters.append(("wimse-sign-response", .boolean(true))) }
        try checkFields(request.fields, of: requestFields, body: request.body)
        return try sign(
            requestComponents(request.fields), parameters, key, beside: request.fields
        ) { component throws(WorkloadSignatureError) in try component.value(in: request) }
    }

    /// Checks the signature of a request with the key of its workload identity token, which has been verified: parameters and
    /// times, components, audience, body, signature. Whether the nonce was there before is asked last, elsewhere.
    package static func verify(
        _ request: WorkloadRequest, key: JWSVerificationKey, policy: WorkloadProofPolicy, now: Int64
    ) throws(WorkloadSignatureError) -> VerifiedRequestSignature {
        let selected = try SelectedSignature(in: request.fields)
        let parameters = selected.input.parameters
        let common = try SignatureParameters(parameters, forbidding: ["wimse-req-nonce"], policy: policy, now: now)
        let audience = try SignatureParameters.text(
            "wimse-aud", of: parameters, limit: WorkloadAudiences.maximumLength)
        var asksForSignedResponse = false
        if let wish = parameters["wimse-sign-response"] {
            guard case .boolean(let value) = wish else { throw .badParameter("wimse-sign-response") }
            asksForSignedResponse = value
        }
        let components = try selected.components(requiring: requestComponents(request.fields))
        if let component = components.first(where: \.isOfRequest) { throw .unsupportedComponent(component.name) }
        guard policy.audiences.accepts(audience, path: request.path) else { throw .wrongAudience }
        try checkFields(request.fields, of: requestFields, body: request.body)
        try verify(selected, key) { component throws(WorkloadSignatureError) in
            try component.value(in: request)
        }
        return VerifiedRequestSignature(
            audience: audience, nonce: common.nonce, expiresAt: common.expires,
            asksForSignedResponse: asksForSignedResponse)
    }

    private static func requestComponents(_ fields: MessageFields) -> [SignedComponent] {
        // `@authority` is left out on purpose: where TLS ends early it changes on the way.
        [.method, .path, .query] + requestFields.filter { fields.has($0) }.map { .field($0) }
    }
}

/// What a signature proves of a request: that whoever holds the key of its workload identity token made it for this audience. It
/// counts once. Only ``WorkloadSignature`` makes values of this type.
package struct VerifiedRequestSignature: Sendable {
    package let audience: String
    package let nonce: String
    /// Seconds since 1970.
    package let expiresAt: Int64
    /// Whether the sender takes a signed answer only.
    package let asksForSignedResponse: Bool

    fileprivate init(audience: String, nonce: String, expiresAt: Int64, asksForSignedResponse: Bool) {
        self.audience = audience
        self.nonce = nonce
        self.expiresAt = expiresAt
        self.asksForSignedResponse = asksForSignedResponse
    }
}

// MARK: - Responses

extension WorkloadSignature {
    /// What a response's signature says.
    package struct ResponseTerms: Sendable {
        /// Seconds since 1970.
        package var created: Int64
        package var expires: Int64
        /// Random, and never used again.
        package var nonce: String
        /// The nonce of the request's signature.
        package var requestNonce: String

        package init(created: Int64, expires: Int64, nonce: String, requestNonce: String) {
            self.created = created
            self.expires = expires
            self.nonce = nonce
            self.requestNonce = requestNonce
        }
    }

    /// Signs a response, which has its `Workload-Identity-Token` and, with a body, its `Content-Digest` already.
    package static func sign(
        _ response: WorkloadResponse, to request: WorkloadRequest, _ terms: ResponseTerms, key: JWSSigningKey
    ) throws(WorkloadSignatureError) -> SignatureFields {
        var parameters: [(String, BareItem)] = try common(terms.created, terms.expires, terms.nonce)
        parameters.append(("wimse-req-nonce", .string(terms.requestNonce)))
        try checkFields(response.fields, of: responseFields, body: response.body)
        return try sign(
            responseComponents(response.fields), parameters, key, beside: response.fields
        ) { component throws(WorkloadSignatureError) in try component.value(in: response, to: request) }
    }

    /// Checks the signature of a response to a request that had this nonce, with the key of the response's workload identity token,
    /// which has been verified.
    ///
    /// The policy's audiences play no part: the nonce says whom the response is for.
    package static func verify(
        _ response: WorkloadResponse, to request: WorkloadRequest, nonce: String, key: JWSVerificationKey,
        policy: WorkloadProofPolicy, now: Int64
    ) throws(WorkloadSignatureError) {
        let selected = try SelectedSignature(in: response.fields)
        let parameters = selected.input.parameters
        _ = try SignatureParameters(
            parameters, forbidding: ["wimse-aud", "wimse-sign-response"], policy: policy, now: now)
        let requestNonce = try SignatureParameters.text(
            "wimse-req-nonce", of: parameters, limit: SignatureParameters.maximumNonceBytes)
        guard requestNonce.hasSameBytes(as: nonce) else { throw .wrongRequestNonce }
        _ = try selected.components(requiring: responseComponents(response.fields))
        try checkFields(response.fields, of: responseFields, body: response.body)
        try verify(selected, key) { component throws(WorkloadSignatureError) in
            try component.value(in: response, to: request)
        }
    }

    private static func responseComponents(_ fields: MessageFields) -> [SignedComponent] {
        [.status, SignedComponent.method.ofRequest, SignedComponent.path.ofRequest, SignedComponent.query.ofRequest]
            + responseFields.filter { fields.has($0) }.map { .field($0) }
    }
}

// MARK: - Both

/// The two header fields that carry a signature.
package struct SignatureFields: Sendable, Equatable {
    /// For `Signature-Input`.
    package let input: String
    /// For `Signature`.
    package let signature: String
}

extension WorkloadSignature {
    private static func common(
        _ created: Int64, _ expires: Int64, _ nonce: String
    ) throws(WorkloadSignatureError) -> [(String, BareItem)] {
        guard created < expires, JWTClaims.allowedDates.contains(created), JWTClaims.allowedDates.contains(expires)
        else { throw .badTimes }
        guard (1...SignatureParameters.maximumNonceBytes).contains(nonce.utf8.count),
            nonce.utf8.allSatisfy({ (0x20...0x7E).contains($0) })
        else { throw .badParameter("nonce") }
        return [
            ("created", .integer(created)), ("expires", .integer(expires)), ("nonce", .string(nonce)),
            ("tag", .string(tag)),
        ]
    }

    /// Tokens and digests that have to be there once, and a body that is the one of the digest.
    private static func checkFields(
        _ fields: MessageFields, of names: [String], body: [UInt8]
    ) throws(WorkloadSignatureError) {
        for name in names where name != WorkloadField.contentDigest && fields.values(name).count > 1 {
            throw .repeatedField(name)
        }
        guard fields.has(WorkloadField.identityToken) else { throw .missingIdentityToken }
        guard fields.has(WorkloadField.contentDigest) else {
            guard body.isEmpty else { throw .digest(.missing) }
            return
        }
        do {
            try ContentDigest.verify(fields.values(WorkloadField.contentDigest), body: body)
        } catch {
            throw .digest(error)
        }
    }

    private static func sign(
        _ components: [SignedComponent], _ parameters: [(String, BareItem)], _ key: JWSSigningKey,
        beside fields: MessageFields, value: (SignedComponent) throws(WorkloadSignatureError) -> String
    ) throws(WorkloadSignatureError) -> SignatureFields {
        let others = try SelectedSignature.dictionary(WorkloadField.signatureInput, of: fields)
        guard try !isPresent(in: fields), others[label] == nil else { throw .alreadySigned }
        let input = InnerList(components.map(\.item), StructuredParameters(parameters))
        let base = try SignatureBase.text(of: input) { item throws(WorkloadSignatureError) in
            try value(try SignedComponent(item))
        }
        guard let signature = try? key.sign(Array(base.utf8)) else { throw .signingFailed }
        return SignatureFields(
            input: StructuredDictionary([.init(key: label, value: .innerList(input))]).serialized,
            signature: StructuredDictionary([.init(key: label, value: .item(StructuredItem(.bytes(signature))))])
                .serialized)
    }

    private static func verify(
        _ selected: SelectedSignature, _ key: JWSVerificationKey,
        value: (SignedComponent) throws(WorkloadSignatureError) -> String
    ) throws(WorkloadSignatureError) {
        let base = try SignatureBase.text(of: selected.input) { item throws(WorkloadSignatureError) in
            try value(try SignedComponent(item))
        }
        // The algorithm is the one of the token's key; a signature has no say in it.
        guard key.isValid(signature: selected.signature, over: Array(base.utf8)) else { throw .invalidSignature }
    }
}
