import JOSE
import Logging
import NodeAgent
import Observability
import SPIFFE

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The agents, started a few at a time and then run side by side.
struct Swarm: Sendable {
    let nodes: [NodeAgentConfiguration]
    let atOnce: Int
    let logger: Logger

    /// Runs until the task is cancelled.
    func run() async {
        let (starts, queue) = AsyncStream.makeStream(of: Void.self)
        for _ in 0..<atOnce { queue.yield() }
        await withDiscardingTaskGroup { group in
            var waiting = nodes.enumerated().makeIterator()
            for await _ in starts {
                guard let (number, configuration) = waiting.next() else { continue }
                group.addTask {
                    await live(number, configuration) { queue.yield() }
                }
            }
        }
    }

    /// One agent's life. `settled` is called when it serves, or when it never will.
    private func live(
        _ number: Int, _ configuration: NodeAgentConfiguration, _ settled: @escaping @Sendable () -> Void
    ) async {
        let agent = NodeAgent(
            configuration: configuration, logger: logger, logLevel: LogLevelSwitch(logger.logLevel), now: Self.now,
            randomBytes: Self.randomBytes,
            sleep: { try await Task.sleep(for: $0) })
        do {
            try await agent.run {
                Self.report([("event", .string("ready")), ("agent", .number(JSONNumber(Int64(number))))])
                settled()
            }
        } catch {
            Self.report([
                ("event", .string("failed")), ("agent", .number(JSONNumber(Int64(number)))),
                ("error", .string("\(error)")),
            ])
            settled()
        }
    }

    private static func report(_ members: [(String, JSONValue)]) {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        let at = JSONValue.number(JSONNumber(Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)))
        let line = JSONValue.object(JSONObject(members + [("at", at)])).serializedBytes + [0x0a]
        // One write for one line, so that lines of several threads do not mix.
        _ = line.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
    }

    @Sendable static func now() -> UnixTime {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UnixTime(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }

    @Sendable private static func randomBytes(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }
}
