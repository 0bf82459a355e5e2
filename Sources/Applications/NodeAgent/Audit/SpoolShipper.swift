import AuditTrail
import GRPCCore
import Logging

/// Delivers the spool to the control plane, each record at least once.
struct SpoolShipper: Sendable {
    let audit: AgentAudit
    let connection: ServerConnection
    let logger: Logger
    let randomBytes: @Sendable (Int) -> [UInt8]
    let sleep: @Sendable (Duration) async throws -> Void

    /// Records in one delivery.
    static let portion = 100
    /// How long a delivery waits for further records, so that many of them share its cost.
    static let linger = Duration.milliseconds(100)
    /// The longest time that records wait when no new ones come.
    static let interval = Duration.seconds(30)
    /// How long a server that takes no records is left alone.
    static let patience = Duration.seconds(60)
    /// Records that are kept when the server has no use for them; older ones leave the spool.
    static let keptWithoutTaker: UInt64 = 10_000

    /// Ships until the task is cancelled.
    func run() async throws(CancellationError) {
        var backOff = BackOff(initial: .seconds(1), cap: .seconds(30))
        while true {
            do {
                while try await shipOnce() {}
                backOff.succeeded()
                let hasNews = try await audit.appended.wait(upTo: Self.interval, sleep: sleep) != nil
                if hasNews { try? await sleep(Self.linger) }
            } catch let error as RPCError where error.code == .unimplemented {
                await trim()
                try? await sleep(Self.patience)
            } catch {
                logger.debug("audit records not shipped", metadata: ["reason": "\(error)"])
                try? await sleep(backOff.failed(random: RandomFraction.draw(randomBytes)))
            }
            if Task.isCancelled { throw CancellationError() }
        }
    }

    /// Ships one portion; whether there may be more.
    func shipOnce() async throws -> Bool {
        let records = try await audit.spool.pending(limit: Self.portion)
        guard let last = records.last else { return false }
        let acknowledged = try await connection.call { try await $0.ship(records, spool: audit.spool.name) }
        // A server that acknowledges what it was not sent is mistaken; what was sent is all that may go.
        try await audit.spool.acknowledge(upTo: min(acknowledged, last.sequence))
        guard acknowledged >= last.sequence else {
            throw RPCError(code: .unavailable, message: "the server took a part of the records")
        }
        return records.count == Self.portion
    }

    /// A server without our own services (SPIRE's) takes no records: the newest ones stay on this node.
    private func trim() async {
        guard let pending = try? await audit.spool.pending(limit: 1), let first = pending.first else { return }
        let count = await audit.spool.pendingCount()
        guard count > Self.keptWithoutTaker else { return }
        try? await audit.spool.acknowledge(upTo: first.sequence + (count - Self.keptWithoutTaker))
    }
}
