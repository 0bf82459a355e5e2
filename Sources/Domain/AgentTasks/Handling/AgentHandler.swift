import A2A

/// What an agent does with messages: the one thing that its author writes.
///
/// A turn is one message of a client. The handler answers by calling the turn's methods, as often as it likes; when it returns and
/// has said nothing of an end, the task is completed. An ``AgentFailure`` that it throws is told to the client, any other error is
/// not: the task has failed, and the log says why.
public protocol AgentHandler: Sendable {
    /// Handles a message. The task of Swift that runs it is cancelled when the client gives the A2A task up.
    func handle(_ turn: AgentTurn) async throws
}

/// A failure that the client may read about.
public struct AgentFailure: Error, Sendable {
    /// What the client reads.
    public let message: String

    /// A failure with words for the client.
    public init(_ message: String) {
        self.message = message
    }
}

/// Why a handler cannot say any more about a task.
public enum AgentTurnError: Error, Equatable, Sendable {
    /// The task has ended, be it that the client gave it up.
    case taskEnded
    /// The task has become larger than the agent's settings allow, in bytes.
    case tooLarge(limit: Int)
    /// An artifact was to be continued that is not there.
    case unknownArtifact(String)
    /// What happened could not be stored.
    case notStored
}
