package import SPIFFE

/// Which part of a list a caller wants.
package struct PageRequest: Hashable, Sendable {
    /// Most items in one page; larger sizes are cut to it.
    package static let maximumSize = 10_000

    /// Most items wanted; 0 means as many as there may be.
    package let size: Int

    /// What the page before said, empty for the first page. The text is opaque to callers.
    package let token: String

    package init(size: Int = 0, token: String = "") {
        self.size = size
        self.token = token
    }

    package var count: Int { size <= 0 ? Self.maximumSize : min(size, Self.maximumSize) }
}

/// A part of a list.
package struct Page<Item: Sendable>: Sendable {
    package let items: [Item]

    /// Where the next page begins; empty on the last page.
    package let nextToken: String

    package init(items: [Item], nextToken: String) {
        self.items = items
        self.nextToken = nextToken
    }
}

extension Page: Equatable where Item: Equatable {}

/// The place of an item in lists: older first, then by key. It stays when the item or its neighbours go.
package struct ListPosition: Hashable, Comparable, Sendable {
    package let createdAt: Int64
    package let key: String

    package init(createdAt: UnixTime, key: String) {
        self.createdAt = createdAt.milliseconds
        self.key = key
    }

    /// From a page token; nil when it is not one of ours.
    package init?(token: String) {
        guard let dot = token.utf8.firstIndex(of: UInt8(ascii: ".")), let time = Int64(token[..<dot]) else {
            return nil
        }
        createdAt = time
        key = String(token[token.utf8.index(after: dot)...])
        guard !key.isEmpty, self.token == token else { return nil }
    }

    package var token: String { "\(createdAt).\(key)" }

    package static func < (left: ListPosition, right: ListPosition) -> Bool {
        left.createdAt != right.createdAt
            ? left.createdAt < right.createdAt : left.key.utf8.lexicographicallyPrecedes(right.key.utf8)
    }
}
