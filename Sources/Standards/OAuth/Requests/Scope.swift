import JOSE

/// What a token allows (RFC 6749 §3.3): a set of words, kept in the order in which they were first said.
package struct Scope: Sendable {
    /// The words, each once.
    package let tokens: [String]

    /// Longest text that is read, in bytes.
    package static let maximumBytes = 4096
    /// The most words that are read.
    package static let maximumCount = 128

    /// No word at all; a token of this scope allows nothing that needs one.
    package static let empty = Scope(distinct: [])

    /// Reads words with one space between each two; a word said twice counts once.
    package init(_ text: String) throws(ParseError) {
        guard text.utf8.count <= Self.maximumBytes else { throw .tooLong }
        var seen: Set<String> = []
        var tokens: [String] = []
        for word in text.utf8.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false) {
            guard !word.isEmpty, word.allSatisfy(Self.isAllowed) else { throw .badToken }
            let token = String(decoding: word, as: UTF8.self)
            guard seen.insert(token).inserted else { continue }
            guard tokens.count < Self.maximumCount else { throw .tooManyTokens }
            tokens.append(token)
        }
        self.tokens = tokens
    }

    /// Words that are each a scope already, such as those of settings.
    package init(tokens: [String]) throws(ParseError) {
        self = tokens.isEmpty ? .empty : try Scope(tokens.joined(separator: " "))
    }

    private init(distinct tokens: [String]) {
        self.tokens = tokens
    }

    /// The words with spaces between them.
    package var string: String { tokens.joined(separator: " ") }

    package var isEmpty: Bool { tokens.isEmpty }

    /// Whether the word is there, compared byte by byte.
    package func contains(_ token: String) -> Bool {
        tokens.contains { $0.hasSameBytes(as: token) }
    }

    /// Whether every word is in the other one too.
    package func isSubset(of other: Scope) -> Bool {
        Set(tokens).isSubset(of: other.tokens)
    }

    /// The words that the other one has too, in the order of this one. Narrowing never adds a word.
    package func narrowed(to ceiling: Scope) -> Scope {
        let allowed = Set(ceiling.tokens)
        return Scope(distinct: tokens.filter(allowed.contains))
    }

    /// The words that the other one lacks: what a refusal names.
    package func subtracting(_ other: Scope) -> Scope {
        let removed = Set(other.tokens)
        return Scope(distinct: tokens.filter { !removed.contains($0) })
    }

    /// `scope-token` (RFC 6749 §3.3): printable ASCII without space, quotation mark and backslash.
    private static func isAllowed(_ byte: UInt8) -> Bool {
        (0x21...0x7E).contains(byte) && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
    }

    /// Why a text is no scope.
    package enum ParseError: Error, Sendable, Equatable, CustomStringConvertible {
        case tooLong
        case tooManyTokens
        /// An empty word, or one with a character that scopes do not have.
        case badToken

        package var description: String {
            switch self {
            case .tooLong: "a scope has at most \(Scope.maximumBytes) bytes"
            case .tooManyTokens: "a scope has at most \(Scope.maximumCount) words"
            case .badToken: "a scope is words of printable ascii with one space between them"
            }
        }
    }
}

extension Scope: Hashable {
    /// Whether both allow the same; the order does not matter.
    package static func == (left: Scope, right: Scope) -> Bool { Set(left.tokens) == Set(right.tokens) }

    package func hash(into hasher: inout Hasher) { hasher.combine(Set(tokens)) }
}
