/// Why a store could not do what it was asked to.
///
/// Except for ``conflict``, an error does not say that nothing was written: after it the caller reads again.
package enum StoreError: Error, Hashable {
    /// The disk is full.
    case storageFull
    /// An insert met an existing key, or a replace or delete met none; nothing was written.
    case conflict
    /// Anything else; the text is for the log.
    case failed(String)
}

extension StoreError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .storageFull: "storage is full"
        case .conflict: "stored data is not in the expected state"
        case .failed(let reason): "storage failed: \(reason)"
        }
    }
}
