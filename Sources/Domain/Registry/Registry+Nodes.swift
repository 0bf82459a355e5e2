package import Attestation
package import AuditTrail
package import SPIFFE

/// What node attestation found, and the certificate that the node got for it.
package struct NodeRegistration: Hashable, Sendable {
    package let id: SPIFFEID
    package let attestationType: String
    package let serial: SerialNumber
    package let expiresAt: UnixTime
    package let canReattest: Bool
    package let selectors: [Selector]

    package init(
        id: SPIFFEID, attestationType: String, serial: SerialNumber, expiresAt: UnixTime, canReattest: Bool,
        selectors: [Selector] = []
    ) {
        self.id = id
        self.attestationType = attestationType
        self.serial = serial
        self.expiresAt = expiresAt
        self.canReattest = canReattest
        self.selectors = Set(selectors).sorted()
    }
}

// MARK: - Reading

extension Registry {
    /// The node with this ID.
    package func node(_ id: SPIFFEID) -> NodeRecord? {
        nodeSnapshot.node(id)
    }

    /// Nodes in the order of their first attestation. Throws ``RegistryError/badPageToken``.
    package func nodes(
        _ filter: NodeFilter = NodeFilter(), page: PageRequest = PageRequest()
    ) throws(RegistryError) -> Page<NodeRecord> {
        nodeSnapshot.page(filter, after: try page.position(), count: page.count)
    }

    /// How many nodes the filter finds.
    package func countNodes(_ filter: NodeFilter = NodeFilter()) -> Int {
        nodeSnapshot.count(filter)
    }

    var nodeSnapshot: NodeSnapshot { state.withLock { $0.nodes } }

    /// Whether a node that presents this certificate is to be served, by SPIRE's rules.
    ///
    /// `expiresAt` is the presented certificate's end: a connection can outlive it. The first use of a renewed
    /// certificate makes it the current one, which is stored and recorded before the answer.
    @discardableResult
    package func checkNode(
        _ id: SPIFFEID, serial: SerialNumber, expiresAt: UnixTime
    ) async throws(NodeCheckError) -> NodeRecord {
        let (record, isPending) = try Self.check(
            nodeSnapshot.node(id), serial: serial, expiresAt: expiresAt, now: now())
        return isPending ? try await activate(id, serial: serial, expiresAt: expiresAt) : record
    }

    private static func check(
        _ record: NodeRecord?, serial: SerialNumber, expiresAt: UnixTime, now: UnixTime
    ) throws(NodeCheckError) -> (record: NodeRecord, isPending: Bool) {
        guard expiresAt > now else { throw .refused(.expired) }
        guard let record else { throw .refused(.notAttested) }
        guard !record.isBanned, let current = record.currentSerial else { throw .refused(.banned) }
        if serial == current { return (record, false) }
        guard serial == record.pendingSerial else { throw .refused(.notActive) }
        return (record, true)
    }

    private func activate(
        _ id: SPIFFEID, serial: SerialNumber, expiresAt: UnixTime
    ) async throws(NodeCheckError) -> NodeRecord {
        let act = nodeAct(
            .nodeRenew, "activate", id, by: AuditEvent.AgentField(id: id.string, authMethod: .mtls),
            requestID: newIdentifier())
        do throws(RegistryError) {
            return try await perform(act) { () async throws(WriteFailure) in
                try await self.nodeLock.withLock { () async throws(WriteFailure) in
                    try await self.refreshNodesIfStale()
                    var node: NodeRecord
                    let isPending: Bool
                    do throws(NodeCheckError) {
                        (node, isPending) = try Self.check(
                            self.node(id), serial: serial, expiresAt: expiresAt, now: self.now())
                    } catch {
                        throw error.writeFailure
                    }
                    if isPending {
                        node.currentSerial = serial
                        node.currentExpiresAt = node.pendingExpiresAt ?? expiresAt
                        node.pendingSerial = nil
                        node.pendingExpiresAt = nil
                        try await self.apply([.put(node)])
                    }
                    return Written(value: node, facts: ["serial": serial.hex])
                }
            }
        } catch {
            switch error {
            case .nodeRefused(let reason): throw .refused(reason)
            case .storage(let error): throw .failed(error)
            case .audit(.storageFull): throw .failed(.storageFull)
            default: throw .failed(.failed(error.description))
            }
        }
    }
}

// MARK: - Writing

extension Registry {
    /// Makes or renews the record of a node that has just attested.
    ///
    /// Refused for banned nodes, and for known ones whose method allows one attestation only.
    @discardableResult
    package func registerNode(
        _ registration: NodeRegistration, by agent: AuditEvent.AgentField, requestID: String
    ) async throws(RegistryError) -> NodeRecord {
        var digest = FieldDigest()
        digest.add(registration.selectors)
        var act = nodeAct(.nodeAttest, "register", registration.id, by: agent, requestID: requestID)
        act.posture = AuditEvent.PostureField(
            level: "attested", evidenceHash: digest.hexadecimal(), assessedAt: now(),
            selectorCount: Int64(registration.selectors.count))
        guard isNodeID(registration.id) else { throw await refuse(act, .badNodeID) }
        if let error = Self.refusal(of: registration, known: node(registration.id)) {
            throw await refuse(act, error)
        }
        return try await writeNode(act) { (known: NodeRecord?) throws(WriteFailure) in
            if let error = Self.refusal(of: registration, known: known) { throw .refused(error) }
            return NodeRecord(
                id: registration.id, attestationType: registration.attestationType,
                currentSerial: registration.serial, currentExpiresAt: registration.expiresAt,
                canReattest: registration.canReattest, selectors: registration.selectors,
                agentVersion: known?.agentVersion ?? "", createdAt: known?.createdAt ?? self.now())
        }
    }

    /// Notes a renewed certificate, which becomes the current one at its first use.
    @discardableResult
    package func renewNode(
        _ id: SPIFFEID, serial: SerialNumber, expiresAt: UnixTime, by agent: AuditEvent.AgentField, requestID: String
    ) async throws(RegistryError) -> NodeRecord {
        let act = nodeAct(.nodeRenew, "renew", id, by: agent, requestID: requestID)
        do throws(NodeRefusal) {
            try Self.checkRenewal(node(id))
        } catch {
            throw await refuse(act, .nodeRefused(error))
        }
        return try await writeNode(act) { (known: NodeRecord?) throws(WriteFailure) in
            do throws(NodeRefusal) {
                try Self.checkRenewal(known)
            } catch {
                throw .refused(.nodeRefused(error))
            }
            guard var node = known else { throw .refused(.nodeRefused(.notAttested)) }
            node.pendingSerial = serial
            node.pendingExpiresAt = expiresAt
            return node
        }
    }

    /// Notes what a node says of itself. Nothing is written when it says nothing new.
    package func postStatus(
        _ id: SPIFFEID, agentVersion: String, by agent: AuditEvent.AgentField, requestID: String
    ) async throws(RegistryError) {
        let act = nodeAct(.nodeStatus, "status", id, by: agent, requestID: requestID)
        guard let known = node(id) else { throw await refuse(act, .nodeNotFound) }
        guard agentVersion.utf8.count <= Self.maximumVersionLength else {
            throw await refuse(act, .versionTooLong)
        }
        guard known.agentVersion != agentVersion else { return }
        _ = try await writeNode(act) { (known: NodeRecord?) throws(WriteFailure) in
            guard var node = known else { throw .refused(.nodeNotFound) }
            node.agentVersion = agentVersion
            return node
        }
    }

    /// Bans a node: none of its certificates is accepted any more and it cannot attest again. Banning twice is fine.
    package func banNode(
        _ id: SPIFFEID, by agent: AuditEvent.AgentField, requestID: String, cause: String = "administrator"
    ) async throws(RegistryError) {
        var act = nodeAct(.nodeBan, "ban", id, by: agent, requestID: requestID)
        act.remediation = AuditEvent.RemediationField(cause: cause, action: "ban")
        guard node(id) != nil else { throw await refuse(act, .nodeNotFound) }
        _ = try await writeNode(act) { (known: NodeRecord?) throws(WriteFailure) in
            guard var node = known else { throw .refused(.nodeNotFound) }
            node.isBanned = true
            node.currentSerial = nil
            node.pendingSerial = nil
            node.pendingExpiresAt = nil
            return node
        }
    }

    /// Forgets a node. It may attest again if it can; a node that came by join token cannot, its token is spent.
    package func evictNode(
        _ id: SPIFFEID, by agent: AuditEvent.AgentField, requestID: String, cause: String = "administrator"
    ) async throws(RegistryError) {
        var act = nodeAct(.nodeEvict, "evict", id, by: agent, requestID: requestID)
        act.remediation = AuditEvent.RemediationField(cause: cause, action: "evict")
        guard node(id) != nil else { throw await refuse(act, .nodeNotFound) }
        try await perform(act) { () async throws(WriteFailure) in
            try await self.nodeLock.withLock { () async throws(WriteFailure) in
                try await self.refreshNodesIfStale()
                guard self.node(id) != nil else { throw .refused(.nodeNotFound) }
                try await self.apply([.delete(id: id)])
                return Written(value: ())
            }
        }
    }

    /// Forgets nodes whose certificate ended before `time`; bans stay. Returns who went, or would go in a dry run.
    package func purgeNodes(
        expiredBefore time: UnixTime, canReattest: Bool? = nil, dryRun: Bool = false,
        by agent: AuditEvent.AgentField, requestID: String
    ) async throws(RegistryError) -> [NodeRecord] {
        let filter = NodeFilter(isBanned: false, canReattest: canReattest, expiresBefore: time)
        var purged: [NodeRecord] = []
        var token = ""
        repeat {
            let page = try nodes(filter, page: PageRequest(size: Self.purgeBatch, token: token))
            token = page.nextToken
            guard !dryRun, !page.items.isEmpty else {
                purged += page.items
                continue
            }
            purged += try await purge(page.items.map(\.id), filter, by: agent, requestID: requestID)
        } while !token.isEmpty
        return purged
    }

    /// Nodes forgotten in one transaction and one record.
    private static var purgeBatch: Int { 500 }

    private func purge(
        _ ids: [SPIFFEID], _ filter: NodeFilter, by agent: AuditEvent.AgentField, requestID: String
    ) async throws(RegistryError) -> [NodeRecord] {
        var digest = FieldDigest()
        digest.add(ids)
        let act = RegistryAct(
            type: .nodePurge, action: "purge",
            resource: AuditEvent.ResourceField(kind: "node", id: "expired", argsHash: digest.hexadecimal()),
            agent: agent, requestID: requestID,
            remediation: AuditEvent.RemediationField(cause: "expired", action: "evict"), counted: Int64(ids.count))
        return try await perform(act) { () async throws(WriteFailure) in
            try await self.nodeLock.withLock { () async throws(WriteFailure) in
                try await self.refreshNodesIfStale()
                // A node may have renewed or attested again since the list was made.
                let gone = ids.compactMap { self.node($0) }.filter(filter.matches)
                if !gone.isEmpty { try await self.apply(gone.map { .delete(id: $0.id) }) }
                return Written(value: gone, facts: ["purged": String(gone.count)])
            }
        }
    }

    private func writeNode(
        _ act: RegistryAct, _ change: (NodeRecord?) throws(WriteFailure) -> NodeRecord
    ) async throws(RegistryError) -> NodeRecord {
        guard let id = try? SPIFFEID(act.resource.id) else { throw .badNodeID }
        return try await perform(act) { () async throws(WriteFailure) in
            try await self.nodeLock.withLock { () async throws(WriteFailure) in
                try await self.refreshNodesIfStale()
                let node = try change(self.node(id))
                try await self.apply([.put(node)])
                var facts: [String: String] = [:]
                if let serial = node.pendingSerial ?? node.currentSerial { facts["serial"] = serial.hex }
                return Written(value: node, facts: facts)
            }
        }
    }

    private static func refusal(of registration: NodeRegistration, known: NodeRecord?) -> RegistryError? {
        guard let known else { return nil }
        if known.isBanned { return .nodeBanned }
        return registration.canReattest && known.canReattest ? nil : .nodeAlreadyAttested
    }

    private static func checkRenewal(_ known: NodeRecord?) throws(NodeRefusal) {
        guard let known else { throw .notAttested }
        guard !known.isBanned else { throw .banned }
        guard !known.canReattest else { throw .mustReattest }
    }

    private func isNodeID(_ id: SPIFFEID) -> Bool {
        id.isMember(of: trustDomain) && id.path.utf8.starts(with: "/spire/agent/".utf8)
    }

    private func nodeAct(
        _ type: EventType, _ action: String, _ id: SPIFFEID, by agent: AuditEvent.AgentField, requestID: String
    ) -> RegistryAct {
        RegistryAct(
            type: type, action: action, resource: AuditEvent.ResourceField(kind: "node", id: id.string), agent: agent,
            requestID: requestID)
    }

    // MARK: The store and the snapshot

    /// Stores the changes and shows them. INVARIANT: the node lock is held.
    private func apply(_ changes: [NodeChange]) async throws(WriteFailure) {
        let before = nodeSnapshot
        do {
            try await stores.nodes.apply(changes)
        } catch {
            let observed = await resynchronize(after: changes, before: before)
            throw WriteFailure(error: .storage(error), observed: observed)
        }
        show(changes, over: before)
    }

    private func resynchronize(
        after changes: [NodeChange], before: NodeSnapshot
    ) async -> AuditEvent.EffectField.Observed {
        do throws(StoreError) {
            var actual: [NodeChange] = []
            for id in Set(changes.map(\.id)) {
                if let node = try await stores.nodes.node(id: id) {
                    actual.append(.put(node))
                } else {
                    actual.append(.delete(id: id))
                }
            }
            show(actual, over: before)
            let after = nodeSnapshot
            if changes.allSatisfy({ after.node($0.id) == $0.node }) { return .occurred }
            return changes.allSatisfy { after.node($0.id) == before.node($0.id) } ? .none : .unknown
        } catch {
            state.withLock { $0.nodesAreStale = true }
            return .unknown
        }
    }

    private func show(_ changes: [NodeChange], over before: NodeSnapshot) {
        var snapshot = before
        var hasChanged = false
        var authorizationMayDiffer = false
        for change in changes where snapshot.node(change.id) != change.node {
            hasChanged = true
            let old = snapshot.node(change.id)
            authorizationMayDiffer =
                authorizationMayDiffer || old?.selectors != change.node?.selectors
                || old?.isBanned != change.node?.isBanned
            if let node = change.node { snapshot.put(node) } else { snapshot.remove(change.id) }
        }
        guard hasChanged else { return }
        publish { state in
            state.nodes = snapshot
            state.position.nodesRevision += 1
            if authorizationMayDiffer { state.position.entriesRevision += 1 }
        }
    }

    private func refreshNodesIfStale() async throws(WriteFailure) {
        guard state.withLock({ $0.nodesAreStale }) else { return }
        do {
            try await loadNodes()
        } catch {
            throw WriteFailure(error: .storage(error), observed: .none)
        }
    }
}

extension NodeCheckError {
    fileprivate var writeFailure: WriteFailure {
        switch self {
        case .refused(let reason): .refused(.nodeRefused(reason))
        case .failed(let error): .refused(.storage(error))
        }
    }
}

extension NodeChange {
    /// The node that the change is about.
    var id: SPIFFEID {
        switch self {
        case .put(let node): node.id
        case .delete(let id): id
        }
    }

    /// What is there after the change.
    var node: NodeRecord? {
        switch self {
        case .put(let node): node
        case .delete: nil
        }
    }
}

extension EventType {
    /// A node reported its version.
    static let nodeStatus = EventType(rawValue: "node.status")
}
