import Attestation
package import AuditTrail
import Crypto
package import SPIFFE

extension Registry {
    /// Makes a join token for one attestation.
    ///
    /// - Parameters:
    ///   - ttl: seconds until the token is refused; 0 means ``defaultJoinTokenTTL``.
    ///   - value: the operator's own token; nil draws a random one.
    ///   - nodeAlias: a workload ID that stands for the node, as parent of other entries.
    package func createJoinToken(
        ttl: Int32 = 0, value: String? = nil, nodeAlias: SPIFFEID? = nil, by agent: AuditEvent.AgentField,
        requestID: String
    ) async throws(RegistryError) -> JoinToken {
        let value = value ?? newIdentifier()
        let digest = Self.digest(ofToken: value)
        let act = tokenAct(.tokenCreate, "create", digest: digest, by: agent, requestID: requestID)
        guard ttl >= 0 else { throw await refuse(act, .negativeTTL) }
        let nodeID: SPIFFEID
        do {
            nodeID = try JoinTokenAttestation.nodeID(token: value, trustDomain: trustDomain)
        } catch {
            throw await refuse(act, .badJoinToken(error))
        }
        // A used token stays used, also when somebody chooses its text again.
        guard node(nodeID) == nil else { throw await refuse(act, .joinTokenExists) }
        let expiresAt = now() + Int64(ttl == 0 ? Self.defaultJoinTokenTTL : ttl)
        // The alias comes first: a token that can be used has its alias.
        var alias: RegistrationEntry?
        if let nodeAlias {
            alias = try await createAlias(nodeAlias, of: nodeID, by: agent, requestID: requestID)
        }
        do throws(RegistryError) {
            return try await perform(act) { () async throws(WriteFailure) in
                do throws(StoreError) {
                    try await self.stores.joinTokens.insert(JoinTokenRecord(digest: digest, expiresAt: expiresAt))
                } catch .conflict {
                    throw .refused(.joinTokenExists)
                } catch {
                    // The token may be stored, but its text is told to nobody.
                    throw WriteFailure(error: .storage(error), observed: .unknown)
                }
                return Written(
                    value: JoinToken(value: value, expiresAt: expiresAt), facts: ["expires": expiresAt.description])
            }
        } catch {
            if let alias { _ = try? await deleteEntry(alias.id, by: agent, requestID: requestID) }
            throw error
        }
    }

    /// Uses up a join token and answers which node presented it. Of parallel callers with one token one succeeds.
    ///
    /// A refusal is not recorded here: the caller is unauthenticated, so it belongs into the limited record of refusals.
    /// A use is recorded after the fact, and a use that cannot be recorded is refused: the token is lost then.
    package func consumeJoinToken(
        _ value: String, by agent: AuditEvent.AgentField, requestID: String
    ) async throws(RegistryError) -> SPIFFEID {
        let nodeID: SPIFFEID
        do {
            nodeID = try JoinTokenAttestation.nodeID(token: value, trustDomain: trustDomain)
        } catch {
            throw .joinTokenRefused(.malformed)
        }
        let digest = Self.digest(ofToken: value)
        let record: JoinTokenRecord?
        do {
            record = try await stores.joinTokens.consume(digest: digest)
        } catch {
            throw .storage(error)
        }
        guard let record else { throw .joinTokenRefused(.unknown) }
        let act = tokenAct(.tokenConsume, "consume", digest: digest, by: agent, requestID: requestID)
        let isExpired = record.expiresAt <= now()
        let event = act.event(
            .single, isExpired ? .deny : .permit, reason: isExpired ? "join_token_expired" : nil,
            effect: AuditEvent.EffectField(observed: .occurred, result: ["expires": record.expiresAt.description]))
        do {
            _ = try await audit.record(event)
        } catch {
            throw .audit(error)
        }
        guard !isExpired else { throw .joinTokenRefused(.expired) }
        return nodeID
    }

    /// The entry that makes `alias` stand for the node, as SPIRE makes it.
    private func createAlias(
        _ alias: SPIFFEID, of nodeID: SPIFFEID, by agent: AuditEvent.AgentField, requestID: String
    ) async throws(RegistryError) -> RegistrationEntry? {
        let draft = EntryDraft(
            spiffeID: alias, parentID: nodeID,
            selectors: [Selector(spiffeID: nodeID)].compactMap { $0 })
        switch try await createEntry(draft, by: agent, requestID: requestID) {
        case .created(let entry): return entry
        case .similar: return nil
        }
    }

    private func tokenAct(
        _ type: EventType, _ action: String, digest: String, by agent: AuditEvent.AgentField, requestID: String
    ) -> RegistryAct {
        // A part of the digest names the token; the token itself never enters a record.
        RegistryAct(
            type: type, action: action,
            resource: AuditEvent.ResourceField(kind: "join-token", id: String(digest.prefix(16))), agent: agent,
            requestID: requestID)
    }

    private static func digest(ofToken value: String) -> String {
        Hexadecimal.encode(SHA256.hash(data: Array(value.utf8)))
    }
}

extension Selector {
    /// `spiffe_id:<ID>`, which no workload attestor makes.
    fileprivate init?(spiffeID: SPIFFEID) {
        try? self.init(type: "spiffe_id", value: spiffeID.string)
    }
}

extension EventType {
    /// A join token was used up.
    static let tokenConsume = EventType(rawValue: "token.consume")
}
