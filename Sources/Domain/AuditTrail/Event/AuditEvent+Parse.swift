import JOSE
import SPIFFE

extension AuditEvent {
    /// Why bytes are not an event.
    package enum ParseError: Error, Sendable, Hashable {
        /// Larger than a leaf may be.
        case tooLarge
        /// Not strict JSON, or not an object.
        case notJSON
        /// The record's version is not one that is understood.
        case unknownVersion
        /// The member is missing, of another type, or holds a word that is not known there.
        case badMember(String)
    }

    /// Reads a leaf, as a spool ships it. Members of newer versions of the same record are passed over.
    package init(leaf: [UInt8]) throws(ParseError) {
        guard leaf.count <= AuditLimits.leafBytes else { throw .tooLarge }
        let limits = JSONLimits(maximumBytes: AuditLimits.leafBytes, maximumDepth: 8)
        guard let value = try? JSONValue(parsing: leaf, limits: limits), let object = value.objectValue else {
            throw .notJSON
        }
        let members = MemberReader(object)
        guard try members.integer("v") == Self.recordVersion else { throw .unknownVersion }
        let id = try members.required("id")
        guard id.utf8.count == 32, id.utf8.allSatisfy(Self.isLowerHexDigit) else { throw .badMember("id") }
        self.init(
            id: id, time: try members.time("time"), type: EventType(rawValue: try members.required("type")),
            phase: try members.word("phase"), agent: try Self.agent(try members.object("agent")),
            resource: try Self.resource(try members.object("resource")),
            decision: try Self.decision(try members.object("decision")),
            correlation: try Self.correlation(try members.object("correlation")))
        if let delegation = try members.optionalObject("delegation") {
            self.delegation = DelegationField(
                subject: try delegation.required("sub"), subjectKind: try delegation.required("sub_kind"))
        }
        if let posture = try members.optionalObject("posture") {
            self.posture = PostureField(
                level: try posture.required("level"), evidenceHash: try posture.optional("evidence_hash"),
                assessedAt: try posture.optional("assessed_at") == nil ? nil : try posture.time("assessed_at"),
                selectorCount: try posture.integer("selectors"))
        }
        if let remediation = try members.optionalObject("remediation") {
            self.remediation = RemediationField(
                cause: try remediation.required("cause"), action: try remediation.required("action"))
        }
        if let effect = try members.optionalObject("effect") {
            self.effect = EffectField(observed: try effect.word("observed"), result: try effect.strings("result"))
        }
        if let source = try members.optionalObject("source") {
            guard let sequence = UInt64(exactly: try source.integer("sequence") ?? -1) else {
                throw .badMember("sequence")
            }
            self.source = SourceField(
                id: try source.required("id"), spool: try source.required("spool"), sequence: sequence)
        }
        counted = try members.integer("counted")
    }

    private static func agent(_ members: MemberReader) throws(ParseError) -> AgentField {
        var peer: PeerField?
        if let fields = try members.optionalObject("peer") {
            peer = PeerField(
                uid: try fields.integer("uid").flatMap(UInt32.init(exactly:)),
                pid: try fields.integer("pid").flatMap(Int32.init(exactly:)), address: try fields.optional("address"))
        }
        return AgentField(
            id: try members.optional("id"), authMethod: try members.word("auth_method"),
            transportID: try members.optional("transport_id"),
            credentialHash: try members.optional("credential_hash"), peer: peer)
    }

    private static func resource(_ members: MemberReader) throws(ParseError) -> ResourceField {
        ResourceField(
            kind: try members.required("kind"), id: try members.required("id"),
            argsHash: try members.optional("args_hash"))
    }

    private static func decision(_ members: MemberReader) throws(ParseError) -> DecisionField {
        DecisionField(
            action: try members.required("action"), result: try members.word("result"),
            reason: try members.optional("reason"), policyID: try members.optional("policy_id"))
    }

    private static func correlation(_ members: MemberReader) throws(ParseError) -> CorrelationField {
        CorrelationField(
            requestID: try members.required("request_id"), intentID: try members.optional("intent_id"),
            traceparent: try members.optional("traceparent"))
    }

    private static func isLowerHexDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
    }
}

/// Reads members of one object strictly: absent and `null` are the same, another type is an error.
private struct MemberReader {
    private let object: JSONObject

    init(_ object: JSONObject) { self.object = object }

    private func value(_ name: String) -> JSONValue? {
        guard let value = object[name], !value.isNull else { return nil }
        return value
    }

    func optional(_ name: String) throws(AuditEvent.ParseError) -> String? {
        guard let value = value(name) else { return nil }
        guard let text = value.stringValue else { throw .badMember(name) }
        return text
    }

    func required(_ name: String) throws(AuditEvent.ParseError) -> String {
        guard let text = try optional(name) else { throw .badMember(name) }
        return text
    }

    func integer(_ name: String) throws(AuditEvent.ParseError) -> Int64? {
        guard let value = value(name) else { return nil }
        guard let number = value.int64Value else { throw .badMember(name) }
        return number
    }

    func word<Word: RawRepresentable>(_ name: String) throws(AuditEvent.ParseError) -> Word
    where Word.RawValue == String {
        guard let word = Word(rawValue: try required(name)) else { throw .badMember(name) }
        return word
    }

    func time(_ name: String) throws(AuditEvent.ParseError) -> UnixTime {
        guard let time = UnixTime(rfc3339: try required(name)) else { throw .badMember(name) }
        return time
    }

    func optionalObject(_ name: String) throws(AuditEvent.ParseError) -> MemberReader? {
        guard let value = value(name) else { return nil }
        guard let object = value.objectValue else { throw .badMember(name) }
        return MemberReader(object)
    }

    func object(_ name: String) throws(AuditEvent.ParseError) -> MemberReader {
        guard let reader = try optionalObject(name) else { throw .badMember(name) }
        return reader
    }

    func strings(_ name: String) throws(AuditEvent.ParseError) -> [String: String] {
        guard let reader = try optionalObject(name) else { return [:] }
        var strings: [String: String] = [:]
        for member in reader.object.members.prefix(AuditLimits.resultItems) {
            guard let text = member.value.stringValue else { throw .badMember(name) }
            strings[member.name] = text
        }
        return strings
    }
}
