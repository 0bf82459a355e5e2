import A2A
import AgentShield
import AgentTasks

/// Follows a script: what a message leads to stands under the prefix of its `messageId`.
struct ScriptedHandler: AgentHandler {
    let script: AgentScript

    private struct Crash: Error {}

    func handle(_ turn: AgentTurn) async throws {
        for step in script.steps(for: turn.message.messageID) {
            switch step {
            case .status(let state, let text, let progress):
                try await turn.update(state, text, progress: progress.map { TaskProgress(fraction: $0) })
                // What a state ends, nothing follows.
                if state.isTerminal || state == .inputRequired { return }
            case .artifact(let artifact): try await turn.artifact(artifact)
            case .chunk(let artifact, let append, let lastChunk):
                try await turn.chunk(artifact, append: append, lastChunk: lastChunk)
            case .wait(let duration): try await Task.sleep(for: duration)
            case .message(let parts): try await turn.reply(parts)
            case .crash: throw Crash()
            }
        }
    }
}
