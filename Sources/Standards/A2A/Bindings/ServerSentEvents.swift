/// One event of a `text/event-stream` (WHATWG HTML §9.2).
///
/// The data stays bytes: whoever reads it as JSON checks that it is UTF-8.
package struct ServerSentEvent: Sendable, Equatable {
    /// What the stream calls the event; `message` unless it says otherwise.
    package var type: String
    /// The lines of data, with LF between them.
    package var data: [UInt8]
    /// The identifier last said in the stream, of this event or of an earlier one.
    package var id: String

    package init(type: String = "message", data: [UInt8], id: String = "") {
        self.type = type
        self.data = data
        self.id = id
    }
}

/// Why a stream of events is not read any further.
package enum ServerSentEventError: Error, Sendable, Equatable, CustomStringConvertible {
    /// A line is longer than the limit, in bytes.
    case lineTooLong(limit: Int)
    /// The data of one event is longer than the limit, in bytes.
    case eventTooLarge(limit: Int)

    package var description: String {
        switch self {
        case .lineTooLong(let limit): "a line of the event stream is longer than \(limit) bytes"
        case .eventTooLarge(let limit): "an event of the stream has more than \(limit) bytes"
        }
    }
}

/// Writes a `text/event-stream`.
package enum ServerSentEventWriter {
    /// The media type of the stream.
    package static let mediaType = "text/event-stream"

    /// Appends one event: its data line by line, then the empty line that sends it off.
    ///
    /// - Parameter id: left out if it has a character that the form cannot carry: a line end or NUL.
    package static func append(data: some Collection<UInt8>, id: String? = nil, to bytes: inout [UInt8]) {
        if let id, !id.utf8.contains(where: { $0 == 0 || isLineEnd($0) }) {
            bytes.append(contentsOf: "id: ".utf8)
            bytes.append(contentsOf: id.utf8)
            bytes.append(UInt8(ascii: "\n"))
        }
        var rest = data[...]
        while true {
            let end = rest.firstIndex(where: isLineEnd) ?? rest.endIndex
            bytes.append(contentsOf: "data: ".utf8)
            bytes.append(contentsOf: rest[..<end])
            bytes.append(UInt8(ascii: "\n"))
            guard end < rest.endIndex else { break }
            let isCarriageReturn = rest[end] == UInt8(ascii: "\r")
            rest = rest[rest.index(after: end)...]
            if isCarriageReturn, rest.first == UInt8(ascii: "\n") { rest = rest.dropFirst() }
        }
        bytes.append(UInt8(ascii: "\n"))
    }

    /// Appends one event whose data `write` appends, as JSON on one line: looked through for line ends by nobody.
    package static func append(to bytes: inout [UInt8], _ write: (inout [UInt8]) -> Void) {
        bytes.append(contentsOf: "data: ".utf8)
        write(&bytes)
        bytes.append(contentsOf: "\n\n".utf8)
    }

    /// A comment, which readers skip: shows that the stream lives.
    package static let keepAlive: [UInt8] = Array(": \n\n".utf8)
}

/// Reads a `text/event-stream` chunk by chunk (WHATWG HTML §9.2.6), holding no more than one line and one event.
///
/// An event that the stream ends in the middle of is none.
package struct ServerSentEventReader: Sendable {
    /// What a stream may make its reader hold.
    package struct Limits: Sendable {
        /// The most bytes of a line, its end not counted.
        package var maximumLineBytes: Int
        /// The most bytes of the data of one event.
        package var maximumEventBytes: Int

        package init(maximumLineBytes: Int = 4 << 20, maximumEventBytes: Int = 4 << 20) {
            self.maximumLineBytes = maximumLineBytes
            self.maximumEventBytes = maximumEventBytes
        }
    }

    private let limits: Limits
    private var line: [UInt8] = []
    private var isFirstLine = true
    /// Whether the last byte was a CR, whose LF may come in the next chunk.
    private var endsInCarriageReturn = false
    private var failure: ServerSentEventError?

    private var type = ""
    /// `nil` until the event has a line of data; each line but the last is followed by LF.
    private var data: [UInt8]?

    /// The identifier last said, for `Last-Event-ID`; empty if none was.
    package private(set) var lastEventID = ""
    /// How many milliseconds the server wants a client to wait before it connects again.
    package private(set) var retryMilliseconds: Int64?

    package init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// Reads a chunk and appends the events that it completes.
    ///
    /// After an error the reader gives the same error again: the place in the stream is lost.
    package mutating func read(
        _ chunk: some Collection<UInt8>, into events: inout [ServerSentEvent]
    ) throws(ServerSentEventError) {
        if let failure { throw failure }
        var rest = chunk[...]
        if endsInCarriageReturn, let first = rest.first {
            if first == UInt8(ascii: "\n") { rest = rest.dropFirst() }
            endsInCarriageReturn = false
        }
        while let end = rest.firstIndex(where: isLineEnd) {
            try take(rest[..<end])
            let isCarriageReturn = rest[end] == UInt8(ascii: "\r")
            rest = rest[rest.index(after: end)...]
            if isCarriageReturn {
                if rest.isEmpty {
                    endsInCarriageReturn = true
                } else if rest.first == UInt8(ascii: "\n") {
                    rest = rest.dropFirst()
                }
            }
            try endLine(&events)
        }
        try take(rest)
    }

    private mutating func take(_ piece: some Collection<UInt8>) throws(ServerSentEventError) {
        guard piece.count <= limits.maximumLineBytes - line.count else {
            throw fail(.lineTooLong(limit: limits.maximumLineBytes))
        }
        line.append(contentsOf: piece)
    }

    private mutating func endLine(_ events: inout [ServerSentEvent]) throws(ServerSentEventError) {
        defer { line.removeAll(keepingCapacity: line.capacity <= 64 << 10) }
        var content = line[...]
        if isFirstLine {
            isFirstLine = false
            if content.starts(with: [0xEF, 0xBB, 0xBF]) { content = content.dropFirst(3) }
        }
        guard !content.isEmpty else { return dispatch(&events) }
        guard let colon = content.firstIndex(of: UInt8(ascii: ":")) else { return try field(content, []) }
        var value = content[(colon + 1)...]
        if value.first == UInt8(ascii: " ") { value = value.dropFirst() }
        // A line without a name is a comment.
        if colon > content.startIndex { try field(content[..<colon], value) }
    }

    private mutating func field(_ name: ArraySlice<UInt8>, _ value: ArraySlice<UInt8>) throws(ServerSentEventError) {
        if name.elementsEqual("data".utf8) {
            let held = data.map { $0.count + 1 } ?? 0
            guard held <= limits.maximumEventBytes, value.count <= limits.maximumEventBytes - held else {
                throw fail(.eventTooLarge(limit: limits.maximumEventBytes))
            }
            // Taken out and put back, so that a long event is not copied with each of its lines.
            var longer = data.take() ?? []
            if held > 0 { longer.append(UInt8(ascii: "\n")) }
            longer.append(contentsOf: value)
            data = longer
        } else if name.elementsEqual("event".utf8) {
            type = String(decoding: value, as: UTF8.self)
        } else if name.elementsEqual("id".utf8) {
            if !value.contains(0) { lastEventID = String(decoding: value, as: UTF8.self) }
        } else if name.elementsEqual("retry".utf8) {
            let isNumber = !value.isEmpty && value.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
            if isNumber, let milliseconds = Int64(String(decoding: value, as: UTF8.self)) {
                retryMilliseconds = milliseconds
            }
        }
    }

    private mutating func dispatch(_ events: inout [ServerSentEvent]) {
        if let data = data.take() {
            events.append(ServerSentEvent(type: type.isEmpty ? "message" : type, data: data, id: lastEventID))
        }
        type = ""
    }

    private mutating func fail(_ error: ServerSentEventError) -> ServerSentEventError {
        failure = error
        line = []
        data = nil
        return error
    }
}

private func isLineEnd(_ byte: UInt8) -> Bool { byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") }
