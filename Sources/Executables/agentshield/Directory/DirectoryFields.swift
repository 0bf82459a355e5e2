import ArgumentParser
import ControlPlaneAPI
import GRPCCore
import SPIFFE

/// Which agent is meant.
struct IdentityReferenceOptions: ParsableArguments {
    @Option(name: .flag("id"), help: "The agent: its client ID, SPIFFE ID or name.")
    var id: String
}

/// Until when something holds.
struct EndOptions: ParsableArguments {
    @Option(name: .flag("expiresIn"), help: "How long it holds from now on, such as 90d or 12h (default: no end).")
    var expiresIn: String?
    @Option(name: .flag("expiresAt"), help: "Its end (RFC 3339), instead of -expiresIn.")
    var expiresAt: String?

    /// Seconds since 1970; nil where no flag was given.
    func seconds() throws -> Int64? {
        switch (expiresIn, expiresAt) {
        case (nil, nil): return nil
        case (let text?, nil):
            let life = try DurationText.seconds(text, flag: "-expiresIn")
            guard life > 0 else { throw CommandFailure("-expiresIn: `\(text)` is no time at all") }
            return (WallClock.now() + life).seconds
        case (nil, let text?):
            guard let end = UnixTime(rfc3339: text), end.seconds != 0 else {
                throw CommandFailure("-expiresAt: `\(text)` is not a time such as 2030-01-31T12:00:00Z")
            }
            return end.seconds
        case (_?, _?): throw CommandFailure("-expiresIn and -expiresAt exclude each other")
        }
    }
}

/// Values of a flag that may come several times, or with spaces or commas between them; an empty text stands for none.
func words(_ values: [String]) -> [String] {
    values.flatMap { $0.split { $0 == " " || $0 == "," }.map(String.init) }
}

extension Agentshield_Admin_V1_TextList {
    /// The list that replaces the one that is there; nil where the flag was not given.
    init?(_ values: [String]) {
        guard !values.isEmpty else { return nil }
        self.init()
        items = words(values)
    }
}

/// Every page of a list, one after the other.
func allPages<Item: Sendable>(
    _ page: (String) async throws -> (items: [Item], next: String)
) async throws -> [Item] {
    var items: [Item] = []
    var token = ""
    repeat {
        let answer = try await page(token)
        items += answer.items
        token = answer.next
    } while !token.isEmpty
    return items
}

/// Whole seconds of a duration on the command line, zero where there is none.
func seconds(_ text: String?, flag: String) throws -> Int64 {
    guard let text else { return 0 }
    let seconds = try DurationText.seconds(text, flag: flag)
    guard seconds > 0 else { throw CommandFailure("\(flag): `\(text)` is no time at all") }
    return seconds
}
