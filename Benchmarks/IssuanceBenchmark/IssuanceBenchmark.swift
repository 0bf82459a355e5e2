import AuditTrail
import Crypto
import Issuance
import SPIFFE
import SQLiteStorage

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Processor time per credential, in process, with intent and outcome durable in the audit log and 50 in flight; and per
/// access token that a resource server verifies.
///
/// `IssuanceBenchmark [operations] [only]`; `only` is a word of one measurement's name, for profilers.
@main
enum IssuanceBenchmark {
    static let inFlight = 50

    static func main() async throws {
        let arguments = CommandLine.arguments.dropFirst()
        let count = arguments.first.flatMap { Int($0) } ?? 20_000
        let only = arguments.dropFirst().first
        let openSSL = only == nil ? OpenSSLSpeed.measure() : nil
        let directory = try temporaryDirectory()
        defer { remove(directory) }
        var results = try await Fixture.with(try SQLiteAuditStore.open(directory: directory)) { fixture in
            try await measureAll(fixture, count: count, only: only, store: "SQLite")
        }
        // What of it the storage costs: the same without.
        results += try await Fixture.with(MemoryAuditStore()) { fixture in
            try await measureAll(fixture, count: count, only: only, store: "memory")
                + measureCryptography(fixture, count: count, only: only)
        }
        results += try await TokenVerification.measure(count: count, only: only)
        print(Table.text(results, openSSL: openSSL))
    }

    private static func temporaryDirectory() throws -> String {
        var path = Array("/tmp/issuance-benchmark-XXXXXX".utf8CString)
        guard mkdtemp(&path) != nil else { throw Failure.noTemporaryDirectory }
        return String(decoding: path.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func remove(_ directory: String) {
        for name in ["audit.sqlite", "audit.sqlite-wal", "audit.sqlite-shm"] { unlink("\(directory)/\(name)") }
        rmdir(directory)
    }

    private enum Failure: Error {
        case noTemporaryDirectory
        case wrongSignature
    }

    private static func measureAll(
        _ fixture: Fixture, count: Int, only: String?, store: String
    ) async throws -> [Measurement] {
        var results: [Measurement] = []
        func measure(
            _ name: String, _ operation: @escaping @Sendable (Fixture, Int) async throws -> Void
        ) async throws {
            guard only.map({ name.contains($0) }) ?? true else { return }
            // Once without counting: pages, caches and the allocator settle.
            try await run(fixture, min(count, 2000), operation)
            results.append(
                try await Measurement.take(name, count: count) { try await run(fixture, count, operation) })
        }
        try await measure("X.509-SVID from a CSR, \(store) log") { fixture, number in
            let csr = try CertificateSigningRequest(parsing: fixture.requests[number % fixture.requests.count])
            _ = try await fixture.issuer.issueX509SVID(for: fixture.caller, entry: fixture.entry, csr: csr)
        }
        try await measure("JWT-SVID, \(store) log") { fixture, _ in
            _ = try await fixture.issuer.issueJWTSVID(
                for: fixture.caller, entry: fixture.entry, audience: ["spiffe://bench.test/agents/ledger"])
        }
        return results
    }

    /// What the cryptography alone costs in this process: no issuer that checks its work can be cheaper.
    private static func measureCryptography(
        _ fixture: Fixture, count: Int, only: String?
    ) async throws -> [Measurement] {
        let key = P256.Signing.PrivateKey()
        let publicKey = key.publicKey
        let body = [UInt8](repeating: 7, count: 450)
        let signature = try key.signature(for: body)
        var results: [Measurement] = []
        for (name, verifies) in [("verify + sign + verify alone", 2), ("sign + verify alone", 1)] {
            guard only.map({ name.contains($0) }) ?? true else { continue }
            results.append(
                try await Measurement.take(name, count: count) {
                    try await run(fixture, count) { _, _ in
                        _ = try key.signature(for: body)
                        for _ in 0..<verifies {
                            guard publicKey.isValidSignature(signature, for: body) else { throw Failure.wrongSignature }
                        }
                    }
                })
        }
        return results
    }

    /// `count` operations by 50 tasks, each of which has one in flight.
    private static func run(
        _ fixture: Fixture, _ count: Int, _ operation: @escaping @Sendable (Fixture, Int) async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for task in 0..<inFlight {
                group.addTask {
                    for number in stride(from: task, to: count, by: inFlight) { try await operation(fixture, number) }
                }
            }
            try await group.waitForAll()
        }
    }
}
