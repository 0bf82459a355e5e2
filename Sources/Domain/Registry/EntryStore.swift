/// One step of a change to the stored registration entries.
package enum EntryChange: Hashable, Sendable {
    /// A new entry; ``StoreError/conflict`` when the ID exists.
    case insert(RegistrationEntry)
    /// All fields of an existing entry; ``StoreError/conflict`` when the ID does not exist.
    case replace(RegistrationEntry)
    /// Removes by ID; no error when there is none.
    case delete(id: String)
}

/// Keeps registration entries.
///
/// Implementations guarantee: `apply` is one transaction, all or nothing, durable when it returns, and not cut short by
/// the cancellation of the calling task.
package protocol EntryStore: Sendable {
    /// Every entry, in any order.
    func allEntries() async throws(StoreError) -> [RegistrationEntry]

    /// The stored entry with this ID.
    func entry(id: String) async throws(StoreError) -> RegistrationEntry?

    /// All changes in order, or none.
    func apply(_ changes: [EntryChange]) async throws(StoreError)
}
