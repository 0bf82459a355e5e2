import ControlPlaneAPI
import GRPCCore
import Registry
import SPIFFE

/// `spire.api.server.entry.v1.Entry`: registration entries, for administrators and for node agents.
struct EntryService: Spire_Api_Server_Entry_V1_Entry.SimpleServiceProtocol {
    let registry: Registry

    /// Largest page of a listing; larger wishes get this.
    static let maximumPage = 1000
    /// Entries that one batch call may carry.
    static let maximumBatch = 1000
    /// Entries in one message of SyncAuthorizedEntries, as SPIRE's server pages.
    static let syncPage = 500

    func countEntries(
        request: Spire_Api_Server_Entry_V1_CountEntriesRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Entry_V1_CountEntriesResponse {
        var listing = Spire_Api_Server_Entry_V1_ListEntriesRequest.Filter()
        if request.filter.hasBySpiffeID { listing.bySpiffeID = request.filter.bySpiffeID }
        if request.filter.hasByParentID { listing.byParentID = request.filter.byParentID }
        if request.filter.hasBySelectors { listing.bySelectors = request.filter.bySelectors }
        if request.filter.hasByFederatesWith { listing.byFederatesWith = request.filter.byFederatesWith }
        if request.filter.hasByHint { listing.byHint = request.filter.byHint }
        if request.filter.hasByDownstream { listing.byDownstream = request.filter.byDownstream }
        let count = registry.countEntries(try listing.parsed())
        return .with { $0.count = Int32(clamping: count) }
    }

    func listEntries(
        request: Spire_Api_Server_Entry_V1_ListEntriesRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Entry_V1_ListEntriesResponse {
        let page = try PageRequest(wireSize: request.pageSize, token: request.pageToken, maximum: Self.maximumPage)
        let filter = try request.filter.parsed()
        let result = try Self.answering { () throws(RegistryError) in try registry.entries(filter, page: page) }
        let mask = request.hasOutputMask ? request.outputMask : nil
        return .with {
            $0.entries = result.items.map { Spire_Api_Types_Entry($0, mask: mask) }
            $0.nextPageToken = result.nextToken
        }
    }

    func getEntry(
        request: Spire_Api_Server_Entry_V1_GetEntryRequest, context: ServerContext
    ) async throws -> Spire_Api_Types_Entry {
        guard !request.id.isEmpty else { throw RPCError(code: .invalidArgument, message: "missing ID") }
        guard let entry = registry.entry(request.id) else {
            throw RPCError(code: .notFound, message: "entry not found")
        }
        return Spire_Api_Types_Entry(entry, mask: request.hasOutputMask ? request.outputMask : nil)
    }

    func batchCreateEntry(
        request: Spire_Api_Server_Entry_V1_BatchCreateEntryRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Entry_V1_BatchCreateEntryResponse {
        let caller = try context.caller
        let refusals = try context.refusals
        try Self.checkBatch(request.entries.count)
        let mask = request.hasOutputMask ? request.outputMask : nil
        let drafts = request.entries.map { Self.draft($0, request.allowAnyLauncher) }
        let creations = await registry.createEntries(
            drafts.compactMap { try? $0.get() }, by: caller.audit, requestID: caller.requestID)
        var made = creations.makeIterator()
        var response = Spire_Api_Server_Entry_V1_BatchCreateEntryResponse()
        for draft in drafts {
            var result = Spire_Api_Server_Entry_V1_BatchCreateEntryResponse.Result()
            do throws(RPCError) {
                _ = try draft.get()
                guard let creation = made.next() else { throw RPCError(code: .internalError, message: "no answer") }
                switch try creation.mapError({ RPCError($0) }).get() {
                case .created(let entry):
                    result.status = .ok
                    result.entry = Spire_Api_Types_Entry(entry, mask: mask)
                case .similar(let entry):
                    result.status = Spire_Api_Types_Status(
                        RPCError(code: .alreadyExists, message: "similar entry already exists"))
                    result.entry = Spire_Api_Types_Entry(entry, mask: mask)
                }
            } catch {
                result.status = refusals.status(error)
            }
            response.results.append(result)
        }
        return response
    }

    private static func draft(
        _ wanted: Spire_Api_Types_Entry, _ allowsAnyLauncher: Bool
    ) -> Result<EntryDraft, RPCError> {
        do throws(RPCError) {
            var draft = try wanted.draft()
            draft.allowsAnyLauncher = allowsAnyLauncher
            return .success(draft)
        } catch {
            return .failure(error)
        }
    }

    func batchUpdateEntry(
        request: Spire_Api_Server_Entry_V1_BatchUpdateEntryRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Entry_V1_BatchUpdateEntryResponse {
        let caller = try context.caller
        let refusals = try context.refusals
        try Self.checkBatch(request.entries.count)
        let written = EntryMask(request.hasInputMask ? request.inputMask : nil)
        let mask = request.hasOutputMask ? request.outputMask : nil
        var response = Spire_Api_Server_Entry_V1_BatchUpdateEntryResponse()
        for wanted in request.entries {
            var result = Spire_Api_Server_Entry_V1_BatchUpdateEntryResponse.Result()
            do {
                let entry = try await update(wanted, written, request.allowAnyLauncher, caller)
                result.entry = Spire_Api_Types_Entry(entry, mask: mask)
                result.status = .ok
            } catch {
                result.status = refusals.status(error)
            }
            response.results.append(result)
        }
        return response
    }

    private func update(
        _ wanted: Spire_Api_Types_Entry, _ mask: EntryMask, _ allowsAnyLauncher: Bool, _ caller: AuthorizedCaller
    ) async throws(RPCError) -> RegistrationEntry {
        guard !wanted.id.isEmpty else { throw RPCError(code: .invalidArgument, message: "missing ID") }
        var draft = try wanted.draft(mask)
        draft.allowsAnyLauncher = allowsAnyLauncher
        do throws(RegistryError) {
            return try await registry.updateEntry(
                wanted.id, draft, mask: mask, by: caller.audit, requestID: caller.requestID)
        } catch {
            throw RPCError(error)
        }
    }

    func batchDeleteEntry(
        request: Spire_Api_Server_Entry_V1_BatchDeleteEntryRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Entry_V1_BatchDeleteEntryResponse {
        let caller = try context.caller
        let refusals = try context.refusals
        try Self.checkBatch(request.ids.count)
        var response = Spire_Api_Server_Entry_V1_BatchDeleteEntryResponse()
        for id in request.ids {
            var result = Spire_Api_Server_Entry_V1_BatchDeleteEntryResponse.Result()
            result.id = id
            do throws(RPCError) {
                try await delete(id, caller)
                result.status = .ok
            } catch {
                result.status = refusals.status(error)
            }
            response.results.append(result)
        }
        return response
    }

    private func delete(_ id: String, _ caller: AuthorizedCaller) async throws(RPCError) {
        guard !id.isEmpty else { throw RPCError(code: .invalidArgument, message: "missing entry ID") }
        do throws(RegistryError) {
            _ = try await registry.deleteEntry(id, by: caller.audit, requestID: caller.requestID)
        } catch {
            throw RPCError(error)
        }
    }

    func getAuthorizedEntries(
        request: Spire_Api_Server_Entry_V1_GetAuthorizedEntriesRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Entry_V1_GetAuthorizedEntriesResponse {
        let agent = try context.liveAgent
        let mask = request.hasOutputMask ? request.outputMask : nil
        return .with {
            $0.entries = registry.authorizedEntries(for: agent.id).map { Spire_Api_Types_Entry($0, mask: mask) }
        }
    }

    /// The agent asks once for revisions and then for the entries that it lacks, in pages, until it closes its side.
    func syncAuthorizedEntries(
        request: RPCAsyncSequence<Spire_Api_Server_Entry_V1_SyncAuthorizedEntriesRequest, any Error>,
        response: RPCWriter<Spire_Api_Server_Entry_V1_SyncAuthorizedEntriesResponse>, context: ServerContext
    ) async throws {
        let agent = try context.liveAgent
        var iterator = request.makeAsyncIterator()
        guard let first = try await iterator.next() else { return }
        guard first.ids.isEmpty else {
            throw RPCError(code: .invalidArgument, message: "specifying IDs on the first request is not allowed")
        }
        let mask = first.hasOutputMask ? first.outputMask : nil
        if let mask, !mask.revisionNumber {
            throw RPCError(code: .invalidArgument, message: "revision number cannot be masked")
        }
        // One snapshot for the whole exchange: what changes meanwhile comes with the next one.
        let entries = registry.authorizedEntries(for: agent.id)
        guard entries.count > Self.syncPage else {
            try await response.write(.with { $0.entries = entries.map { Spire_Api_Types_Entry($0, mask: mask) } })
            return
        }
        for start in stride(from: 0, to: entries.count, by: Self.syncPage) {
            let end = min(start + Self.syncPage, entries.count)
            try await response.write(
                .with {
                    $0.entryRevisions = entries[start..<end].map { entry in
                        .with {
                            $0.id = entry.id
                            $0.revisionNumber = entry.revision
                            $0.createdAt = entry.createdAt.seconds
                        }
                    }
                    $0.more = end < entries.count
                })
        }
        let byID = Dictionary(entries.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        while let next = try await iterator.next() {
            guard !next.hasOutputMask else {
                throw RPCError(code: .invalidArgument, message: "the output mask is set by the first request")
            }
            let wanted = next.ids.compactMap { byID[$0] }
            for start in stride(from: 0, to: max(wanted.count, 1), by: Self.syncPage) {
                let end = min(start + Self.syncPage, wanted.count)
                try await response.write(
                    .with {
                        $0.entries = wanted[start..<end].map { Spire_Api_Types_Entry($0, mask: mask) }
                        $0.more = end < wanted.count
                    })
            }
        }
    }

    private static func answering<Result>(_ body: () throws(RegistryError) -> Result) throws(RPCError) -> Result {
        do throws(RegistryError) {
            return try body()
        } catch {
            throw RPCError(error)
        }
    }

    private static func checkBatch(_ count: Int) throws(RPCError) {
        guard count <= maximumBatch else {
            throw RPCError(code: .invalidArgument, message: "a batch carries at most \(maximumBatch) items")
        }
    }
}

extension Spire_Api_Server_Entry_V1_ListEntriesRequest.Filter {
    func parsed() throws(RPCError) -> EntryFilter {
        var filter = EntryFilter()
        if hasBySpiffeID { filter.spiffeID = try bySpiffeID.parsed("by_spiffe_id") }
        if hasByParentID { filter.parentID = try byParentID.parsed("by_parent_id") }
        if hasBySelectors {
            filter.selectors = try bySelectors.parsed()
        }
        if hasByFederatesWith {
            filter.federatesWith = try byFederatesWith.parsed()
        }
        if hasByHint { filter.hint = byHint.value }
        if hasByDownstream { filter.isDownstream = byDownstream.value }
        return filter
    }
}
