package import SPIFFE

/// The paths of SPIFFE IDs that a rule is for, as in `/team/*/agent/**`.
///
/// `*` stands for exactly one segment, `**` at the end for one or more. A pattern without either is one path.
package struct IDPathPattern: Sendable, Hashable, CustomStringConvertible {
    private enum Segment: Sendable, Hashable {
        case exactly(String)
        case any
    }

    /// As it was written.
    package let description: String
    private let segments: [Segment]
    private let takesMore: Bool

    package init(_ text: String) throws(Problem) {
        guard text.hasPrefix("/") else { throw .noSlash }
        var parts = text.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        takesMore = parts.last == "**"
        if takesMore { parts.removeLast() }
        // Everything but the wildcards is spelled as in an ID.
        let example =
            "spiffe://x/" + (parts.map { $0 == "*" ? "x" : $0 } + (takesMore ? ["x"] : [])).joined(separator: "/")
        let id: SPIFFEID
        do {
            id = try SPIFFEID(example)
        } catch {
            throw .notAPath(error)
        }
        guard !id.isReserved else { throw .reserved }
        segments = parts.map { $0 == "*" ? .any : .exactly(String($0)) }
        description = text
    }

    func matches(_ path: [Substring]) -> Bool {
        guard takesMore ? path.count > segments.count : path.count == segments.count else { return false }
        return zip(segments, path).allSatisfy { segment, text in
            switch segment {
            case .any: true
            case .exactly(let wanted): text.utf8.elementsEqual(wanted.utf8)
            }
        }
    }

    /// What is wrong with a pattern.
    package enum Problem: Error, Equatable, Sendable, CustomStringConvertible {
        /// Not a path; a whole ID for example.
        case noSlash
        /// With its wildcards replaced it is no path of a SPIFFE ID.
        case notAPath(SPIFFEIDError)
        /// Only IDs that workloads do not get.
        case reserved

        package var description: String {
            switch self {
            case .noSlash: "a path begins with `/`; the trust domain is always the own one"
            case .notAPath(let error): "\(error); `*` is a whole segment, and `**` only the last one"
            case .reserved: "SPIFFE IDs below `/spire` are reserved, and get no tokens"
            }
        }
    }
}
