/// How a set that is asked for is compared with the set an item has, in the terms of SPIRE's list calls.
///
/// The words describe the item's set as seen from the query: with `subset` the item's set is a subset of the query.
package enum SelectorMatch: Hashable, Sendable, CaseIterable {
    /// Both sets are equal.
    case exact
    /// Everything the item has is in the query.
    case subset
    /// The item has everything in the query, perhaps more.
    case superset
    /// The item has at least one member of the query.
    case any

    /// Whether an item with the set `entry` is found by `query`.
    package func matches<Element: Hashable>(entry: Set<Element>, query: Set<Element>) -> Bool {
        switch self {
        case .exact: entry == query
        case .subset: entry.isSubset(of: query)
        case .superset: entry.isSuperset(of: query)
        case .any: !entry.isDisjoint(with: query)
        }
    }
}
