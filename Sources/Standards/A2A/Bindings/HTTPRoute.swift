import JOSE

/// Where the HTTP+JSON binding has its operations (A2A 1.0.1 §11.3), below the URL of an interface.
package struct HTTPRoute: Sendable, Equatable {
    package let operation: Operation
    package let tenant: String?
    package let taskID: String?
    package let configID: String?

    /// Why a path leads nowhere.
    package enum Miss: Error, Equatable, Sendable {
        case notFound
        /// The path is there and the method is not.
        case method(allowed: [String])
    }

    /// Finds the operation of a path that begins with a slash and is still percent-encoded.
    package init(method: String, path: some StringProtocol) throws(Miss) {
        var segments: [String] = []
        for segment in path.split(separator: "/", omittingEmptySubsequences: false).dropFirst() {
            guard let decoded = String(segment).removingPercentEncoding, !decoded.isEmpty else { throw .notFound }
            segments.append(decoded)
        }
        // A tenant stands before what the operation has, so the end is looked at first.
        var allowed: [String] = []
        for tenants in 0...1 where segments.count > tenants {
            let rest = Array(segments.dropFirst(tenants))
            for candidate in Self.candidates(rest) {
                if candidate.methods.contains(method) {
                    operation = candidate.operation
                    tenant = tenants == 1 ? segments[0] : nil
                    taskID = candidate.taskID
                    configID = candidate.configID
                    return
                }
                allowed += candidate.methods
            }
        }
        guard allowed.isEmpty else { throw .method(allowed: Array(Set(allowed)).sorted()) }
        throw .notFound
    }

    private struct Candidate {
        let operation: Operation
        let methods: [String]
        var taskID: String?
        var configID: String?
    }

    private static func candidates(_ path: [String]) -> [Candidate] {
        switch path.count {
        case 1:
            switch path[0] {
            case "message:send": [Candidate(operation: .sendMessage, methods: ["POST"])]
            case "message:stream": [Candidate(operation: .sendStreamingMessage, methods: ["POST"])]
            case "tasks": [Candidate(operation: .listTasks, methods: ["GET"])]
            case "extendedAgentCard": [Candidate(operation: .getExtendedAgentCard, methods: ["GET"])]
            default: []
            }
        case 2 where path[0] == "tasks": task(path[1])
        case 3 where path[0] == "tasks" && path[2] == "pushNotificationConfigs":
            [
                Candidate(operation: .createPushNotificationConfig, methods: ["POST"], taskID: path[1]),
                Candidate(operation: .listPushNotificationConfigs, methods: ["GET"], taskID: path[1]),
            ]
        case 4 where path[0] == "tasks" && path[2] == "pushNotificationConfigs":
            [
                Candidate(
                    operation: .getPushNotificationConfig, methods: ["GET"], taskID: path[1], configID: path[3]),
                Candidate(
                    operation: .deletePushNotificationConfig, methods: ["DELETE"], taskID: path[1],
                    configID: path[3]),
            ]
        default: []
        }
    }

    private static func task(_ segment: String) -> [Candidate] {
        if let id = segment.droppingSuffix(":cancel") {
            return [Candidate(operation: .cancelTask, methods: ["POST"], taskID: id)]
        }
        if let id = segment.droppingSuffix(":subscribe") {
            // The .proto file has GET, the text POST.
            return [Candidate(operation: .subscribeToTask, methods: ["GET", "POST"], taskID: id)]
        }
        return [Candidate(operation: .getTask, methods: ["GET"], taskID: segment)]
    }

    /// Reads the request: members from the path go before those of the body or the query.
    package func request(
        body: JSONObject, query: [(name: String, value: String)]
    ) throws(FieldViolation) -> OperationRequest {
        var members = body
        for (name, value) in query where members[name] == nil { members[name] = Self.queryValue(name, value) }
        if let tenant { members["tenant"] = .string(tenant) }
        switch operation {
        case .getTask, .cancelTask, .subscribeToTask:
            if let taskID { members["id"] = .string(taskID) }
        case .createPushNotificationConfig, .listPushNotificationConfigs:
            members["task_id"] = nil
            if let taskID { members["taskId"] = .string(taskID) }
        case .getPushNotificationConfig, .deletePushNotificationConfig:
            members["task_id"] = nil
            if let taskID { members["taskId"] = .string(taskID) }
            if let configID { members["id"] = .string(configID) }
        case .sendMessage, .sendStreamingMessage, .listTasks, .getExtendedAgentCard: break
        }
        return try OperationRequest(operation, reading: FieldReader(members))
    }

    /// Queries are texts; ProtoJSON takes numbers as texts, and truth values only as words of JSON.
    private static func queryValue(_ name: String, _ value: String) -> JSONValue {
        guard name == "includeArtifacts" || name == "include_artifacts" else { return .string(value) }
        return value == "true" ? true : value == "false" ? false : .string(value)
    }
}

extension String {
    func droppingSuffix(_ suffix: String) -> String? {
        guard hasSuffix(suffix), utf8.count > suffix.utf8.count else { return nil }
        return String(dropLast(suffix.count))
    }

    /// The text that percent-encoding stands for (RFC 3986 §2.1); `nil` when an escape or the text is broken.
    package var removingPercentEncoding: String? {
        guard utf8.contains(UInt8(ascii: "%")) else { return self }
        var bytes: [UInt8] = []
        var iterator = utf8.makeIterator()
        while let byte = iterator.next() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = iterator.next().flatMap(Self.hexDigit), let low = iterator.next().flatMap(Self.hexDigit)
            else { return nil }
            bytes.append(high << 4 | low)
        }
        return String(validating: bytes, as: UTF8.self)
    }

    /// The text as one segment of a path or one value of a query: only unreserved characters as they are (RFC 3986 §2.3).
    package var percentEncoded: String {
        // These two would be steps of the path.
        if self == "." || self == ".." { return String(repeating: "%2E", count: utf8.count) }
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in utf8 {
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                bytes.append(byte)
            default:
                bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 0xF)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
