package import JOSE

/// A request of the JSON-RPC binding (A2A 1.0.1 §9, JSON-RPC 2.0 §4).
package struct JSONRPCRequest: Sendable {
    /// What the answer repeats: a string, a whole number or null.
    package enum ID: Sendable, Equatable {
        case string(String)
        case number(Int64)
        case null

        func append(to bytes: inout [UInt8]) {
            switch self {
            case .string(let text): JSONWriter.append(text, to: &bytes)
            case .number(let number): bytes.append(contentsOf: String(number).utf8)
            case .null: bytes.append(contentsOf: "null".utf8)
            }
        }
    }

    package let id: ID
    package let method: String
    package let params: JSONObject

    /// The most bytes of an identifier, which every event of a stream repeats.
    static let maximumIDLength = 256

    /// Takes a body apart. When it is no request, the identifier that an answer needs comes with the error.
    package static func read(
        _ body: some Collection<UInt8>, limits: JSONLimits
    ) throws(JSONRPCFailure) -> JSONRPCRequest {
        let value: JSONValue
        do {
            value = try JSONValue(parsing: body, limits: limits)
        } catch {
            throw JSONRPCFailure(id: .null, A2AError(.parseError))
        }
        // Batches are not part of the binding.
        guard case .object(let object) = value else {
            throw JSONRPCFailure(id: .null, A2AError(.invalidRequest, "the body must be one request"))
        }
        let id = try Self.id(object["id"])
        guard object["jsonrpc"]?.stringValue == "2.0" else {
            throw JSONRPCFailure(id: id, A2AError(.invalidRequest, "jsonrpc must be \"2.0\""))
        }
        guard let method = object["method"]?.stringValue else {
            throw JSONRPCFailure(id: id, A2AError(.invalidRequest, "method must be a string"))
        }
        switch object["params"] {
        case nil, .null?: return JSONRPCRequest(id: id, method: method, params: JSONObject())
        case .object(let params)?: return JSONRPCRequest(id: id, method: method, params: params)
        default: throw JSONRPCFailure(id: id, A2AError(.invalidParams, "params must be an object"))
        }
    }

    private static func id(_ value: JSONValue?) throws(JSONRPCFailure) -> ID {
        switch value {
        // A notification has no answer in JSON-RPC; every operation of the protocol has one.
        case nil: throw JSONRPCFailure(id: .null, A2AError(.invalidRequest, "id is required"))
        case .null?: return .null
        case .string(let text)? where text.utf8.count <= maximumIDLength: return .string(text)
        case .number(let number)?:
            if let integer = number.int64 { return .number(integer) }
            fallthrough
        default:
            throw JSONRPCFailure(
                id: .null, A2AError(.invalidRequest, "id must be a short string, a whole number or null"))
        }
    }
}

/// Why a body is no request, with the identifier of the answer.
package struct JSONRPCFailure: Error, Sendable {
    package let id: JSONRPCRequest.ID
    package let error: A2AError

    init(id: JSONRPCRequest.ID, _ error: A2AError) {
        self.id = id
        self.error = error
    }
}

/// Answers of the JSON-RPC binding.
package enum JSONRPCResponse {
    /// An answer with a result that is JSON text already.
    package static func success(_ id: JSONRPCRequest.ID, result: [UInt8]) -> [UInt8] {
        var bytes = prefix(id, reserving: result.count)
        bytes.append(contentsOf: result)
        bytes.append(UInt8(ascii: "}"))
        return bytes
    }

    /// All that stands before a result: what the events of one stream have in common. A closing brace ends the answer.
    package static func prefix(_ id: JSONRPCRequest.ID, reserving count: Int = 0) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 64)
        bytes.append(contentsOf: #"{"jsonrpc":"2.0","id":"#.utf8)
        id.append(to: &bytes)
        bytes.append(contentsOf: #","result":"#.utf8)
        return bytes
    }

    package static func failure(_ id: JSONRPCRequest.ID, _ error: A2AError) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(contentsOf: #"{"jsonrpc":"2.0","id":"#.utf8)
        id.append(to: &bytes)
        var object: JSONObject = [
            "code": .number(JSONNumber(Int64(error.kind.jsonRPCCode))), "message": .string(error.message),
        ]
        let details = error.details
        if !details.isEmpty { object["data"] = .array(details) }
        bytes.append(contentsOf: #","error":"#.utf8)
        JSONWriter.append(.object(object), to: &bytes)
        bytes.append(UInt8(ascii: "}"))
        return bytes
    }
}
