import SPIFFE
import Testing

@testable import Issuance

struct AuthorityScheduleTests {
    struct Row: Sendable, CustomTestStringConvertible {
        let life: Int64
        let preparation: Int64
        let activation: Int64
        var testDescription: String { "a life of \(life) s" }
    }

    static let day: Int64 = 86_400

    /// Seconds before the end.
    static let rows = [
        Row(life: 6, preparation: 3, activation: 1),
        Row(life: 60, preparation: 30, activation: 10),
        Row(life: 3600, preparation: 1800, activation: 600),
        Row(life: day, preparation: day / 2, activation: day / 6),
        Row(life: 42 * day, preparation: 21 * day, activation: 7 * day),
        Row(life: 60 * day, preparation: 30 * day, activation: 7 * day),
        Row(life: 61 * day, preparation: 30 * day, activation: 7 * day),
        Row(life: 3650 * day, preparation: 30 * day, activation: 7 * day),
    ]

    @Test(
        "the next authority is prepared at half of life and signs from the last sixth, within the limits",
        arguments: rows)
    func thresholds(row: Row) {
        let record = record(life: row.life)
        #expect(AuthoritySchedule.preparation(of: record) == record.notAfter - row.preparation)
        #expect(AuthoritySchedule.activation(of: record) == record.notAfter - row.activation)
        #expect(AuthoritySchedule.pruning(of: record) == record.notAfter + Self.day)
    }

    static let cardRows = [
        Row(life: 8, preparation: 5, activation: 4), Row(life: 800, preparation: 500, activation: 400),
        Row(life: 366 * day, preparation: 213 * day, activation: 183 * day),
    ]

    @Test("a key of cards signs for half of its life, and its successor is published before", arguments: cardRows)
    func cards(row: Row) {
        let record = record(life: row.life, kind: .card)
        #expect(AuthoritySchedule.preparation(of: record) == record.notAfter - row.preparation)
        #expect(AuthoritySchedule.activation(of: record) == record.notAfter - row.activation)
        #expect(AuthoritySchedule.pruning(of: record) == record.notAfter + Self.day)
    }

    @Test func `a life that ends before it begins is due at once and overflows nothing`() {
        let record = record(life: -5)
        #expect(AuthoritySchedule.activation(of: record) == record.notAfter)
    }

    private func record(life: Int64, kind: AuthorityRecord.Kind = .x509) -> AuthorityRecord {
        let start = UnixTime(seconds: 1_800_000_000)
        return AuthorityRecord(
            kind: kind, id: "a", keyID: nil, certificate: nil, publicKey: [], notBefore: start - 10,
            notAfter: start + life, status: .active, createdAt: start)
    }
}
