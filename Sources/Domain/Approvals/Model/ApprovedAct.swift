import Crypto
package import JOSE
package import OAuth
package import SPIFFE

/// What a person is asked to approve: facts that were verified, and nothing that the agent says in its own words.
///
/// Approver, token and log name it by its ``hash``: who approves one act has approved no other.
package struct ApprovedAct: Sendable, Equatable {
    /// Who asks, and will hold the token.
    package let clientID: String
    package let spiffeID: SPIFFEID
    /// On whose behalf; the agent itself where it acts for nobody else.
    package let subject: String
    /// Who acts for the subject; nil if nobody does.
    package let actors: ActorChain?
    /// Where it happens.
    package let resourceID: String
    package let scope: Scope
    package let details: AuthorizationDetails?
    /// Names the transaction: the resource's word for it, or one of ours.
    package let transactionID: String
    /// The grants that hold once it is approved; empty for an act of its own.
    package let grantIDs: [String]
    /// For how many seconds they then hold; nil for an act of its own.
    package let grantSeconds: Int64?

    package init(
        clientID: String, spiffeID: SPIFFEID, subject: String, actors: ActorChain?, resourceID: String, scope: Scope,
        details: AuthorizationDetails?, transactionID: String, grantIDs: [String],
        grantSeconds: Int64? = nil
    ) {
        self.clientID = clientID
        self.spiffeID = spiffeID
        self.subject = subject
        self.actors = actors
        self.resourceID = resourceID
        self.scope = scope
        self.details = details
        self.transactionID = transactionID
        self.grantIDs = grantIDs
        self.grantSeconds = grantSeconds
    }

    /// The act as approvers see it.
    package var json: JSONObject {
        var json: JSONObject = [
            "client_id": .string(clientID), "agent": .string(spiffeID.string), "subject": .string(subject),
            "resource": .string(resourceID), "scope": .string(scope.string), "txn": .string(transactionID),
        ]
        json["act"] = actors.map { .object($0.json) }
        json["authorization_details"] = details.map(\.json)
        if !grantIDs.isEmpty { json["grants"] = .array(grantIDs.map { .string($0) }) }
        json["grant_seconds"] = grantSeconds.map { .number(JSONNumber($0)) }
        return json
    }

    /// Hex SHA-256 over the canonical form (RFC 8785) of ``json``, as the audit log has it too.
    package var hash: String { HexText.encode(SHA256.hash(data: json.canonicalBytes)) }

    init(stored json: JSONObject) throws {
        guard let clientID = json["client_id"]?.stringValue, let agent = json["agent"]?.stringValue,
            let subject = json["subject"]?.stringValue, let resource = json["resource"]?.stringValue,
            let scope = json["scope"]?.stringValue, let transaction = json["txn"]?.stringValue
        else { throw DamagedApproval() }
        self.init(
            clientID: clientID, spiffeID: try SPIFFEID(agent), subject: subject,
            actors: try json["act"].map { try ActorChain(parsing: $0, limit: ActorChain.deepestLimit) },
            resourceID: resource, scope: scope.isEmpty ? .empty : try Scope(scope),
            details: try json["authorization_details"].map { try AuthorizationDetails(json: $0) },
            transactionID: transaction,
            grantIDs: try json["grants"].map { value in
                guard let ids = value.stringArrayValue else { throw DamagedApproval() }
                return ids
            } ?? [],
            grantSeconds: json["grant_seconds"]?.int64Value)
        // A member that this version does not write would be approved without being seen.
        guard self.json == json else { throw DamagedApproval() }
    }
}

/// A stored approval is not what this version writes.
struct DamagedApproval: Error {}
