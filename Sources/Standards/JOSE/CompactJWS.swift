/// What a compact JWS may cost its reader.
package struct JWSLimits: Sendable {
    /// The most bytes of a whole token.
    package let maximumBytes: Int

    /// The most objects and arrays that may stand inside each other in the header.
    package let maximumHeaderDepth: Int

    /// 64 KiB and 16 levels.
    package static let `default` = JWSLimits()

    /// Limits.
    package init(maximumBytes: Int = 64 << 10, maximumHeaderDepth: Int = 16) {
        self.maximumBytes = maximumBytes
        self.maximumHeaderDepth = maximumHeaderDepth
    }
}

/// A signed object in compact serialization (RFC 7515 §7.1), taken apart but not yet verified.
///
/// Nothing in it may be believed before ``verify(with:)`` has returned.
package struct CompactJWS: Sendable {
    /// The protected header.
    package let header: JOSEHeader

    /// The decoded payload.
    package let payload: [UInt8]

    /// The decoded signature.
    package let signature: [UInt8]

    /// The bytes that are signed: the first two parts as they stand in the token.
    package let signingInput: [UInt8]

    /// Takes a token apart: exactly three parts, strict base64url, a strict header, a signature that is not empty.
    package init(parsing token: some Collection<UInt8>, limits: JWSLimits = .default) throws(JWSError) {
        guard token.count <= limits.maximumBytes else { throw .tooLarge(limit: limits.maximumBytes) }
        let bytes = [UInt8](token)
        let dot = UInt8(ascii: ".")
        guard let first = bytes.firstIndex(of: dot),
            let second = bytes[(first + 1)...].firstIndex(of: dot),
            !bytes[(second + 1)...].contains(dot)
        else { throw .wrongPartCount }
        let headerBytes = try Self.decode(bytes[..<first], as: .header)
        header = try JOSEHeader(
            parsing: headerBytes,
            limits: JSONLimits(maximumBytes: limits.maximumBytes, maximumDepth: limits.maximumHeaderDepth))
        payload = try Self.decode(bytes[(first + 1)..<second], as: .payload)
        signature = try Self.decode(bytes[(second + 1)...], as: .signature)
        guard !signature.isEmpty else { throw .missingSignature }
        signingInput = [UInt8](bytes[..<second])
    }

    /// Takes a token apart that is a string.
    package init(parsing token: String, limits: JWSLimits = .default) throws(JWSError) {
        try self.init(parsing: token.utf8, limits: limits)
    }

    /// Checks the signature; the header must name exactly the key's algorithm.
    package func verify(with key: JWSVerificationKey) throws(JWSError) {
        guard header.algorithm == key.algorithm else {
            throw .algorithmMismatch(expected: key.algorithm, found: header.algorithm)
        }
        guard key.isValid(signature: signature, over: signingInput) else { throw .invalidSignature }
    }

    private static func decode(_ text: ArraySlice<UInt8>, as part: JWSError.Part) throws(JWSError) -> [UInt8] {
        do {
            return try Base64URL.decode(text)
        } catch {
            throw .invalidEncoding(part, error)
        }
    }
}

extension CompactJWS {
    /// Signs a payload. The header has `alg` and `kid` from the key, and `typ`.
    package static func sign(type: String, payload: [UInt8], key: JWSSigningKey) throws(JWSError) -> String {
        try sign(header: [("typ", .string(type))], payload: payload, key: key)
    }

    /// The header members that signing writes itself or that readers refuse.
    private static let reservedMembers = ["alg", "kid", "crit", "b64"]

    /// Signs a payload. The header has `alg` and `kid` from the key, then these members in their order.
    ///
    /// Pass `writesKeyID: false` where the header itself carries the key, as in a DPoP proof.
    package static func sign(
        header: [(String, JSONValue)], payload: [UInt8], key: JWSSigningKey, writesKeyID: Bool = true
    ) throws(JWSError) -> String {
        var headerBytes: [UInt8] = []
        headerBytes.reserveCapacity(96 + key.keyID.utf8.count)
        headerBytes.append(contentsOf: #"{"alg":""#.utf8)
        headerBytes.append(contentsOf: key.algorithm.rawValue.utf8)
        headerBytes.append(UInt8(ascii: "\""))
        if writesKeyID {
            headerBytes.append(contentsOf: #","kid":"#.utf8)
            JSONWriter.append(key.keyID, to: &headerBytes)
        }
        for (index, (name, value)) in header.enumerated() {
            guard !reservedMembers.contains(where: { $0.hasSameBytes(as: name) }),
                !header[..<index].contains(where: { $0.0.hasSameBytes(as: name) })
            else { throw .refusedHeaderMember(name) }
            headerBytes.append(UInt8(ascii: ","))
            JSONWriter.append(name, to: &headerBytes)
            headerBytes.append(UInt8(ascii: ":"))
            JSONWriter.append(value, to: &headerBytes)
        }
        headerBytes.append(UInt8(ascii: "}"))

        var token: [UInt8] = []
        // Room for the signature too: of a curve at most 132 bytes, 176 characters; of RSA-2048 342 characters.
        token.reserveCapacity((headerBytes.count + payload.count) * 4 / 3 + (key.algorithm.usesRSA ? 352 : 192))
        Base64URL.append(headerBytes, to: &token)
        token.append(UInt8(ascii: "."))
        Base64URL.append(payload, to: &token)
        guard let signature = try? key.sign(token) else { throw .signingFailed }
        token.append(UInt8(ascii: "."))
        Base64URL.append(signature, to: &token)
        return String(decoding: token, as: UTF8.self)
    }
}
