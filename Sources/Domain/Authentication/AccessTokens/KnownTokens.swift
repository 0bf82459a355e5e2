package import OAuth

/// Tokens that verified, by the SHA-256 of their text: a bounded memory whose eldest give way.
package struct KnownTokens: Sendable {
    private struct Known: Sendable {
        let token: VerifiedAccessToken
        let since: Int64
    }

    private let capacity: Int
    private var tokens: [[UInt8]: Known] = [:]
    private var order: [[UInt8]] = []
    private var next = 0

    package init(capacity: Int) { self.capacity = max(capacity, 1) }

    var count: Int { tokens.count }

    /// The token, while it lasts. A clock that was set back before the look that it rests on finds nothing.
    package func token(_ digest: [UInt8], at time: Int64) -> VerifiedAccessToken? {
        guard let known = tokens[digest], time >= known.since, time < known.token.claims.expiresAt else { return nil }
        return known.token
    }

    package mutating func insert(_ token: VerifiedAccessToken, _ digest: [UInt8], at time: Int64) {
        if tokens.updateValue(Known(token: token, since: time), forKey: digest) != nil { return }
        if order.count < capacity {
            order.append(digest)
            return
        }
        tokens[order[next]] = nil
        order[next] = digest
        next = (next + 1) % capacity
    }
}
