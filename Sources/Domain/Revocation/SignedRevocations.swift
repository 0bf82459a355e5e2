package import JOSE
package import SPIFFE

/// A revocation snapshot as it travels: a compact JWS of a key of its own, whose certificate is in the header.
///
/// The certificate is an X509-SVID of ``signerPath``, which no workload gets; so whoever has the trust domain's X.509
/// bundle can verify a snapshot, and needs to learn no other key. No other verifier takes it: its `typ` is no token's,
/// and its key is in no JWT bundle.
package enum SignedRevocations {
    /// The `typ` of the header.
    package static let type = "agentshield-revocations+jws"
    /// Path of the signer's SPIFFE ID.
    package static let signerPath = "/spire/revocation"
    /// Longest signed snapshot, in bytes.
    package static let maximumBytes = 768 << 10
    /// Seconds by which clocks may differ.
    package static let leeway: Int64 = 60

    /// Signs a snapshot.
    /// - Parameter chain: the signer's certificate, DER, leaf first.
    package static func sign(
        _ snapshot: RevocationSnapshot, key: JWSSigningKey, chain: [[UInt8]]
    ) throws(RevocationError) -> [UInt8] {
        let payload = payload(of: snapshot)
        guard payload.count <= RevocationSnapshot.maximumPayloadBytes else { throw .tooLarge }
        do {
            let token = try CompactJWS.sign(
                header: [
                    ("typ", .string(type)), ("x5c", .array(chain.map { .string(Base64.encode($0)) })),
                ], payload: payload, key: key)
            return Array(token.utf8)
        } catch {
            throw .badSignature
        }
    }

    /// Verifies a snapshot of the bundle's trust domain as at a moment.
    package static func verify(
        _ token: [UInt8], bundle: X509Bundle, at time: UnixTime
    ) throws(RevocationError) -> RevocationSnapshot {
        let jws = try parse(token)
        guard let certificates = jws.header.json["x5c"]?.stringArrayValue, !certificates.isEmpty,
            certificates.count <= X509SVIDVerifier.maximumChainLength
        else { throw .malformed("x5c") }
        var chain: [[UInt8]] = []
        for certificate in certificates {
            guard let der = try? Base64.decode(certificate) else { throw .malformed("x5c") }
            chain.append(der)
        }
        let signer: VerifiedX509SVID
        do throws(X509VerificationError) {
            signer = try X509SVIDVerifier.verify(
                chain: chain, bundle: { $0 == bundle.trustDomain ? bundle : nil }, at: time)
        } catch {
            throw .signer(error)
        }
        guard signer.id.path == signerPath, signer.id.trustDomain == bundle.trustDomain else {
            throw .notTheSigner(signer.id)
        }
        guard
            let key = try? JWSVerificationKey(
                derSPKI: signer.leaf.publicKey.derSPKI, keyID: jws.header.keyID, algorithm: .es256)
        else { throw .badSignature }
        do {
            try jws.verify(with: key)
        } catch {
            throw .badSignature
        }
        let snapshot = try read(jws.payload)
        guard snapshot.trustDomain == signer.id.trustDomain else { throw .otherTrustDomain }
        guard snapshot.issuedAt <= time + leeway else { throw .notYetValid }
        guard time < snapshot.expiresAt else { throw .expired }
        return snapshot
    }

    /// Reads a snapshot whose verification was this process's own, before it put it away.
    package static func readStored(_ token: [UInt8]) throws(RevocationError) -> RevocationSnapshot {
        try read(parse(token).payload)
    }

    private static func parse(_ token: [UInt8]) throws(RevocationError) -> CompactJWS {
        guard token.count <= maximumBytes else { throw .tooLarge }
        let jws: CompactJWS
        do throws(JWSError) {
            jws = try CompactJWS(parsing: token, limits: JWSLimits(maximumBytes: maximumBytes))
        } catch {
            throw .malformed(error.description)
        }
        guard jws.header.type == type else { throw .malformed("typ") }
        return jws
    }
}

extension SignedRevocations {
    private static func payload(of snapshot: RevocationSnapshot) -> [UInt8] {
        var members: [(String, JSONValue)] = [
            ("iss", .string(snapshot.trustDomain.idString)), ("seq", .number(JSONNumber(snapshot.sequence))),
            ("iat", .number(JSONNumber(snapshot.issuedAt.seconds))),
            ("exp", .number(JSONNumber(snapshot.expiresAt.seconds))),
        ]
        let groups = Dictionary(grouping: snapshot.subjects, by: \.kind)
        for kind in RevokedSubject.Kind.allCases {
            guard let subjects = groups[kind] else { continue }
            // Sorted, so that equal states give equal bytes. Agents without the scheme and name that all share.
            let values = subjects.map { subject in
                if case .agent(let id) = subject { return id.path }
                return subject.value
            }
            members.append((kind.rawValue, .array(values.sorted().map { .string($0) })))
        }
        return JSONObject(members).serializedBytes
    }

    private static func read(_ payload: [UInt8]) throws(RevocationError) -> RevocationSnapshot {
        guard payload.count <= RevocationSnapshot.maximumPayloadBytes else { throw .tooLarge }
        let limits = JSONLimits(maximumBytes: RevocationSnapshot.maximumPayloadBytes, maximumDepth: 4)
        guard let object = (try? JSONValue(parsing: payload, limits: limits))?.objectValue else {
            throw .malformed("payload")
        }
        guard let issuer = object["iss"]?.stringValue, let trustDomain = try? TrustDomain(idOrName: issuer),
            let sequence = object["seq"]?.int64Value, let issued = object["iat"]?.int64Value,
            let expires = object["exp"]?.int64Value
        else { throw .malformed("iss, seq, iat or exp") }
        var subjects: Set<RevokedSubject> = []
        for kind in RevokedSubject.Kind.allCases {
            guard let member = object[kind.rawValue] else { continue }
            guard let values = member.stringArrayValue else { throw .malformed(kind.rawValue) }
            guard subjects.count + values.count <= RevocationSnapshot.maximumSubjects else { throw .tooLarge }
            for value in values {
                let text = kind == .agent ? trustDomain.idString + value : value
                guard let subject = try? RevokedSubject(kind: kind, value: text) else {
                    throw .malformed(kind.rawValue)
                }
                subjects.insert(subject)
            }
        }
        return try RevocationSnapshot(
            trustDomain: trustDomain, sequence: sequence, issuedAt: UnixTime(seconds: issued),
            expiresAt: UnixTime(seconds: expires), subjects: subjects)
    }
}
