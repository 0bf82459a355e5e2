package import JOSE
package import SPIFFE

/// All that a workload gets for mutual TLS; always the complete state, what is absent is withdrawn
/// (SPIFFE Workload API, X.509-SVID profile).
package struct WorkloadX509Context: Sendable, Equatable {
    /// The workload's identities, the default one first.
    package var svids: [WorkloadX509SVID]
    /// Concatenated DER roots of the trust domains that the identities federate with.
    package var federatedBundles: [TrustDomain: [UInt8]]
    /// CRLs in DER.
    package var revocationLists: [[UInt8]]

    package init(
        svids: [WorkloadX509SVID], federatedBundles: [TrustDomain: [UInt8]] = [:], revocationLists: [[UInt8]] = []
    ) {
        self.svids = svids
        self.federatedBundles = federatedBundles
        self.revocationLists = revocationLists
    }
}

/// One X509-SVID with its key, as bytes: the receiver parses and checks them.
package struct WorkloadX509SVID: Sendable, Equatable {
    package var id: SPIFFEID
    /// Concatenated DER, leaf first, without the root.
    package var chain: [UInt8]
    /// PKCS #8 DER.
    package var privateKey: [UInt8]
    /// Concatenated DER roots of the identity's own trust domain.
    package var bundle: [UInt8]
    /// The operator's word for what the identity is for; empty without one.
    package var hint: String

    package init(id: SPIFFEID, chain: [UInt8], privateKey: [UInt8], bundle: [UInt8], hint: String = "") {
        self.id = id
        self.chain = chain
        self.privateKey = privateKey
        self.bundle = bundle
        self.hint = hint
    }
}

extension WorkloadX509SVID: CustomStringConvertible, CustomReflectable {
    /// Never the key.
    package var description: String { "X509-SVID of \(id)" }
    package var customMirror: Mirror { Mirror(self, children: ["id": id]) }
}

/// The X.509 bundles alone; always the complete state.
package struct WorkloadX509Bundles: Sendable, Equatable {
    /// Concatenated DER roots; the own trust domain is among them.
    package var bundles: [TrustDomain: [UInt8]]
    /// CRLs in DER.
    package var revocationLists: [[UInt8]]

    package init(bundles: [TrustDomain: [UInt8]], revocationLists: [[UInt8]] = []) {
        self.bundles = bundles
        self.revocationLists = revocationLists
    }
}

/// The JWT bundles; always the complete state.
package struct WorkloadJWTBundles: Sendable, Equatable {
    /// Plain JWK sets of JWT-SVID keys and nothing else; the own trust domain is among them.
    package var bundles: [TrustDomain: [UInt8]]
    /// Another number has the state sent once more, though it is the same: tokens of keys that it still holds may have
    /// ended, by a taint or a revocation, and who keeps tokens asks for them anew. It is not on the wire.
    package var turn: UInt64

    package init(bundles: [TrustDomain: [UInt8]], turn: UInt64 = 0) {
        self.bundles = bundles
        self.turn = turn
    }
}

/// One JWT-SVID.
package struct WorkloadJWTSVID: Sendable, Equatable {
    package var id: SPIFFEID
    /// JWS compact serialization. A bearer token: never in a log.
    package var token: String
    /// The operator's word for what the identity is for; empty without one.
    package var hint: String

    package init(id: SPIFFEID, token: String, hint: String = "") {
        self.id = id
        self.token = token
        self.hint = hint
    }
}

extension WorkloadJWTSVID: CustomStringConvertible, CustomReflectable {
    /// Never the token.
    package var description: String { "JWT-SVID of \(id)" }
    package var customMirror: Mirror { Mirror(self, children: ["id": id]) }
}

/// One WIT-SVID with the key that it names.
package struct WorkloadWITSVID: Sendable, Equatable {
    package var id: SPIFFEID
    /// JWS compact serialization.
    package var token: String
    /// The private key as JWK. A secret.
    package var privateKey: String
    /// The operator's word for what the identity is for; empty without one.
    package var hint: String

    package init(id: SPIFFEID, token: String, privateKey: String, hint: String = "") {
        self.id = id
        self.token = token
        self.privateKey = privateKey
        self.hint = hint
    }
}

extension WorkloadWITSVID: CustomStringConvertible, CustomReflectable {
    /// Never the key.
    package var description: String { "WIT-SVID of \(id)" }
    package var customMirror: Mirror { Mirror(self, children: ["id": id]) }
}

/// A workload's WIT-SVIDs; always the complete state, the default identity first.
package struct WorkloadWITSVIDs: Sendable, Equatable {
    package var svids: [WorkloadWITSVID]

    package init(svids: [WorkloadWITSVID]) {
        self.svids = svids
    }
}

/// The WIT bundles; always the complete state.
package struct WorkloadWITBundles: Sendable, Equatable {
    /// JWK sets of WIT-SVID keys and nothing else; the own trust domain is among them.
    package var bundles: [TrustDomain: [UInt8]]

    package init(bundles: [TrustDomain: [UInt8]]) {
        self.bundles = bundles
    }
}

/// What a JWT-SVID says, after it was verified.
package struct WorkloadJWTValidation: Sendable, Equatable {
    package var id: SPIFFEID
    /// All claims; `aud` always as a list. Numbers have passed through doubles.
    package var claims: JSONObject

    package init(id: SPIFFEID, claims: JSONObject) {
        self.id = id
        self.claims = claims
    }
}
