package import AuditTrail
import Crypto
package import SPIFFE

/// What happens to entries that federate with a trust domain whose bundle is deleted.
package enum BundleDeleteMode: String, Hashable, Sendable, CaseIterable {
    /// The bundle stays if there are any.
    case restrict
    /// They stop to federate with it.
    case dissociate
    /// They are deleted too.
    case delete
}

/// Whether a bundle must be new or known.
package enum BundleWrite: String, Hashable, Sendable, CaseIterable {
    /// Refused when there is one.
    case create
    /// Refused when there is none.
    case update
    /// Either.
    case set
}

extension Registry {
    /// The bundle of another trust domain.
    package func federatedBundle(_ trustDomain: TrustDomain) -> FederatedBundle? {
        state.withLock { $0.bundles[trustDomain] }
    }

    /// Bundles in the order of their trust domains' names; a page token is the last name.
    package func federatedBundles(
        page: PageRequest = PageRequest()
    ) throws(RegistryError) -> Page<FederatedBundle> {
        var last: TrustDomain?
        if !page.token.isEmpty {
            guard let name = try? TrustDomain(page.token) else { throw .badPageToken }
            last = name
        }
        let bundles = state.withLock { $0.bundles }
        let rest = bundles.values.sorted { $0.trustDomain < $1.trustDomain }.drop { bundle in
            last.map { bundle.trustDomain <= $0 } ?? false
        }
        let items = Array(rest.prefix(page.count))
        return Page(items: items, nextToken: items.count < rest.count ? items.last?.trustDomain.name ?? "" : "")
    }

    /// How many other trust domains have a bundle here.
    package func countFederatedBundles() -> Int {
        state.withLock { $0.bundles.count }
    }

    /// Stores the bundle of another trust domain. The document must have been parsed by the caller.
    @discardableResult
    package func writeFederatedBundle(
        _ trustDomain: TrustDomain, document: [UInt8], _ mode: BundleWrite, by agent: AuditEvent.AgentField,
        requestID: String
    ) async throws(RegistryError) -> FederatedBundle {
        let act = bundleAct(
            .bundleSet, mode.rawValue, trustDomain, digest: Hexadecimal.encode(SHA256.hash(data: document)), by: agent,
            requestID: requestID)
        guard trustDomain != self.trustDomain else { throw await refuse(act, .ownTrustDomain) }
        guard document.count <= FederatedBundle.maximumDocumentLength else {
            throw await refuse(act, .bundleTooLarge)
        }
        if let error = refusal(of: mode, trustDomain) { throw await refuse(act, error) }
        return try await write(trustDomain, document, act) { refusal(of: mode, trustDomain) }
    }

    /// Stores a bundle as its endpoint published it, unless the rules for fetched bundles refuse it.
    ///
    /// The rules are asked under the lock: what an administrator has written while the fetch was under way counts.
    /// - Parameter isWanted: whether the relationship that it was fetched for is still there.
    package func writeFetchedBundle(
        _ bundle: TrustBundle, requestID: String, isWanted: @Sendable () -> Bool
    ) async throws(RegistryError) {
        let trustDomain = bundle.trustDomain
        let document = bundle.spiffeJSON()
        let act = bundleAct(
            .bundleSet, "refresh", trustDomain, digest: Hexadecimal.encode(SHA256.hash(data: document)),
            by: .internal(), requestID: requestID)
        guard trustDomain != self.trustDomain else { throw await refuse(act, .ownTrustDomain) }
        guard document.count <= FederatedBundle.maximumDocumentLength else {
            throw await refuse(act, .bundleTooLarge)
        }
        _ = try await write(trustDomain, document, act) {
            guard isWanted() else { return .relationshipNotFound }
            do throws(FederatedBundleRefusal) {
                try FederatedBundleRules.check(bundle, replacing: federatedBundle(trustDomain)?.parsed)
                return nil
            } catch {
                return .bundleRefused(error)
            }
        }
    }

    /// - Parameter refusal: asked under the lock, when nothing else can change any more.
    private func write(
        _ trustDomain: TrustDomain, _ document: [UInt8], _ act: RegistryAct, refusal: () -> RegistryError?
    ) async throws(RegistryError) -> FederatedBundle {
        try await perform(act) { () async throws(WriteFailure) in
            try await self.entryLock.withLock { () async throws(WriteFailure) in
                try await self.refreshIfStale()
                if let error = refusal() { throw .refused(error) }
                let bundle = FederatedBundle(trustDomain: trustDomain, document: document, updatedAt: self.now())
                try await self.apply(.put(bundle))
                return Written(value: bundle)
            }
        }
    }

    /// Removes the bundle of another trust domain.
    package func deleteFederatedBundle(
        _ trustDomain: TrustDomain, _ mode: BundleDeleteMode, by agent: AuditEvent.AgentField, requestID: String
    ) async throws(RegistryError) {
        let act = bundleAct(
            .bundleDelete, "delete." + mode.rawValue, trustDomain, digest: nil, by: agent, requestID: requestID)
        guard federatedBundle(trustDomain) != nil else { throw await refuse(act, .bundleNotFound) }
        try await perform(act) { () async throws(WriteFailure) in
            try await self.entryLock.withLock { () async throws(WriteFailure) in
                try await self.refreshIfStale()
                guard self.federatedBundle(trustDomain) != nil else { throw .refused(.bundleNotFound) }
                let users = self.entrySnapshot.entries(federatingWith: trustDomain)
                // Entries first: whatever fails later, no entry names a bundle that is gone.
                switch mode {
                case .restrict where !users.isEmpty:
                    throw .refused(.bundleInUse(users.count))
                case .dissociate where !users.isEmpty:
                    try await self.apply(users.map { .replace($0.dissociated(from: trustDomain)) })
                case .delete where !users.isEmpty:
                    try await self.apply(users.map { .delete(id: $0.id) })
                case .restrict, .dissociate, .delete:
                    break
                }
                try await self.apply(.delete(trustDomain))
                return Written(value: (), facts: ["entries": String(users.count)])
            }
        }
    }

    private func refusal(of mode: BundleWrite, _ trustDomain: TrustDomain) -> RegistryError? {
        switch (mode, federatedBundle(trustDomain) != nil) {
        case (.create, true): .bundleExists
        case (.update, false): .bundleNotFound
        default: nil
        }
    }

    private func bundleAct(
        _ type: EventType, _ action: String, _ trustDomain: TrustDomain, digest: String?,
        by agent: AuditEvent.AgentField, requestID: String
    ) -> RegistryAct {
        RegistryAct(
            type: type, action: action,
            resource: AuditEvent.ResourceField(kind: "federated-bundle", id: trustDomain.name, argsHash: digest),
            agent: agent, requestID: requestID)
    }

    // MARK: The store and the snapshot

    /// Stores the change and shows it. INVARIANT: the entry lock is held.
    private func apply(_ change: FederatedBundleChange) async throws(WriteFailure) {
        let before = federatedBundle(change.trustDomain)
        do {
            try await stores.federatedBundles.apply([change])
        } catch {
            let observed: AuditEvent.EffectField.Observed
            do throws(StoreError) {
                let stored = try await stores.federatedBundles.bundle(for: change.trustDomain)
                show(stored, for: change.trustDomain)
                observed = stored == change.bundle ? .occurred : stored == before ? .none : .unknown
            } catch {
                state.withLock { $0.bundlesAreStale = true }
                observed = .unknown
            }
            throw WriteFailure(error: .storage(error), observed: observed)
        }
        show(change.bundle, for: change.trustDomain)
    }

    private func show(_ bundle: FederatedBundle?, for trustDomain: TrustDomain) {
        guard federatedBundle(trustDomain) != bundle else { return }
        publish { state in
            state.bundles[trustDomain] = bundle
            state.position.bundlesRevision += 1
        }
    }
}

extension FederatedBundle {
    /// Longest accepted document in bytes.
    package static let maximumDocumentLength = 1 << 20

    /// The bundle itself; nil for a document that is none any more.
    package var parsed: TrustBundle? {
        try? TrustBundle(parsingSPIFFEJSON: document, trustDomain: trustDomain)
    }
}

extension FederatedBundleChange {
    fileprivate var trustDomain: TrustDomain {
        switch self {
        case .put(let bundle): bundle.trustDomain
        case .delete(let trustDomain): trustDomain
        }
    }

    fileprivate var bundle: FederatedBundle? {
        switch self {
        case .put(let bundle): bundle
        case .delete: nil
        }
    }
}

extension RegistrationEntry {
    fileprivate func dissociated(from trustDomain: TrustDomain) -> RegistrationEntry {
        var entry = self
        entry.federatesWith.removeAll { $0 == trustDomain }
        entry.revision = revision.addingReportingOverflow(1).partialValue
        return entry
    }
}
