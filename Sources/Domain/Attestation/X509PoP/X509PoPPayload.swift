import JOSE

/// What a node sends first: its certificate and those between it and an authority, `{"certificates":[…]}` in base64 DER.
package struct X509PoPPayload: Sendable, Hashable {
    /// DER, the node's own first.
    package let certificates: [[UInt8]]

    /// What a node is about to send.
    package init(certificates: [[UInt8]]) {
        self.certificates = certificates
    }

    /// Reads the message. Number and size of the certificates are checked here, before anything is decoded further.
    package init(parsing bytes: [UInt8]) throws(X509PoPError) {
        guard bytes.count <= X509PoPAttestation.maximumMessageLength else { throw .messageTooLarge }
        guard case .object(let members)? = try? JSONValue(parsing: bytes, limits: JSONLimits(maximumDepth: 4)),
            let list = members["certificates"]?.stringArrayValue
        else { throw .malformedPayload }
        guard !list.isEmpty else { throw .noCertificate }
        guard list.count <= X509PoPAttestation.maximumIntermediates + 1 else { throw .tooManyIntermediates }
        var certificates: [[UInt8]] = []
        for text in list {
            guard let der = try? Base64.decode(text) else { throw .malformedPayload }
            guard der.count <= X509PoPAttestation.maximumCertificateLength else { throw .certificateTooLarge }
            certificates.append(der)
        }
        self.certificates = certificates
    }

    /// The message.
    package var bytes: [UInt8] {
        JSONValue.object(["certificates": .array(certificates.map { .string(Base64.encode($0)) })]).serializedBytes
    }
}

/// What the control plane asks back: a nonce to sign, under the name of the key's kind.
package struct X509PoPChallenge: Sendable, Hashable {
    /// The two kinds of key that can attest a node.
    package enum Kind: String, Sendable {
        case rsa = "rsa_signature"
        case ecdsa = "ecdsa_signature"

        fileprivate var other: Kind { self == .rsa ? .ecdsa : .rsa }
    }

    package let kind: Kind
    /// 32 random bytes, used once.
    package let nonce: [UInt8]

    package init(kind: Kind, nonce: [UInt8]) {
        self.kind = kind
        self.nonce = nonce
    }

    /// Reads the message as a node gets it.
    package init(parsing bytes: [UInt8]) throws(X509PoPError) {
        let (kind, fields) = try Self.fields(bytes)
        guard let nonce = Self.bytes(fields, "nonce"), nonce.count == X509PoPAttestation.nonceLength else {
            throw .malformedChallenge
        }
        self.init(kind: kind, nonce: nonce)
    }

    /// The message; the kind that does not apply is null, as SPIRE writes it.
    package var bytes: [UInt8] {
        JSONValue.object([
            kind.rawValue: ["nonce": .string(Base64.encode(nonce))], kind.other.rawValue: nil,
        ]).serializedBytes
    }

    /// The members of the one kind that a message is about.
    static func fields(_ bytes: [UInt8]) throws(X509PoPError) -> (Kind, JSONObject) {
        guard bytes.count <= X509PoPAttestation.maximumMessageLength else { throw .messageTooLarge }
        guard case .object(let members)? = try? JSONValue(parsing: bytes, limits: JSONLimits(maximumDepth: 4)) else {
            throw .malformedChallenge
        }
        let rsa = members[Kind.rsa.rawValue]?.objectValue
        let ecdsa = members[Kind.ecdsa.rawValue]?.objectValue
        switch (rsa, ecdsa) {
        case (let fields?, nil): return (.rsa, fields)
        case (nil, let fields?): return (.ecdsa, fields)
        default: throw .malformedChallenge
        }
    }

    static func bytes(_ fields: JSONObject, _ name: String) -> [UInt8]? {
        fields[name]?.stringValue.flatMap { try? Base64.decode($0) }
    }
}

/// A node's answer: its own nonce, and its key's signature over SHA-256 of both nonces.
package struct X509PoPResponse: Sendable, Hashable {
    /// The signature in the form of its kind.
    package enum Signature: Sendable, Hashable {
        /// PSS with SHA-256.
        case rsa([UInt8])
        /// The two numbers, big-endian.
        case ecdsa(r: [UInt8], s: [UInt8])
    }

    package let nonce: [UInt8]
    package let signature: Signature

    package init(nonce: [UInt8], signature: Signature) {
        self.nonce = nonce
        self.signature = signature
    }

    /// Reads the message as the control plane gets it.
    package init(parsing bytes: [UInt8]) throws(X509PoPError) {
        let (kind, fields): (X509PoPChallenge.Kind, JSONObject)
        do {
            (kind, fields) = try X509PoPChallenge.fields(bytes)
        } catch {
            throw error == .malformedChallenge ? .malformedResponse : error
        }
        guard let nonce = X509PoPChallenge.bytes(fields, "nonce"), nonce.count == X509PoPAttestation.nonceLength else {
            throw .badNonce
        }
        self.nonce = nonce
        switch kind {
        case .rsa:
            guard let signature = X509PoPChallenge.bytes(fields, "signature") else { throw .malformedResponse }
            self.signature = .rsa(signature)
        case .ecdsa:
            guard let r = X509PoPChallenge.bytes(fields, "r"), let s = X509PoPChallenge.bytes(fields, "s") else {
                throw .malformedResponse
            }
            self.signature = .ecdsa(r: r, s: s)
        }
    }

    /// The message; the kind that does not apply is null.
    package var bytes: [UInt8] {
        let encodedNonce = JSONValue.string(Base64.encode(nonce))
        let members: JSONObject =
            switch signature {
            case .rsa(let signature):
                [
                    "rsa_signature": ["nonce": encodedNonce, "signature": .string(Base64.encode(signature))],
                    "ecdsa_signature": nil,
                ]
            case .ecdsa(let r, let s):
                [
                    "rsa_signature": nil,
                    "ecdsa_signature": [
                        "nonce": encodedNonce, "r": .string(Base64.encode(r)), "s": .string(Base64.encode(s)),
                    ],
                ]
            }
        return JSONValue.object(members).serializedBytes
    }
}
