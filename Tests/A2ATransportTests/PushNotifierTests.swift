import A2A
import AgentTasks
import JOSE
import NIOCore
import SPIFFE
import Synchronization
import Testing
import WebFetch

@testable import A2ATransport

/// A notifier that runs, with what it reports and how long it would have paused.
final class RunningNotifier: Sendable {
    let notifier: PushNotifier
    private let log: Log

    private final class Log: Sendable {
        let reports = Mutex<[PushNotifier.Report]>([])
        let pauses = Mutex<[Duration]>([])
    }

    static func with(
        resolve: @escaping HostAddresses.Resolve = HostAddresses.resolve,
        settings change: (inout PushNotifier.Settings) -> Void = { _ in },
        _ body: (RunningNotifier) async throws -> Void
    ) async throws {
        var settings = PushNotifier.Settings()
        settings.allowsLoopback = true
        change(&settings)
        let running = try RunningNotifier(settings, resolve)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await running.notifier.run() }
            try await body(running)
            group.cancelAll()
            // A notifier that does not stop when it is told keeps the test from ending.
            try await group.waitForAll()
        }
    }

    private init(_ settings: PushNotifier.Settings, _ resolve: @escaping HostAddresses.Resolve) throws {
        let log = Log()
        self.log = log
        notifier = try PushNotifier(
            settings: settings, resolve: resolve,
            sleep: { pause in
                try Task.checkCancellation()
                log.pauses.withLock { $0.append(pause) }
            }, report: { report in log.reports.withLock { $0.append(report) } })
    }

    var reports: [PushNotifier.Report] { log.reports.withLock { $0 } }
    var pauses: [Duration] { log.pauses.withLock { $0 } }

    /// Waits until this many events have come to an end, well or not.
    func settled(_ count: Int) async throws {
        while notifier.counts.delivered + notifier.counts.givenUp + notifier.counts.dropped < count {
            try await Task.sleep(for: .milliseconds(5))
        }
    }
}

private let alice = TaskScope(owner: "alice", tenant: nil)
private let task = TaskKey(scope: alice, id: "t-1")

private func event(_ text: String) -> PublishedEvent {
    let message = Message(messageID: "m-\(text)", role: .agent, parts: [.text(text)])
    return PublishedEvent(
        .status(TaskStatusUpdate(taskID: "t-1", contextID: "c", status: TaskStatus(.working, message: message))))
}

@Suite("A push notification", .timeLimit(.minutes(1)))
struct PushNotifierTests {
    @Test(
        "is the event as it is streamed, with the receiver's secrets, one after the other on one connection at a time")
    func order() async throws {
        let receiver = try await ScriptedReceiver.start()
        let config = PushNotificationConfig(
            url: receiver.url + "?a=b", token: "the token",
            authentication: .init(scheme: "Bearer", credentials: "abc=="))
        let events = (0..<20).map { event(String($0)) }
        try await RunningNotifier.with { running in
            running.notifier.notify(Array(events[..<7]), task: task, config: config)
            for event in events[7...] { running.notifier.notify([event], task: task, config: config) }
            try await running.settled(20)
            #expect(running.notifier.counts == PushQueue.Counts(delivered: 20))
            #expect(running.reports.isEmpty)
        }
        #expect(receiver.posts.map(\.body) == events.map { String(decoding: $0.json, as: UTF8.self) })
        #expect(receiver.mostUnanswered == 1)
        let first = try #require(receiver.posts.first)
        #expect(first.head.method == .POST)
        #expect(first.head.uri == "/hook?a=b")
        #expect(first.header("host") == "127.0.0.1:\(receiver.port)")
        #expect(first.header("content-type") == "application/a2a+json")
        #expect(first.header("authorization") == "Bearer abc==")
        #expect(first.header("x-a2a-notification-token") == "the token")
        #expect(first.header("a2a-version") == "1.0")
        #expect(Set(receiver.posts.map { $0.header("idempotency-key") }).count == 20)
        try await receiver.stop()
    }

    @Test("carries no secret where the configuration has none")
    func withoutSecrets() async throws {
        let receiver = try await ScriptedReceiver.start([.status(204)])
        try await RunningNotifier.with { running in
            running.notifier.notify([event("a")], task: task, config: PushNotificationConfig(url: receiver.url))
            try await running.settled(1)
            #expect(running.notifier.counts.delivered == 1)
        }
        #expect(receiver.posts.first?.header("authorization") == nil)
        #expect(receiver.posts.first?.header("x-a2a-notification-token") == nil)
        try await receiver.stop()
    }

    @Test("is sent again while the receiver cannot take it, after longer and longer pauses, before the next one")
    func retries() async throws {
        let receiver = try await ScriptedReceiver.start([
            .status(500), .status(503), .status(429), .close, .status(408), .status(202),
        ])
        try await RunningNotifier.with { running in
            running.notifier.notify(
                [event("a"), event("b")], task: task, config: PushNotificationConfig(url: receiver.url))
            try await running.settled(2)
            #expect(running.notifier.counts == PushQueue.Counts(delivered: 2))
            #expect(running.pauses == [1, 2, 4, 8, 16].map { .seconds($0) })
            #expect(running.reports.isEmpty)
        }
        let keys = receiver.posts.map { $0.header("idempotency-key") }
        #expect(keys.count == 7)
        #expect(Set(keys.prefix(6)).count == 1)
        #expect(keys[5] != keys[6])
        try await receiver.stop()
    }

    @Test("is given up after the last attempt, and the next one begins anew")
    func attempts() async throws {
        let receiver = try await ScriptedReceiver.start(Array(repeating: .status(500), count: 6) + [.status(200)])
        try await RunningNotifier.with { running in
            running.notifier.notify(
                [event("a"), event("b")], task: task,
                config: PushNotificationConfig(url: receiver.url + "/secret-path", token: "secret-token"))
            try await running.settled(2)
            #expect(running.notifier.counts == PushQueue.Counts(delivered: 1, givenUp: 1))
            #expect(
                running.reports == [
                    .gaveUp(taskID: "t-1", host: "127.0.0.1", attempts: 6, .status(500))
                ])
            #expect(!"\(running.reports)".contains("secret"))
        }
        #expect(receiver.posts.count == 7)
        try await receiver.stop()
    }

    @Test("pauses never grow beyond the longest")
    func longestPause() async throws {
        let receiver = try await ScriptedReceiver.start([.status(500)])
        try await RunningNotifier.with(settings: { $0.attempts = 9 }) { running in
            running.notifier.notify([event("a")], task: task, config: PushNotificationConfig(url: receiver.url))
            try await running.settled(1)
            #expect(running.pauses == [1, 2, 4, 8, 16, 30, 30, 30].map { .seconds($0) })
        }
        try await receiver.stop()
    }

    @Test(
        "is not sent again after a refusal or a redirect, which is not followed either",
        arguments: [301, 302, 303, 307, 308, 400, 401, 403, 404, 410, 413, 422] as [UInt])
    func refusals(code: UInt) async throws {
        let elsewhere = try await ScriptedReceiver.start()
        let receiver = try await ScriptedReceiver.start([
            .status(code, location: code < 400 ? elsewhere.url : nil), .status(200),
        ])
        try await RunningNotifier.with { running in
            running.notifier.notify(
                [event("a"), event("b")], task: task, config: PushNotificationConfig(url: receiver.url))
            try await running.settled(2)
            #expect(running.notifier.counts == PushQueue.Counts(delivered: 1, givenUp: 1))
            #expect(
                running.reports == [.gaveUp(taskID: "t-1", host: "127.0.0.1", attempts: 1, .status(Int(code)))])
            #expect(running.pauses.isEmpty)
        }
        #expect(receiver.posts.count == 2)
        #expect(elsewhere.posts.isEmpty)
        try await elsewhere.stop()
        try await receiver.stop()
    }

    @Test("ends with its time at a receiver that says nothing, and with the connection at one that hangs up")
    func silence() async throws {
        for (answer, failure) in [
            (ScriptedReceiver.Answer.hang, PushNotifier.Failure.timeout), (.close, .unreachable),
        ] {
            let receiver = try await ScriptedReceiver.start([answer])
            try await RunningNotifier.with(
                settings: {
                    $0.timeout = .milliseconds(300)
                    $0.attempts = 2
                }
            ) { running in
                running.notifier.notify([event("a")], task: task, config: PushNotificationConfig(url: receiver.url))
                try await running.settled(1)
                #expect(running.reports == [.gaveUp(taskID: "t-1", host: "127.0.0.1", attempts: 2, failure)])
            }
            try await receiver.stop()
        }
    }

    @Test("is delivered when the status says so, however long the answer would go on")
    func endless() async throws {
        let receiver = try await ScriptedReceiver.start([.endless(200, length: 1 << 40)])
        try await RunningNotifier.with { running in
            running.notifier.notify([event("a")], task: task, config: PushNotificationConfig(url: receiver.url))
            try await running.settled(1)
            #expect(running.notifier.counts == PushQueue.Counts(delivered: 1))
        }
        try await receiver.stop()
    }

    @Test("stops with its service while a receiver hangs")
    func stop() async throws {
        let receiver = try await ScriptedReceiver.start([.hang])
        try await RunningNotifier.with { running in
            running.notifier.notify(
                [event("a"), event("b")], task: task, config: PushNotificationConfig(url: receiver.url))
            while receiver.posts.isEmpty { try await Task.sleep(for: .milliseconds(5)) }
        }
        #expect(receiver.posts.count == 1)
        try await receiver.stop()
    }

    @Test("does not wait for another receiver, or for another caller's events to the same one")
    func independence() async throws {
        let slow = try await ScriptedReceiver.start([.hang])
        let quick = try await ScriptedReceiver.start()
        let shared = try await ScriptedReceiver.start([.hang, .status(200)])
        let bob = TaskKey(scope: TaskScope(owner: "bob", tenant: nil), id: "t-2")
        try await RunningNotifier.with { running in
            running.notifier.notify([event("a")], task: task, config: PushNotificationConfig(url: slow.url))
            running.notifier.notify([event("b")], task: task, config: PushNotificationConfig(url: quick.url))
            running.notifier.notify([event("c")], task: task, config: PushNotificationConfig(url: shared.url))
            while shared.posts.isEmpty { try await Task.sleep(for: .milliseconds(5)) }
            running.notifier.notify([event("d")], task: bob, config: PushNotificationConfig(url: shared.url))
            try await running.settled(2)
            #expect(running.notifier.counts == PushQueue.Counts(delivered: 2))
        }
        for receiver in [slow, quick, shared] { try await receiver.stop() }
    }

    @Test("goes over TLS to the name of the URL and to nobody else")
    func tls() async throws {
        let authority = try WebAuthority()
        let receiver = try await ScriptedReceiver.start(tls: authority.context(["receiver.example"]))
        let resolve: HostAddresses.Resolve = { _, port in [try SocketAddress(ipAddress: "127.0.0.1", port: port)] }
        try await RunningNotifier.with(
            resolve: resolve,
            settings: {
                $0.roots = .pem(authority.pem)
                $0.attempts = 1
            }
        ) { running in
            for host in ["receiver.example", "other.example"] {
                let config = PushNotificationConfig(url: "https://\(host):\(receiver.port)/hook")
                running.notifier.notify([event(host)], task: task, config: config)
            }
            try await running.settled(2)
            #expect(running.notifier.counts == PushQueue.Counts(delivered: 1, givenUp: 1))
            #expect(running.reports == [.gaveUp(taskID: "t-1", host: "other.example", attempts: 1, .unverified)])
        }
        #expect(receiver.posts.count == 1)
        try await RunningNotifier.with(resolve: resolve, settings: { $0.attempts = 1 }) { running in
            let config = PushNotificationConfig(url: "https://receiver.example:\(receiver.port)/hook")
            running.notifier.notify([event("a")], task: task, config: config)
            try await running.settled(1)
            #expect(running.reports == [.gaveUp(taskID: "t-1", host: "receiver.example", attempts: 1, .unverified)])
        }
        #expect(receiver.posts.count == 1)
        try await receiver.stop()
    }

    @Test("does not follow a name to another address than one that was judged")
    func rebinding() async throws {
        let receiver = try await ScriptedReceiver.start()
        let lookUps = Mutex(0)
        try await RunningNotifier.with(
            resolve: { _, port in
                let isFirst = lookUps.withLock { count in
                    count += 1
                    return count == 1
                }
                return [try SocketAddress(ipAddress: isFirst ? "1.1.1.1" : "127.0.0.1", port: port)]
            }, settings: { $0.allowsLoopback = false }
        ) { running in
            let config = PushNotificationConfig(url: "https://receiver.example:\(receiver.port)/hook")
            try await running.notifier.check(config)
            running.notifier.notify([event("a")], task: task, config: config)
            try await running.settled(1)
            #expect(running.reports == [.gaveUp(taskID: "t-1", host: "receiver.example", attempts: 1, .address)])
        }
        #expect(lookUps.withLock { $0 } == 2)
        #expect(receiver.connections == 0)
        try await receiver.stop()
    }

    @Test("is not sent without TLS where that is not allowed, whatever is stored")
    func plain() async throws {
        let receiver = try await ScriptedReceiver.start()
        try await RunningNotifier.with(settings: { $0.allowsLoopback = false }) { running in
            running.notifier.notify([event("a")], task: task, config: PushNotificationConfig(url: receiver.url))
            try await running.settled(1)
            #expect(running.reports == [.gaveUp(taskID: "t-1", host: "127.0.0.1", attempts: 1, .config)])
        }
        #expect(receiver.connections == 0)
        try await receiver.stop()
    }
}

@Suite("The receiver of a configuration", .timeLimit(.minutes(1)))
struct PushConfigCheckTests {
    private func violation(
        _ config: PushNotificationConfig, addresses: [String] = ["1.1.1.1"],
        _ change: (inout PushNotifier.Settings) -> Void = { _ in }
    ) async throws -> String? {
        var settings = PushNotifier.Settings()
        change(&settings)
        let notifier = try PushNotifier(
            settings: settings,
            resolve: { host, port in
                // A host that is an address stands for itself.
                if let own = try? SocketAddress(ipAddress: host, port: port) { return [own] }
                return try addresses.map { try SocketAddress(ipAddress: $0, port: port) }
            }, report: { _ in })
        do throws(A2AError) {
            try await notifier.check(config)
            return nil
        } catch {
            #expect(error.kind == .invalidParams)
            #expect(!error.description.contains("secret"))
            return try #require(error.violations.first).field
        }
    }

    @Test(
        "is taken",
        arguments: [
            "https://receiver.example/hook", "https://receiver.example", "HTTPS://Receiver.Example:8443/a?b=c%20d",
            "https://1.1.1.1/hook", "https://[2606:4700::1111]:8443/hook",
        ])
    func accepted(url: String) async throws {
        #expect(try await violation(PushNotificationConfig(url: url)) == nil)
    }

    @Test(
        "is refused for its URL",
        arguments: [
            "", "hook", "/hook", "//receiver.example/hook", "http://receiver.example/hook", "http://127.0.0.1/hook",
            "ftp://receiver.example/", "file:///etc/passwd", "gopher://receiver.example/", "https://",
            "https:///hook", "https://user@receiver.example/", "https://user:secret@receiver.example/",
            "https://receiver.example:0/", "https://receiver.example:65536/", "https://receiver.example:99999/",
            "https://receiver.example/#secret", "https://receiver.example/a b", "https://receiver.example/\r\nhost: x",
            "https://receiver.example/\u{0}", "https://r\u{e9}ceiver.example/", "https://receiver.example/%zz",
            "https://receiver.example\\@secret.example/", "https://[::1/", "https://[zone%25eth0]/",
            "https://receiver.example/" + String(repeating: "a", count: 2048),
        ])
    func refusedURL(url: String) async throws {
        #expect(try await violation(PushNotificationConfig(url: url)) == "url")
    }

    @Test(
        "is refused for an address",
        arguments: [
            "127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254",
            "0.0.0.0", "224.0.0.1", "255.255.255.255", "168.63.129.16", "100.100.100.200", "192.0.2.1", "::1", "::",
            "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
            "64:ff9b::10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1",
        ])
    func refusedAddress(address: String) async throws {
        let host = address.contains(":") ? "[\(address)]" : address
        #expect(try await violation(PushNotificationConfig(url: "https://\(host)/hook")) == "url")
        let named = PushNotificationConfig(url: "https://receiver.example/hook")
        #expect(try await violation(named, addresses: [address]) == "url")
        // One of them is enough.
        #expect(try await violation(named, addresses: ["1.1.1.1", address]) == "url")
        #expect(try await violation(named, addresses: ["1.1.1.1", address, "1.0.0.1"]) == "url")
    }

    @Test(
        "is refused for an address in other words, as the system reads it",
        arguments: ["127.1", "0x7f.0.0.1", "2130706433", "0177.0.0.1", "localhost"])
    func spelledAddress(host: String) async throws {
        let notifier = try PushNotifier(report: { _ in })
        await #expect(throws: A2AError.self) {
            try await notifier.check(PushNotificationConfig(url: "https://\(host)/hook"))
        }
    }

    @Test("is refused when its host has no address")
    func nowhere() async throws {
        let named = PushNotificationConfig(url: "https://receiver.example/hook")
        #expect(try await violation(named, addresses: []) == "url")
    }

    @Test("may be inside where the operator says so, and never a metadata service")
    func privateAddresses() async throws {
        let named = PushNotificationConfig(url: "https://receiver.example/hook")
        #expect(try await violation(named, addresses: ["10.0.0.1"]) { $0.allowsPrivate = true } == nil)
        #expect(try await violation(named, addresses: ["169.254.169.254"]) { $0.allowsPrivate = true } == "url")
        #expect(try await violation(named, addresses: ["127.0.0.1"]) { $0.allowsLoopback = true } == nil)
        #expect(try await violation(named, addresses: ["10.0.0.1"]) { $0.allowsLoopback = true } == "url")
        // Without TLS only this machine is reached.
        let plain = PushNotificationConfig(url: "http://receiver.example/hook")
        #expect(try await violation(plain) { $0.allowsPrivate = true } == "url")
    }

    @Test("is refused for secrets that no header field can carry as they are")
    func secrets() async throws {
        func config(
            token: String? = nil, scheme: String = "Bearer", credentials: String? = nil
        ) -> PushNotificationConfig {
            PushNotificationConfig(
                url: "https://receiver.example/", token: token,
                authentication: .init(scheme: scheme, credentials: credentials))
        }
        for text in ["a\r\nsecret: b", "a\nb", "a\u{0}", "t\u{f6}ken", " a", "a ", String(repeating: "a", count: 4097)]
        {
            #expect(try await violation(config(token: text)) == "token")
            #expect(try await violation(config(credentials: text)) == "authentication.credentials")
        }
        for scheme in ["", "Bearer secret", "Bearer:", "B\u{e4}rer", "a\r\n", String(repeating: "a", count: 65)] {
            #expect(try await violation(config(scheme: scheme, credentials: "a")) == "authentication.scheme")
        }
        #expect(try await violation(config(token: "a b", scheme: "Basic", credentials: "YTpi")) == nil)
        #expect(try await violation(config(scheme: "Negotiate")) == nil)
    }
}

@Suite("The queue of notifications")
struct PushQueueTests {
    private let receiver = PushQueue.Receiver(scope: alice, url: "https://receiver.example/")
    private let other = PushQueue.Receiver(scope: alice, url: "https://other.example/")

    private func item(_ text: String) -> PushQueue.Item {
        PushQueue.Item(event: event(text), taskID: "t-1", config: PushNotificationConfig(url: ""), key: text)
    }

    private func queue(_ change: (inout PushQueue.Limits) -> Void) -> PushQueue {
        var limits = PushQueue.Limits()
        change(&limits)
        return PushQueue(limits)
    }

    @Test("asks once for a receiver to be served, until nothing waits")
    func service() {
        let queue = queue { _ in }
        #expect(queue.add(item("a"), for: receiver))
        #expect(!queue.add(item("b"), for: receiver))
        #expect(queue.add(item("c"), for: other))
        #expect(queue.next(of: receiver)?.item.key == "a")
        #expect(queue.next(of: receiver)?.item.key == "b")
        // It is still served.
        #expect(!queue.add(item("d"), for: receiver))
        #expect(queue.next(of: receiver)?.item.key == "d")
        #expect(queue.next(of: receiver) == nil)
        #expect(queue.add(item("e"), for: receiver))
    }

    @Test("drops a receiver's oldest event for its newest, and says how many")
    func perReceiver() {
        let queue = queue { $0.perReceiver = 2 }
        for text in ["a", "b", "c", "d"] { _ = queue.add(item(text), for: receiver) }
        let next = queue.next(of: receiver)
        #expect(next?.item.key == "c")
        #expect(next?.dropped == 2)
        #expect(queue.next(of: receiver)?.dropped == 0)
        #expect(queue.counts == PushQueue.Counts(dropped: 2))
    }

    @Test("lets no receiver drop another's events")
    func overall() {
        let queue = queue { $0.events = 2 }
        #expect(queue.add(item("a"), for: receiver))
        _ = queue.add(item("b"), for: receiver)
        // There is no room for a receiver that has nothing to give up.
        #expect(!queue.add(item("c"), for: other))
        _ = queue.add(item("d"), for: receiver)
        let next = queue.next(of: receiver)
        #expect(next?.item.key == "b")
        #expect(next?.dropped == 1)
        #expect(next?.overflowed == 1)
        #expect(queue.add(item("e"), for: other))
        #expect(queue.next(of: other)?.overflowed == 0)
        #expect(queue.counts.dropped == 2)
    }

    @Test("holds so many bytes and no more, and frees them")
    func bytes() {
        let size = event("a").json.count
        let queue = queue { $0.bytes = size * 2 }
        for text in ["a", "b", "c"] { _ = queue.add(item(text), for: receiver) }
        #expect(queue.next(of: receiver)?.item.key == "b")
        #expect(queue.next(of: receiver)?.item.key == "c")
        #expect(queue.next(of: receiver) == nil)
        // What would not fit into the empty queue goes, and what waits before it goes too.
        _ = queue.add(item("d"), for: receiver)
        _ = queue.add(item(String(repeating: "x", count: size * 2)), for: receiver)
        #expect(queue.next(of: receiver) == nil)
        #expect(queue.add(item("e"), for: receiver))
        #expect(queue.next(of: receiver)?.item.key == "e")
    }

    @Test("serves so many receivers at once and no more")
    func receivers() {
        let queue = queue { $0.receivers = 1 }
        #expect(queue.add(item("a"), for: receiver))
        #expect(!queue.add(item("b"), for: other))
        #expect(queue.next(of: receiver)?.item.key == "a")
        #expect(queue.next(of: receiver) == nil)
        #expect(queue.add(item("c"), for: other))
    }
}
