import A2A

/// What a reader of a stream has been told of a task, by which a repetition is known.
///
/// Artifacts are remembered by what they hash to, not kept: a task may be larger than its reader's memory.
struct StreamProgress: Sendable {
    private(set) var taskID: String?
    private var status: TaskStatus?
    private var artifacts: [String: ArtifactMark] = [:]
    /// Whether there are more artifacts than are remembered: then a snapshot counts as news.
    private var hasForgotten = false

    private static let maximumArtifacts = 10_000

    private struct ArtifactMark: Sendable, Equatable {
        var parts = 0
        var hasher = Hasher()

        mutating func add(_ parts: [Part]) {
            for part in parts { hasher.combine(part.jsonBytes) }
            self.parts += parts.count
        }

        static func == (left: ArtifactMark, right: ArtifactMark) -> Bool {
            left.parts == right.parts && left.hasher.finalize() == right.hasher.finalize()
        }
    }

    /// Whether nothing further comes of the task in a stream of its own.
    var isEnded: Bool { status?.state.isTerminal ?? false }

    /// Where the task stood last.
    var state: TaskState? { status?.state }

    /// Takes note of an event, and says whether it is news.
    mutating func note(_ event: StreamEvent, isRepeated: Bool) -> Bool {
        switch event {
        case .message: return true
        case .task(let task): return note(task, isRepeated: isRepeated)
        case .status(let update):
            if taskID == nil { taskID = update.taskID }
            defer { status = update.status }
            return !(isRepeated && status == update.status)
        case .artifact(let update):
            if taskID == nil { taskID = update.taskID }
            let id = update.artifact.artifactID
            var mark = update.append ? artifacts[id] ?? ArtifactMark() : ArtifactMark()
            mark.add(update.artifact.parts)
            let isKnown = isRepeated && !update.append && artifacts[id] == mark
            remember(mark, of: id)
            return !isKnown
        }
    }

    private mutating func note(_ task: AgentTask, isRepeated: Bool) -> Bool {
        var marks: [String: ArtifactMark] = [:]
        for artifact in task.artifacts {
            var mark = ArtifactMark()
            mark.add(artifact.parts)
            marks[artifact.artifactID] = mark
        }
        let isKnown =
            isRepeated && !hasForgotten && taskID == task.id && status == task.status && artifacts == marks
        taskID = task.id
        status = task.status
        artifacts = [:]
        hasForgotten = false
        for (id, mark) in marks { remember(mark, of: id) }
        return !isKnown
    }

    private mutating func remember(_ mark: ArtifactMark, of id: String) {
        guard artifacts[id] != nil || artifacts.count < Self.maximumArtifacts else {
            hasForgotten = true
            return
        }
        artifacts[id] = mark
    }
}
