import A2A
import JOSE

/// Feeds one input to every reader of outside bytes in A2A: as JSON to each kind of message, and as a stream of events.
/// No input may trap; what is read has to come back from what is written.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    let bytes = [UInt8](UnsafeBufferPointer(start: data, count: size))
    messages(bytes)
    stream(bytes)
    written(bytes)
    return 0
}

private func messages(_ bytes: [UInt8]) {
    guard let value = try? JSONValue(parsing: bytes) else { return }
    roundTrip(AgentTask.self, value)
    roundTrip(TaskStatus.self, value)
    roundTrip(Message.self, value)
    roundTrip(Part.self, value)
    roundTrip(Artifact.self, value)
    roundTrip(TaskStatusUpdate.self, value)
    roundTrip(TaskArtifactUpdate.self, value)
    roundTrip(StreamEvent.self, value)
    roundTrip(SendMessageResponse.self, value)
    roundTrip(SendMessageRequest.Configuration.self, value)
    roundTrip(GetTaskRequest.self, value)
    roundTrip(ListTasksRequest.self, value)
    roundTrip(ListTasksResponse.self, value)
    roundTrip(CancelTaskRequest.self, value)
    roundTrip(SubscribeToTaskRequest.self, value)
    roundTrip(GetExtendedAgentCardRequest.self, value)
    roundTrip(AgentCard.self, value)
    roundTrip(PushNotificationConfig.self, value)
    roundTrip(PushNotificationConfigRequest.self, value)
    roundTrip(ListPushNotificationConfigsRequest.self, value)
    roundTrip(ListPushNotificationConfigsResponse.self, value)
    roundTrip(LegacyStreamEvent.self, value)
    legacy(value)
    if let request = roundTrip(SendMessageRequest.self, value) {
        precondition(request.violations.count <= request.message.parts.count + 4, "more violations than members")
    }
}

/// Version 0.3: requests of every method, and a card that readers of 1.0 see unchanged.
private func legacy(_ value: JSONValue) {
    guard case .object(let object) = value else { return }
    for operation in Operation.allCases { _ = try? LegacyRequest(operation, reading: FieldReader(object)) }
    guard let card = try? AgentCard(json: value), let both = try? LegacyCard.adding(to: object) else { return }
    precondition((try? AgentCard(json: .object(both))) == card, "the card reads differently")
}

@discardableResult
private func roundTrip<Message: ProtoJSONMessage>(_ type: Message.Type, _ value: JSONValue) -> Message? {
    guard let message = try? Message(json: value) else { return nil }
    let written = message.jsonBytes
    // Base64 and escapes can only be longer than what was read by a bounded factor.
    guard let again = try? JSONValue(parsing: written, limits: JSONLimits(maximumBytes: .max)),
        let read = try? Message(json: again)
    else { preconditionFailure("what was written cannot be read") }
    precondition(read.jsonBytes == written, "message reads back differently")
    return message
}

private let limits = ServerSentEventReader.Limits(maximumLineBytes: 4096, maximumEventBytes: 6000)

private func stream(_ bytes: [UInt8]) {
    let whole = read(bytes, inPiecesOf: max(1, bytes.count))
    // The first byte says how long the pieces are.
    let pieces = read(bytes, inPiecesOf: Int(bytes.first ?? 0) % 7 + 1)
    precondition(whole.events == pieces.events && whole.error == pieces.error, "the borders of chunks show")
    for event in whole.events { precondition(event.data.count <= limits.maximumEventBytes, "larger than allowed") }
}

private func read(_ bytes: [UInt8], inPiecesOf size: Int) -> (events: [ServerSentEvent], error: ServerSentEventError?) {
    var reader = ServerSentEventReader(limits: limits)
    var events: [ServerSentEvent] = []
    for start in stride(from: 0, to: bytes.count, by: size) {
        do throws(ServerSentEventError) {
            try reader.read(bytes[start..<min(start + size, bytes.count)], into: &events)
        } catch {
            return (events, error)
        }
    }
    return (events, nil)
}

private func written(_ bytes: [UInt8]) {
    var stream: [UInt8] = []
    ServerSentEventWriter.append(data: bytes, id: String(decoding: bytes.prefix(8), as: UTF8.self), to: &stream)
    var reader = ServerSentEventReader()
    var events: [ServerSentEvent] = []
    do { try reader.read(stream, into: &events) } catch { preconditionFailure("what was written cannot be read") }
    precondition(events.count == 1, "one event was written")
    if !bytes.contains(UInt8(ascii: "\r")) { precondition(events[0].data == bytes, "data reads back differently") }
}
