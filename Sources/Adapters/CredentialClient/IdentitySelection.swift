package import WorkloadAPI

/// Which of a workload's identities a source takes (SPIFFE Workload API, X.509-SVID profile).
package enum IdentitySelection: Sendable, Equatable {
    /// The first of the list, which is the default identity.
    case first
    /// The one that the operator has given this hint.
    case hint(String)

    /// The identity selected; `nil` when the workload has none such.
    package func select(from svids: [WorkloadX509SVID]) -> WorkloadX509SVID? {
        switch self {
        case .first: svids.first
        case .hint(let hint): svids.first { $0.hint.utf8.elementsEqual(hint.utf8) }
        }
    }

    /// The same of WIT-SVIDs.
    package func select(from svids: [WorkloadWITSVID]) -> WorkloadWITSVID? {
        switch self {
        case .first: svids.first
        case .hint(let hint): svids.first { $0.hint.utf8.elementsEqual(hint.utf8) }
        }
    }
}
