/// A member of a message that cannot be read or is not allowed: where it stands and what is wrong with it, in words that
/// repeat nothing of what the peer wrote (google.rpc.BadRequest.FieldViolation).
public struct FieldViolation: Error, Equatable, Sendable, CustomStringConvertible {
    /// The member's path in JSON names, such as `message.parts[0].text`; empty for the message as a whole.
    public let field: String
    /// What is wrong, as a phrase that follows the path.
    public let problem: String

    /// A violation at a path.
    public init(_ field: String, _ problem: String) {
        self.field = field
        self.problem = problem
    }

    /// Path and problem in one line.
    public var description: String { field.isEmpty ? problem : "\(field): \(problem)" }
}
