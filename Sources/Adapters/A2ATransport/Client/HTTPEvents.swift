import A2A
import JOSE

extension A2AHTTPResponse {
    /// Whether the body is a stream of events.
    var isEventStream: Bool {
        header("content-type")?.lowercased().hasPrefix(MediaType.events) ?? false
    }

    /// Reads the body as a stream of events, each of which is JSON.
    func forEachEvent(
        upTo limit: Int, _ take: (JSONValue) async throws -> Void
    ) async throws {
        var reader = ServerSentEventReader(
            limits: .init(maximumLineBytes: limit, maximumEventBytes: limit))
        try await forEachChunk { chunk in
            var events: [ServerSentEvent] = []
            do throws(ServerSentEventError) {
                try reader.read(chunk, into: &events)
            } catch {
                throw A2AClientError.answerTooLarge(limit: limit)
            }
            for event in events where !event.data.isEmpty {
                try await take(try JSONValue(answer: event.data, upTo: limit))
            }
        }
    }
}

extension JSONValue {
    /// Reads what an agent answered.
    init(answer bytes: [UInt8], upTo limit: Int) throws(A2AClientError) {
        do throws(JSONParseError) {
            try self.init(parsing: bytes, limits: JSONLimits(maximumBytes: limit))
        } catch {
            throw .invalidAnswer("\(error)")
        }
    }
}

extension ProtoJSONMessage {
    /// Reads a message of an answer.
    init(answer value: JSONValue) throws(A2AClientError) {
        do throws(FieldViolation) {
            try self.init(json: value)
        } catch {
            throw .invalidAnswer("\(error)")
        }
    }
}
