/// What somebody looks for. Within a list one has to match, across the lists each.
package struct SearchQuery: Sendable, Equatable {
    /// Words, any of which may occur: the more of them and the rarer they are, the better. Empty for all agents.
    package var text = ""
    /// Identifiers of skills.
    package var skills: [String] = []
    /// Tags of skills.
    package var tags: [String] = []
    /// Kinds of security schemes.
    package var schemes: [String] = []
    package var trustDomains: [String] = []

    /// Words and values beyond these are not looked at.
    package static let maximumWords = 16
    package static let maximumValues = 32

    package init() {}

    /// Names of what is counted and filtered by.
    package enum Facet: String, Sendable, Hashable, CaseIterable {
        case skill, tag, scheme
        case trustDomain = "trust_domain"
    }

    func values(_ facet: Facet) -> ArraySlice<String> {
        switch facet {
        case .skill: skills.prefix(Self.maximumValues)
        case .tag: tags.prefix(Self.maximumValues)
        case .scheme: schemes.prefix(Self.maximumValues)
        case .trustDomain: trustDomains.prefix(Self.maximumValues)
        }
    }
}

/// The place of a hit among all hits: better first, then older first.
package struct SearchPosition: Sendable, Equatable {
    /// 1 to 100.
    package let score: UInt8
    let slot: UInt32

    init(score: UInt8, slot: UInt32) {
        self.score = score
        self.slot = slot
    }

    /// From a page token; nil when it is not one of ours.
    package init?(token: String) {
        let parts = token.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 2, let score = UInt8(String(decoding: parts[0], as: UTF8.self)),
            let slot = UInt32(String(decoding: parts[1], as: UTF8.self)), (1...100).contains(score)
        else { return nil }
        self.init(score: score, slot: slot)
        guard self.token == token else { return nil }
    }

    package var token: String { "\(score).\(slot)" }
}
