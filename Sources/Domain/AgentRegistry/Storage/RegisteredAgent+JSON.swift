import AgentDirectory
import JOSE
package import Registry
import SPIFFE

extension RegisteredAgent {
    private static let limits = JSONLimits(maximumBytes: 1 << 20, maximumDepth: 16)

    /// The agent as stores keep it: canonical JSON (RFC 8785).
    package var storedBytes: [UInt8] { json.canonicalBytes }

    /// Reads a stored agent. A member or value that this version does not write refuses it.
    package init(id: String, storedBytes: [UInt8]) throws(StoreError) {
        do {
            guard let json = try JSONValue(parsing: storedBytes, limits: Self.limits).objectValue else {
                throw DamagedAgent()
            }
            try self.init(stored: json)
            guard self.id.hasSameBytes(as: id), self.json == json else { throw DamagedAgent() }
        } catch {
            throw .failed("the stored agent `\(id.prefix(80))` is damaged")
        }
    }

    private var json: JSONObject {
        var json: JSONObject = [
            "id": .string(id), "name": .string(name.text), "visibility": .object(visibility.json),
            "life": .object(life.json), "versions": .array(versions.map { .object($0.json) }),
            "created_at": .number(JSONNumber(createdAt.milliseconds)),
        ]
        json["identity"] = identity.map { .string($0.string) }
        json["current"] = current.map { .number(JSONNumber($0)) }
        json["drift"] = drift.map {
            ["digest": .string($0.digest), "seen_at": .number(JSONNumber($0.seenAt.milliseconds))]
        }
        return json
    }

    private init(stored json: JSONObject) throws {
        var drift: Drift?
        if let stored = json["drift"]?.objectValue {
            drift = Drift(digest: try stored.text("digest"), seenAt: try stored.time("seen_at"))
        }
        self.init(
            id: try json.text("id"), name: try AgentName(json.text("name")),
            identity: try json["identity"].map { _ in try SPIFFEID(json.text("identity")) },
            visibility: try Visibility(stored: json.object("visibility")), life: try Life(stored: json.object("life")),
            versions: try (json["versions"]?.arrayValue ?? []).map { value in
                guard let object = value.objectValue else { throw DamagedAgent() }
                return try CardVersion(stored: object)
            },
            current: try json["current"].map { _ in try json.integer("current") }, drift: drift,
            createdAt: try json.time("created_at"))
        // What the rules rest on.
        guard !versions.isEmpty, current == nil || served != nil else { throw DamagedAgent() }
    }
}

extension Visibility {
    fileprivate var json: JSONObject {
        var json: JSONObject = ["is": .string(word)]
        if case .entitled(let ids) = self { json["ids"] = .array(ids.map { .string($0.string) }) }
        return json
    }

    fileprivate init(stored json: JSONObject) throws {
        switch try json.text("is") {
        case "public": self = .everyone
        case "private": self = .nobody
        case "entitled":
            guard let ids = json["ids"]?.stringArrayValue else { throw DamagedAgent() }
            self = .entitled(try ids.map { try SPIFFEID($0) })
        default: throw DamagedAgent()
        }
    }
}

extension RegisteredAgent.Life {
    fileprivate var json: JSONObject {
        switch self {
        case .open: ["is": "open"]
        case .deprecated(let reason): ["is": "deprecated", "reason": .string(reason)]
        case .revoked(let reason): ["is": "revoked", "reason": .string(reason)]
        }
    }

    fileprivate init(stored json: JSONObject) throws {
        switch try json.text("is") {
        case "open": self = .open
        case "deprecated": self = .deprecated(reason: try json.text("reason"))
        case "revoked": self = .revoked(reason: try json.text("reason"))
        default: throw DamagedAgent()
        }
    }
}

extension CardVersion {
    fileprivate var json: JSONObject {
        var json: JSONObject = [
            "number": .number(JSONNumber(number)), "version": .string(version), "digest": .string(digest),
            "signature": .string(signature.word), "registered_at": .number(JSONNumber(registeredAt.milliseconds)),
            "stage": .object(stage.json),
        ]
        if case .verified(let keyID) = signature { json["kid"] = .string(keyID) }
        switch source {
        case .agent: json["source"] = "agent"
        case .administrator: json["source"] = "administrator"
        case .url(let url):
            json["source"] = "url"
            json["url"] = .string(url)
        }
        return json
    }

    fileprivate init(stored json: JSONObject) throws {
        let signature: CardSignature
        switch try json.text("signature") {
        case "unsigned": signature = .unsigned
        case "verified": signature = .verified(keyID: try json.text("kid"))
        case "unknown_key": signature = .unknownKey
        default: throw DamagedAgent()
        }
        let source: Source
        switch try json.text("source") {
        case "agent": source = .agent
        case "administrator": source = .administrator
        case "url": source = .url(try json.text("url"))
        default: throw DamagedAgent()
        }
        self.init(
            number: try json.integer("number"), version: try json.text("version"), digest: try json.text("digest"),
            signature: signature, source: source, registeredAt: try json.time("registered_at"),
            stage: try Stage(stored: json.object("stage")))
    }
}

extension CardVersion.Stage {
    fileprivate var json: JSONObject {
        switch self {
        case .draft: ["is": "draft"]
        case .pending: ["is": "pending"]
        case .approved(let person, let time):
            ["is": "approved", "by": .string(person.name), "at": .number(JSONNumber(time.milliseconds))]
        case .rejected(let person, let time, let reason):
            [
                "is": "rejected", "by": .string(person.name), "at": .number(JSONNumber(time.milliseconds)),
                "reason": .string(reason),
            ]
        }
    }

    fileprivate init(stored json: JSONObject) throws {
        switch try json.text("is") {
        case "draft": self = .draft
        case "pending": self = .pending
        case "approved": self = .approved(by: try Person(json.text("by")), at: try json.time("at"))
        case "rejected":
            self = .rejected(
                by: try Person(json.text("by")), at: try json.time("at"), reason: try json.text("reason"))
        default: throw DamagedAgent()
        }
    }
}

extension JSONObject {
    fileprivate func text(_ name: String) throws(DamagedAgent) -> String {
        guard let text = self[name]?.stringValue else { throw DamagedAgent() }
        return text
    }

    fileprivate func integer(_ name: String) throws(DamagedAgent) -> Int64 {
        guard let number = self[name]?.int64Value else { throw DamagedAgent() }
        return number
    }

    fileprivate func time(_ name: String) throws(DamagedAgent) -> UnixTime {
        UnixTime(milliseconds: try integer(name))
    }

    fileprivate func object(_ name: String) throws(DamagedAgent) -> JSONObject {
        guard let object = self[name]?.objectValue else { throw DamagedAgent() }
        return object
    }
}

/// A stored agent is not what this version writes.
private struct DamagedAgent: Error {}
