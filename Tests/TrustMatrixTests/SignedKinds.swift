/// Everything that the product signs, or has its peers sign. A new kind needs a row in every `switch` below, and in the
/// list of files that sign (`SigningPlacesTests`).
enum SignedKind: CaseIterable, Hashable, Sendable {
    case workloadSVID, nodeSVID, serverSVID, revocationSignerSVID
    /// What the bundle holds; signed by itself.
    case root
    /// What signs X.509-SVIDs: the root itself, or a certificate below the operator's authority.
    case authority
    case downstreamCA
    case jwtSVID, witSVID
    case revocationSnapshot, revocationList
    case certificateRequest
    case checkpoint, logProof
    /// Not signed: whoever fetches it has to know its source by other means.
    case bundleDocument
    case x509popResponse
    case accessToken
    /// Signed by the key of access tokens, and none.
    case blueprintAssertion
    case transactionToken
    /// For another authorization server: for whichever client of ours, and for one that it names.
    case chainingGrant, identityAssertionGrant
    case dpopProof
    /// Signed by the SVID of the agent behind a resource.
    case transactionChallenge
    /// By the key of a WIT-SVID, for one request or response.
    case proofToken, requestSignature, responseSignature
    case agentCard

    /// The verifiers that take it, under the keys of its own trust domain; every other one refuses.
    var takers: Set<VerifierKind> {
        switch self {
        case .workloadSVID: [.x509SVID, .x509popExchange]
        case .nodeSVID: [.x509SVID]
        case .serverSVID: [.x509SVID, .serverIdentity]
        case .revocationSignerSVID: [.x509SVID]
        case .root, .authority, .downstreamCA: [.issuer, .anchor]
        case .jwtSVID: [.jwtSVID]
        case .witSVID: [.witSVID]
        case .revocationSnapshot: [.revocationSnapshot]
        // Only others read CRLs.
        case .revocationList: []
        case .certificateRequest: [.certificateRequest]
        case .checkpoint: [.checkpoint]
        case .logProof: [.logProof]
        case .bundleDocument: [.bundleDocument]
        case .x509popResponse: [.x509popResponse]
        case .accessToken: [.accessToken]
        case .blueprintAssertion: [.blueprintAssertion]
        case .transactionToken: [.transactionToken]
        case .chainingGrant, .identityAssertionGrant: [.authorizationGrant]
        case .dpopProof: [.dpopProof]
        case .transactionChallenge: [.transactionChallenge]
        case .proofToken: [.proofToken]
        case .requestSignature: [.requestSignature]
        case .responseSignature: [.responseSignature]
        case .agentCard: [.agentCard]
        }
    }

    /// Those of another trust domain that verifiers take who have its bundle too.
    var takersOfFederated: Set<VerifierKind> {
        switch self {
        case .workloadSVID, .nodeSVID, .serverSVID, .revocationSignerSVID: [.x509SVID]
        case .jwtSVID: [.jwtSVID]
        case .witSVID: [.witSVID]
        case .root, .authority, .downstreamCA, .revocationSnapshot, .revocationList, .certificateRequest, .checkpoint,
            .logProof, .bundleDocument, .x509popResponse, .accessToken, .transactionToken, .chainingGrant,
            .identityAssertionGrant, .blueprintAssertion, .dpopProof, .transactionChallenge, .agentCard, .proofToken,
            .requestSignature, .responseSignature:
            []
        }
    }
}

/// Everything in the product that judges something signed.
enum VerifierKind: CaseIterable, Hashable, Sendable {
    case x509SVID
    /// Of node agents, about the control plane.
    case serverIdentity
    /// Whether an SVID is good that the object's key has signed, with the object above it in the chain.
    case issuer
    /// The same with the object in the bundle.
    case anchor
    case jwtSVID, witSVID
    case revocationSnapshot
    case certificateRequest
    case checkpoint, logProof
    case bundleDocument
    case x509popResponse
    /// `x509pop` in mode `spiffe`: an SVID is exchanged for a node's.
    case x509popExchange
    /// `x509pop` under the operator's own PKI.
    case x509popExternal
    case accessToken
    /// The token endpoint, about the client of a request.
    case blueprintAssertion
    /// The token endpoint, about tokens of issuers outside; here it is given our own keys, and takes nothing of ours.
    case federatedAssertion
    /// The receiver of signals, given our own keys.
    case securityEvent
    case transactionToken
    /// At another authorization server.
    case authorizationGrant
    case dpopProof
    /// The transaction authorization endpoint.
    case transactionChallenge
    /// Of requests and responses that show the WIT-SVID whose key it is.
    case proofToken, requestSignature, responseSignature
    /// Whoever is about to call an agent.
    case agentCard

    /// Whether it judges without any key of a trust domain: its verdict is about form, or about the object's own key.
    var isWithoutTrust: Bool {
        switch self {
        case .certificateRequest, .bundleDocument, .anchor, .dpopProof: true
        case .x509SVID, .serverIdentity, .issuer, .jwtSVID, .witSVID, .revocationSnapshot, .checkpoint, .logProof,
            .x509popResponse, .x509popExchange, .x509popExternal, .accessToken, .transactionToken, .authorizationGrant,
            .blueprintAssertion, .transactionChallenge, .federatedAssertion, .securityEvent, .agentCard, .proofToken,
            .requestSignature, .responseSignature:
            false
        }
    }
}

/// What a private key that signs tokens is for.
enum KeyPurpose: CaseIterable, Hashable, Sendable {
    case x509Authority, jwt, wit, revocationSigner, workload, accessToken, card
}

/// The forms of signed JSON.
enum TokenForm: CaseIterable, Hashable, Sendable {
    case jwtSVID, witSVID, revocationSnapshot, accessToken, transactionToken, chainingGrant, identityAssertionGrant
    case blueprintAssertion, transactionChallenge, agentCard

    /// The one purpose whose keys sign it.
    var purpose: KeyPurpose {
        switch self {
        case .jwtSVID: .jwt
        case .witSVID: .wit
        case .revocationSnapshot: .revocationSigner
        // One issuer and one key set; `typ` keeps them apart.
        case .accessToken, .transactionToken, .chainingGrant, .identityAssertionGrant, .blueprintAssertion: .accessToken
        case .transactionChallenge: .workload
        case .agentCard: .card
        }
    }

    /// The one verifier that takes it.
    var taker: VerifierKind {
        switch self {
        case .jwtSVID: .jwtSVID
        case .witSVID: .witSVID
        case .revocationSnapshot: .revocationSnapshot
        case .accessToken: .accessToken
        case .blueprintAssertion: .blueprintAssertion
        case .transactionChallenge: .transactionChallenge
        case .agentCard: .agentCard
        case .transactionToken: .transactionToken
        case .chainingGrant, .identityAssertionGrant: .authorizationGrant
        }
    }
}
