import AgentShield
import ArgumentParser

/// The planner agent: asks the weather agent again and again, over one kept connection and over new ones.
struct Call: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Ask a weather agent, printing one line per call.",
        discussion: """
            Ends with code 0 if every call was answered with 200, otherwise with 1. Each line shows the serial number of \
            the own certificate that the connection was made with, so that a rotation under way can be seen: the kept \
            connection goes on, new ones use the new certificate.
            """)

    /// Which connections to use.
    enum Connections: String, ExpressibleByArgument, CaseIterable {
        case both, kept, new
    }

    @Option(help: "The task endpoint, https://HOST:PORT/task.") var url: String
    @Option(help: "The SPIFFE ID that the server has to prove.", transform: parseID) var server: SPIFFEID
    @Option(help: "Pause between calls, as in 500ms or 2s.") var every: Pause = Pause(.milliseconds(500))
    @Option(name: .customLong("for"), help: "How long to go on, as in 10s; one round without it.") var total: Pause?
    @Option(help: "Which connections to use: both, kept or new.") var connections = Connections.both
    @Option(help: "Seconds to wait for an identity.") var wait = 30

    func run() async throws {
        try await withIdentity(seconds: wait) { identity, own in
            Output.line("calling as \(own.id)")
            let client = AgentHTTPClient(identity: identity, allow: .ids([server]))
            let kept = client.keepingConnection()
            let clock = ContinuousClock()
            let end = clock.now + (total?.duration ?? .zero)
            var failures = 0
            repeat {
                if connections != .new {
                    failures += await call {
                        try await kept.execute(request(close: false))
                    } serial: {
                        kept.identityInUse?.serialNumber
                    }
                }
                if connections != .kept {
                    failures += await call {
                        try await client.execute(request(close: true))
                    } serial: {
                        identity.current?.serialNumber
                    }
                }
                guard clock.now + every.duration < end else { break }
                try await Task.sleep(for: every.duration)
            } while true
            if failures > 0 { throw Failure("\(failures) calls were not answered with 200") }
        }
    }

    private func request(close: Bool) -> AgentHTTPRequest {
        var request = AgentHTTPRequest.post(url, json: #"{"action":"forecast"}"#)
        if close { request.headers.add(name: "Connection", value: "close") }
        return request
    }

    /// Makes one call and prints its line; 1 for a failure.
    private func call(
        _ send: () async throws -> AgentHTTPResponse, serial: () -> String?
    ) async -> Int {
        do {
            let response = try await send()
            let body = try await response.body.collect(upTo: 65_536)
            let peer = response.server.map(\.string) ?? "-"
            Output.line(
                "\(response.isNewConnection ? "new " : "kept") connection  own serial \(short(serial()))  "
                    + "peer \(peer)  status \(response.status.code)  \(String(buffer: body))")
            return response.status == .ok ? 0 : 1
        } catch {
            Output.line("refused  own serial \(short(serial()))  \(error)")
            return 1
        }
    }

    private func short(_ serial: String?) -> Substring {
        serial?.prefix(8) ?? "none"
    }
}

/// A length of time on the command line: `500ms`, `2s`, `1m`.
struct Pause: ExpressibleByArgument, Sendable {
    let duration: Duration

    init(_ duration: Duration) {
        self.duration = duration
    }

    init?(argument: String) {
        let units: [(String, Duration)] = [("ms", .milliseconds(1)), ("s", .seconds(1)), ("m", .seconds(60))]
        for (suffix, unit) in units where argument.hasSuffix(suffix) {
            guard let number = Int(argument.dropLast(suffix.count)), (0...86_400_000).contains(number) else {
                return nil
            }
            duration = unit * number
            return
        }
        return nil
    }

    var defaultValueDescription: String { "\(duration)" }
}
