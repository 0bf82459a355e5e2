package import A2A
package import AgentTasks
import Crypto
import NIOCore
package import WebFetch

/// Sends push notifications (A2A 1.0.1 §4.3): each event as a POST to its receiver, in the order of the events.
///
/// A receiver is one URL of one caller. It has one connection at a time and a bounded queue; what is refused is given up, what
/// fails is sent again after a pause. Nothing is kept over the end of the process.
package final class PushNotifier: PushNotifying {
    /// Whom it reaches and how hard it tries.
    package struct Settings: Sendable {
        /// Whether receivers on this machine are reached, without TLS too; for tests.
        package var allowsLoopback = false
        /// Whether receivers in private networks are reached.
        package var allowsPrivate = false
        /// Who vouches for receivers.
        package var roots = WebFetch.WebRoots.system
        /// How long one attempt may take.
        package var timeout = Duration.seconds(10)
        /// How often one event is sent at most.
        package var attempts = 6
        /// The pause after the first attempt; each is twice the one before.
        package var firstPause = Duration.seconds(1)
        package var longestPause = Duration.seconds(30)
        /// What may wait.
        package var queue = PushQueue.Limits()

        package init() {}
    }

    /// What an operator should know. URLs may hold secrets, so that only hosts are named.
    package enum Report: Sendable, Equatable {
        /// An event was not delivered.
        case gaveUp(taskID: String, host: String, attempts: Int, Failure)
        /// Events were dropped since too many waited for this receiver.
        case dropped(host: String, Int)
        /// Events were dropped since too many waited for all receivers.
        case overflowed(Int)
    }

    /// Why an attempt failed.
    package enum Failure: Sendable, Equatable {
        /// The receiver's answer was this.
        case status(Int)
        /// The receiver's host stands for an address that is not allowed.
        case address
        /// The receiver did not prove itself.
        case unverified
        case unreachable
        case timeout
        /// The configuration is not one that could be sent to.
        case config
    }

    private let settings: Settings
    private let web: WebFetch
    private let authentication: WebFetch.Authentication
    private let queue: PushQueue
    private let begun: AsyncStream<PushQueue.Receiver>
    private let begin: AsyncStream<PushQueue.Receiver>.Continuation
    private let sleep: @Sendable (Duration) async throws -> Void
    private let report: @Sendable (Report) -> Void

    /// - Parameters:
    ///   - resolve: the addresses of a host.
    ///   - sleep: waits.
    package init(
        settings: Settings = Settings(), resolve: @escaping HostAddresses.Resolve = HostAddresses.resolve,
        sleep: @escaping @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) },
        report: @escaping @Sendable (Report) -> Void
    ) throws(WebFetchError) {
        self.settings = settings
        let rule: AddressRule =
            settings.allowsPrivate ? .globalOrPrivate : settings.allowsLoopback ? .globalOrLoopback : .global
        web = WebFetch(timeout: settings.timeout, maximumLength: 4096, rule: rule, resolve: resolve)
        authentication = try WebFetch.prepared(settings.roots)
        queue = PushQueue(settings.queue)
        (begun, begin) = AsyncStream.makeStream()
        self.sleep = sleep
        self.report = report
    }

    /// How many events were delivered, given up and dropped.
    package var counts: PushQueue.Counts { queue.counts }

    package func check(_ config: PushNotificationConfig) async throws(A2AError) {
        let target: FetchTarget
        do throws(FieldViolation) {
            target = try PushDestination(config, allowsLoopback: settings.allowsLoopback).target
        } catch {
            throw .invalid(error)
        }
        do throws(WebFetchError) {
            try await web.check(target)
        } catch {
            // One sentence for both: whoever asks does not learn which names there are inside.
            throw .invalid(FieldViolation("url", "has no host that this agent may send notifications to"))
        }
    }

    package func notify(_ events: [PublishedEvent], task: TaskKey, config: PushNotificationConfig) {
        let receiver = PushQueue.Receiver(scope: task.scope, url: config.url)
        for event in events {
            let item = PushQueue.Item(event: event, taskID: task.id, config: config, key: Self.freshKey())
            if queue.add(item, for: receiver) { begin.yield(receiver) }
        }
    }

    /// Sends what comes, until the surrounding task is cancelled; what waits then is gone.
    package func run() async {
        await withDiscardingTaskGroup { group in
            for await receiver in begun { group.addTask { await self.serve(receiver) } }
        }
    }

    private func serve(_ receiver: PushQueue.Receiver) async {
        while !Task.isCancelled, let next = queue.next(of: receiver) {
            let host = PushQueue.host(of: receiver.url)
            if next.overflowed > 0 { report(.overflowed(next.overflowed)) }
            if next.dropped > 0 { report(.dropped(host: host, next.dropped)) }
            var pause = settings.firstPause
            var attempts = 0
            var failure: Failure?
            repeat {
                if attempts > 0 {
                    guard (try? await sleep(pause)) != nil else { return }
                    pause = min(pause * 2, settings.longestPause)
                }
                attempts += 1
                failure = await send(next.item)
            } while failure?.isPassing == true && attempts < settings.attempts
            guard !Task.isCancelled else { return }
            queue.count(isDelivered: failure == nil)
            if let failure {
                report(.gaveUp(taskID: next.item.taskID, host: host, attempts: attempts, failure))
            }
        }
    }

    private func send(_ item: PushQueue.Item) async -> Failure? {
        let destination: PushDestination
        do {
            destination = try PushDestination(item.config, allowsLoopback: settings.allowsLoopback)
        } catch {
            return .config
        }
        let content = WebContent(
            type: MediaType.a2a, body: ByteBuffer(bytes: item.event.json),
            headers: destination.headers + [
                ("A2A-Version", ProtocolVersion.v1.rawValue), (PushReceiver.keyName, "\"\(item.key)\""),
            ])
        do throws(WebFetchError) {
            let status = try await web.post(
                content, to: destination.target, destination.isSecure ? authentication : .nothing)
            return status / 100 == 2 ? nil : .status(status)
        } catch {
            switch error {
            case .refusedAddress: return .address
            case .unverified: return .unverified
            case .timeout: return .timeout
            case .unreachable, .status, .redirect, .tooLarge: return .unreachable
            }
        }
    }

    /// What the attempts to send one event have in common, so that the receiver tells them from other events.
    private static func freshKey() -> String {
        let alphabet = Array("0123456789abcdef".utf8)
        let bytes = SymmetricKey(size: .bits128).withUnsafeBytes { Array($0) }
        return String(decoding: bytes.flatMap { [alphabet[Int($0 >> 4)], alphabet[Int($0 & 15)]] }, as: UTF8.self)
    }
}

extension PushNotifier.Failure {
    /// Whether another attempt may come out better.
    fileprivate var isPassing: Bool {
        switch self {
        case .status(let code): code == 408 || code == 429 || code >= 500
        case .unverified, .unreachable, .timeout: true
        case .address, .config: false
        }
    }
}
