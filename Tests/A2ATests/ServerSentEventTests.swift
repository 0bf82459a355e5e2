import Testing

@testable import A2A

@Suite struct ServerSentEventTests {
    private func events(_ text: String, limits: ServerSentEventReader.Limits = .init()) throws -> [ServerSentEvent] {
        var reader = ServerSentEventReader(limits: limits)
        var events: [ServerSentEvent] = []
        try reader.read(Array(text.utf8), into: &events)
        return events
    }

    private func event(_ data: String, type: String = "message", id: String = "") -> ServerSentEvent {
        ServerSentEvent(type: type, data: Array(data.utf8), id: id)
    }

    /// A stream, and the data, types and identifiers of its events.
    private static let streams: [(String, [(String, String, String)])] = [
        // The examples of WHATWG HTML §9.2.6.
        ("data: YHOO\ndata: +2\ndata: 10\n\n", [("YHOO\n+2\n10", "message", "")]),
        (
            ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
            [("first event", "message", "1"), ("second event", "message", ""), (" third event", "message", "")]
        ),
        ("data\n\ndata\ndata\n\ndata:", [("", "message", ""), ("\n", "message", "")]),
        ("data:test\n\ndata: test\n\n", [("test", "message", ""), ("test", "message", "")]),
        // Line ends.
        ("data: a\r\n\r\ndata: b\r\rdata: c\n\n", [("a", "message", ""), ("b", "message", ""), ("c", "message", "")]),
        ("data: a\r\ndata: b\n\r", [("a\nb", "message", "")]),
        // A mark at the beginning, and nowhere else.
        ("\u{FEFF}data: a\n\n\u{FEFF}data: b\n\n", [("a", "message", "")]),
        // Types end with their event; identifiers stay.
        ("event: add\nid: 7\ndata: x\n\ndata: y\n\n", [("x", "add", "7"), ("y", "message", "7")]),
        ("event: add\n\ndata: y\n\n", [("y", "message", "")]),
        ("id: 7\n\ndata: y\n\n", [("y", "message", "7")]),
        ("id: 7\nid: 8\u{0}\ndata: y\n\n", [("y", "message", "7")]),
        // What is no field.
        ("Data: a\ndata : b\n data: c\nx\nx: y\n:data: d\n\n", []),
        // An event without its end.
        ("data: a\n\ndata: b\n", [("a", "message", "")]),
        ("", []),
        ("\n\n\r\r\n", []),
    ]

    @Test(arguments: streams)
    func aStreamGivesItsEventsWhereverItsChunksEnd(_ text: String, _ expected: [(String, String, String)]) throws {
        let expected = expected.map { event($0.0, type: $0.1, id: $0.2) }
        #expect(try events(text) == expected)
        let bytes = Array(text.utf8)
        for size in 1...max(1, bytes.count) {
            var reader = ServerSentEventReader()
            var events: [ServerSentEvent] = []
            for start in stride(from: 0, to: bytes.count, by: size) {
                try reader.read(bytes[start..<min(start + size, bytes.count)], into: &events)
                try reader.read([], into: &events)
            }
            #expect(events == expected, "in chunks of \(size)")
        }
    }

    @Test(arguments: [
        ("retry: 2500\n", Int64(2500)), ("retry:0\n", 0), ("retry: 2500\nretry: soon\n", 2500), ("retry: -1\n", nil),
        ("retry: +1\n", nil), ("retry\n", nil), ("retry: 99999999999999999999\n", nil), ("retry: ١\n", nil),
    ])
    func theTimeToWaitIsANumberOrIsIgnored(_ text: String, _ milliseconds: Int64?) throws {
        var reader = ServerSentEventReader()
        var events: [ServerSentEvent] = []
        try reader.read(Array(text.utf8), into: &events)
        #expect(reader.retryMilliseconds == milliseconds)
    }

    @Test func aLineMayBeAsLongAsItsLimitAndNoLonger() throws {
        let limits = ServerSentEventReader.Limits(maximumLineBytes: 8, maximumEventBytes: 100)
        #expect(try events("data: ab\n\n", limits: limits) == [event("ab")])
        for text in ["data: abc\n\n", "data: abc", ":23456789", "data: ab\n\n" + String(repeating: "x", count: 9)] {
            #expect(throws: ServerSentEventError.lineTooLong(limit: 8)) { try events(text, limits: limits) }
        }
    }

    @Test func anEventMayBeAsLargeAsItsLimitAndNoLarger() throws {
        let limits = ServerSentEventReader.Limits(maximumLineBytes: 100, maximumEventBytes: 3)
        #expect(try events("data: abc\n\ndata: a\ndata: b\n\n", limits: limits) == [event("abc"), event("a\nb")])
        #expect(try events("data\ndata\ndata\ndata\n\n", limits: limits) == [event("\n\n\n")])
        for text in ["data: abcd\n", "data: a\ndata: bc\n", "data: abc\ndata\n", "data\ndata\ndata\ndata\ndata\n"] {
            #expect(throws: ServerSentEventError.eventTooLarge(limit: 3)) { try events(text, limits: limits) }
        }
    }

    @Test func anErrorKeepsTheEventsBeforeItAndComesAgain() {
        var reader = ServerSentEventReader(limits: .init(maximumLineBytes: 8, maximumEventBytes: 8))
        var events: [ServerSentEvent] = []
        #expect(throws: ServerSentEventError.lineTooLong(limit: 8)) {
            try reader.read(Array("data: a\n\n0123456789".utf8), into: &events)
        }
        #expect(events == [event("a")])
        #expect(throws: ServerSentEventError.lineTooLong(limit: 8)) {
            try reader.read(Array("\n\ndata: b\n\n".utf8), into: &events)
        }
        #expect(events == [event("a")])
    }

    @Test func whatIsWrittenIsOneLineOfDataAndAnEmptyLine() {
        var bytes: [UInt8] = []
        ServerSentEventWriter.append(data: Array(#"{"task":{}}"#.utf8), to: &bytes)
        bytes += ServerSentEventWriter.keepAlive
        ServerSentEventWriter.append(data: Array("{}".utf8), id: "7", to: &bytes)
        #expect(String(decoding: bytes, as: UTF8.self) == "data: {\"task\":{}}\n\n: \n\nid: 7\ndata: {}\n\n")
    }

    @Test(arguments: ["", "a", "a\nb", "\n", "\n\n", " a", ": a", "data: a", "é\u{FEFF}"])
    func whatIsWrittenReadsBack(_ text: String) throws {
        var bytes = ServerSentEventWriter.keepAlive
        ServerSentEventWriter.append(data: Array(text.utf8), id: "x y", to: &bytes)
        ServerSentEventWriter.append(data: Array("end".utf8), to: &bytes)
        #expect(
            try events(String(decoding: bytes, as: UTF8.self)) == [event(text, id: "x y"), event("end", id: "x y")])
    }

    @Test func lineEndsOfDataBecomeLinesAndNoIdentifierEndsALine() throws {
        var bytes: [UInt8] = []
        for id in ["1\n2", "1\r", "\u{0}"] {
            ServerSentEventWriter.append(data: Array("{\r\n}\r\rx".utf8), id: id, to: &bytes)
        }
        #expect(
            try events(String(decoding: bytes, as: UTF8.self)) == Array(repeating: event("{\n}\n\nx"), count: 3))
    }
}
