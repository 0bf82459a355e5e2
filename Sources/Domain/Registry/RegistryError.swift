package import Attestation
package import AuditTrail

/// Why the registry refused or failed.
package enum RegistryError: Error, Hashable {
    case invalidEntry(EntryError)
    case entryNotFound
    /// The wanted entry ID belongs to another entry.
    case entryIDTaken
    /// The update would make the entry equal in SPIFFE ID, parent and selectors to the one with this ID.
    case similarEntryExists(id: String)
    case nodeNotFound
    /// The node is banned and must not attest again.
    case nodeBanned
    /// The node's method allows one attestation only, and it has happened.
    case nodeAlreadyAttested
    /// The node may not do this now.
    case nodeRefused(NodeRefusal)
    /// Not an ID of a node agent in this trust domain.
    case badNodeID
    /// A status field is longer than ``Registry/maximumVersionLength``.
    case versionTooLong
    case badJoinToken(JoinTokenAttestation.TokenError)
    case joinTokenExists
    case negativeTTL
    case joinTokenRefused(JoinTokenRefusal)
    case bundleNotFound
    case bundleExists
    case relationshipNotFound
    case relationshipExists
    /// The bundle of the own trust domain is not a federated one.
    case ownTrustDomain
    case bundleTooLarge
    /// A fetched bundle that must not take the place of the stored one.
    case bundleRefused(FederatedBundleRefusal)
    /// Entries federate with the trust domain; the value is how many.
    case bundleInUse(Int)
    case badPageToken
    /// The store failed. What the registry shows is what the store has, as far as it can be read.
    case storage(StoreError)
    /// The audit log did not take the record. Before the act: nothing was done. After it: it was done.
    case audit(AuditError)
}

/// Why a join token was refused.
package enum JoinTokenRefusal: String, Error, Hashable {
    /// Never made, or used already.
    case unknown
    case expired
    /// Not a text that could be a token.
    case malformed
}

/// Why a node that presents an SVID is not served; the reasons of SPIRE's `PermissionDeniedDetails`.
package enum NodeRefusal: String, Error, Hashable, CaseIterable {
    /// AGENT_EXPIRED: the presented certificate has ended.
    case expired = "AGENT_EXPIRED"
    /// NOT_ATTESTED: there is no such node.
    case notAttested = "NOT_ATTESTED"
    /// NOT_ACTIVE: the certificate is neither the current nor the renewed one.
    case notActive = "NOT_ACTIVE"
    /// BANNED: the node was banned.
    case banned = "BANNED"
    /// MUST_REATTEST: the node has to attest again instead of renewing.
    case mustReattest = "MUST_REATTEST"
}

/// The outcome of ``Registry/checkNode(_:serial:expiresAt:)`` when it is not yes.
package enum NodeCheckError: Error, Hashable {
    case refused(NodeRefusal)
    /// The renewed certificate could not be made the current one.
    case failed(StoreError)
}

extension RegistryError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .invalidEntry(let error): error.description
        case .entryNotFound: "entry not found"
        case .entryIDTaken: "entry id belongs to another entry"
        case .similarEntryExists(let id): "entry `\(id.prefix(80))` has the same spiffe id, parent and selectors"
        case .nodeNotFound: "node not found"
        case .nodeBanned: "node is banned"
        case .nodeAlreadyAttested: "node has already attested and cannot attest again"
        case .nodeRefused(let reason): "node is refused: \(reason.rawValue)"
        case .badNodeID: "not an id of a node agent in this trust domain"
        case .versionTooLong: "version is longer than \(Registry.maximumVersionLength) bytes"
        case .badJoinToken(let error): error.description
        case .joinTokenExists: "join token exists or was used"
        case .negativeTTL: "ttl is negative"
        case .joinTokenRefused(.unknown): "join token does not exist or has already been used"
        case .joinTokenRefused(.expired): "join token has expired"
        case .joinTokenRefused(.malformed): "join token is malformed"
        case .bundleNotFound: "bundle not found"
        case .bundleExists: "bundle exists"
        case .relationshipNotFound: "federation relationship not found"
        case .relationshipExists: "federation relationship exists"
        case .ownTrustDomain: "the own trust domain is not a federated one"
        case .bundleTooLarge: "bundle is larger than \(FederatedBundle.maximumDocumentLength) bytes"
        case .bundleRefused(let refusal): refusal.description
        case .bundleInUse(let count): "\(count) entries federate with the trust domain"
        case .badPageToken: "page token is malformed"
        case .storage(let error): error.description
        case .audit(let error): error.description
        }
    }

    /// A short word for audit records.
    package var code: String {
        switch self {
        case .invalidEntry(let error): "invalid_entry." + error.code
        case .entryNotFound: "entry_not_found"
        case .entryIDTaken: "entry_id_taken"
        case .similarEntryExists: "similar_entry_exists"
        case .nodeNotFound: "node_not_found"
        case .nodeBanned: "node_banned"
        case .nodeAlreadyAttested: "node_already_attested"
        case .nodeRefused(let reason): reason.rawValue
        case .badNodeID: "bad_node_id"
        case .versionTooLong: "version_too_long"
        case .badJoinToken: "bad_join_token"
        case .joinTokenExists: "join_token_exists"
        case .negativeTTL: "negative_ttl"
        case .joinTokenRefused(let reason): "join_token_" + reason.rawValue
        case .bundleNotFound: "bundle_not_found"
        case .bundleExists: "bundle_exists"
        case .relationshipNotFound: "relationship_not_found"
        case .relationshipExists: "relationship_exists"
        case .ownTrustDomain: "own_trust_domain"
        case .bundleTooLarge: "bundle_too_large"
        case .bundleRefused(let refusal): refusal.code
        case .bundleInUse: "bundle_in_use"
        case .badPageToken: "bad_page_token"
        case .storage: "storage"
        case .audit: "audit"
        }
    }
}
