import AgentDirectory
import JOSE
import OAuth
package import Registry
import SPIFFE

extension Approval {
    private static let limits = JSONLimits(maximumBytes: 256 << 10, maximumDepth: 64)

    /// The approval as stores keep it: canonical JSON (RFC 8785).
    package var storedBytes: [UInt8] { json.canonicalBytes }

    /// Reads a stored approval. A member or value that this version does not write refuses it.
    package init(id: String, storedBytes: [UInt8]) throws(StoreError) {
        do {
            guard let json = try JSONValue(parsing: storedBytes, limits: Self.limits).objectValue else {
                throw DamagedApproval()
            }
            try self.init(stored: json)
            guard self.id.hasSameBytes(as: id), self.json == json else { throw DamagedApproval() }
        } catch {
            throw .failed("the stored approval `\(id.prefix(80))` is damaged")
        }
    }

    private var json: JSONObject {
        var json: JSONObject = [
            "id": .string(id), "handle": .string(Base64URL.encode(handleDigest)), "action": .object(act.json),
            "created_at": .number(JSONNumber(createdAt.milliseconds)),
            "deadline": .number(JSONNumber(deadline.milliseconds)), "state": .object(state.json),
        ]
        switch demand {
        case .resource(let reason): json["demand"] = ["by": "resource", "reason": .string(reason)]
        case .settings: json["demand"] = ["by": "settings"]
        case .grant(let seconds): json["demand"] = ["by": "grant", "seconds": .number(JSONNumber(seconds))]
        }
        json["basis"] = basis.map { .object($0.json) }
        json["cnf"] = confirmation.map { .object($0.json) }
        json["code"] = bindingCode.map { .string($0) }
        json["hint"] = hint.map { .string($0.name) }
        json["challenge"] = challengeID.map { .string($0) }
        return json
    }

    private init(stored json: JSONObject) throws {
        guard let id = json["id"]?.stringValue, let handle = json["handle"]?.stringValue,
            let action = json["action"]?.objectValue, let createdAt = json["created_at"]?.int64Value,
            let deadline = json["deadline"]?.int64Value, let state = json["state"]?.objectValue,
            let demand = json["demand"]?.objectValue
        else { throw DamagedApproval() }
        let because: Demand
        switch demand["by"]?.stringValue {
        case "resource":
            guard let reason = demand["reason"]?.stringValue else { throw DamagedApproval() }
            because = .resource(reason: reason)
        case "settings": because = .settings
        case "grant":
            guard let seconds = demand["seconds"]?.int64Value else { throw DamagedApproval() }
            because = .grant(seconds: seconds)
        default: throw DamagedApproval()
        }
        self.init(
            id: id, handleDigest: try Base64URL.decode(handle), act: try ApprovedAct(stored: action), demand: because,
            basis: try json["basis"].map { try Basis(stored: $0) },
            confirmation: try json["cnf"].map { try Confirmation(parsing: $0) },
            bindingCode: json["code"]?.stringValue, hint: try json["hint"]?.stringValue.map { try Person($0) },
            challengeID: json["challenge"]?.stringValue, createdAt: UnixTime(milliseconds: createdAt),
            deadline: UnixTime(milliseconds: deadline), state: try State(stored: state))
    }
}

extension Approval.Basis {
    fileprivate var json: JSONObject {
        var json: JSONObject = [
            "root": .string(chainRoot), "jti": .string(tokenID), "kid": .string(keyID),
            "expires_at": .number(JSONNumber(expiresAt.milliseconds)),
            "issued_at": .number(JSONNumber(issuedAt.milliseconds)),
        ]
        json["jkt"] = keyThumbprint.map { .string($0) }
        json["profile"] = profile.map { .string($0) }
        return json
    }

    fileprivate init(stored value: JSONValue) throws {
        guard let json = value.objectValue, let root = json["root"]?.stringValue,
            let tokenID = json["jti"]?.stringValue,
            let keyID = json["kid"]?.stringValue, let expiresAt = json["expires_at"]?.int64Value,
            let issuedAt = json["issued_at"]?.int64Value
        else { throw DamagedApproval() }
        self.init(
            chainRoot: root, tokenID: tokenID, keyID: keyID, keyThumbprint: json["jkt"]?.stringValue,
            profile: json["profile"]?.stringValue,
            expiresAt: UnixTime(milliseconds: expiresAt), issuedAt: UnixTime(milliseconds: issuedAt))
    }
}

extension Approval.State {
    fileprivate var json: JSONObject {
        switch self {
        case .pending: return ["is": "pending"]
        case .approved(let answer): return answer.json("approved")
        case .denied(let answer): return answer.json("denied")
        case .expired(let time): return ["is": "expired", "at": .number(JSONNumber(time.milliseconds))]
        case .redeemed(let answer, let tokenID, let end):
            var json = answer.json("redeemed")
            json["jti"] = .string(tokenID)
            json["until"] = .number(JSONNumber(end.milliseconds))
            return json
        case .spent(let answer, let tokenID, let time):
            var json = answer.json("spent")
            json["jti"] = .string(tokenID)
            json["at"] = .number(JSONNumber(time.milliseconds))
            return json
        }
    }

    fileprivate init(stored json: JSONObject) throws {
        func time(_ name: String) throws -> UnixTime {
            guard let milliseconds = json[name]?.int64Value else { throw DamagedApproval() }
            return UnixTime(milliseconds: milliseconds)
        }
        func text(_ name: String) throws -> String {
            guard let text = json[name]?.stringValue else { throw DamagedApproval() }
            return text
        }
        func answer() throws -> Approval.Answer {
            Approval.Answer(person: try Person(try text("by")), time: try time("answered_at"))
        }
        switch try text("is") {
        case "pending": self = .pending
        case "approved": self = .approved(try answer())
        case "denied": self = .denied(try answer())
        case "expired": self = .expired(at: try time("at"))
        case "redeemed": self = .redeemed(try answer(), tokenID: try text("jti"), tokenEnd: try time("until"))
        case "spent": self = .spent(try answer(), tokenID: try text("jti"), at: try time("at"))
        default: throw DamagedApproval()
        }
    }
}

extension Approval.Answer {
    fileprivate func json(_ word: String) -> JSONObject {
        [
            "is": .string(word), "by": .string(person.name),
            "answered_at": .number(JSONNumber(time.milliseconds)),
        ]
    }
}
