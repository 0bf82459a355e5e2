import A2A
import JOSE

/// What tasks may cost an agent.
public struct TaskLimits: Sendable {
    /// The most bytes of a task's messages and artifacts together.
    public var maximumTaskSize = 16 << 20
    /// The most streams of one task.
    public var maximumSubscribers = 1000
    /// Messages that may wait while a turn of their task runs.
    public var maximumWaitingTurns = 16
    /// Events that may wait for one slow reader before its stream is given up.
    public var maximumWaitingEvents = 1024
    /// Tasks that may be worked on at once, of all callers.
    public var maximumRunningTasks = 10_000
    /// Receivers of one task's updates.
    public var maximumPushConfigs = 8
    /// Changes of one task that a handler may be ahead of the store.
    package var maximumUnstoredChanges = 256

    /// The default limits.
    public init() {}
}

extension Part {
    var approximateSize: Int {
        let content =
            switch content {
            case .text(let text): text.utf8.count
            case .raw(let bytes): bytes.count
            case .url(let url): url.utf8.count
            case .data(let value): value.approximateSize
            case nil: 0
            }
        return 32 + content + metadata.approximateSize
    }
}

extension Message {
    var approximateSize: Int { 128 + parts.reduce(metadata.approximateSize) { $0 + $1.approximateSize } }
}

extension Artifact {
    var approximateSize: Int { 128 + parts.reduce(metadata.approximateSize) { $0 + $1.approximateSize } }
}

extension AgentTask {
    var approximateSize: Int {
        artifacts.reduce(0) { $0 + $1.approximateSize } + history.reduce(0) { $0 + $1.approximateSize }
    }
}

extension JSONObject {
    var approximateSize: Int { members.reduce(0) { $0 + $1.name.utf8.count + $1.value.approximateSize } }
}

extension JSONValue {
    var approximateSize: Int {
        switch self {
        case .null, .bool, .number: 16
        case .string(let text): 16 + text.utf8.count
        case .array(let elements): elements.reduce(16) { $0 + $1.approximateSize }
        case .object(let object): 16 + object.approximateSize
        }
    }
}
