import JOSE
import OAuth
package import Registry
import SPIFFE

extension DirectoryRecord {
    /// Most bytes of a stored record: an agent with all the credentials that it may have fits.
    private static let limits = JSONLimits(maximumBytes: 4 << 20, maximumDepth: 16)

    /// The record as stores keep it: canonical JSON (RFC 8785).
    package var storedBytes: [UInt8] {
        switch self {
        case .blueprint(let blueprint): blueprint.json.canonicalBytes
        case .agent(let agent): agent.json.canonicalBytes
        case .resource(let resource): resource.json.canonicalBytes
        case .grant(let grant): grant.json.canonicalBytes
        }
    }

    /// Reads a stored record. A kind, member or value that this version does not write refuses it.
    package init(kind: String, id: String, storedBytes: [UInt8], pool: inout TextPool) throws(StoreError) {
        do {
            guard let kind = Kind(rawValue: kind) else { throw DamagedRecord() }
            var reader = try RecordReader(JSONValue(parsing: storedBytes, limits: Self.limits))
            switch kind {
            case .blueprint: self = .blueprint(try AgentBlueprint(stored: &reader, pool: &pool))
            case .agent: self = .agent(try AgentIdentity(stored: &reader, pool: &pool))
            case .resource: self = .resource(try ProtectedResource(stored: &reader, pool: &pool))
            case .grant: self = .grant(try AgentGrant(stored: &reader, pool: &pool))
            }
            try reader.finish()
            guard self.id.hasSameBytes(as: id) else { throw DamagedRecord() }
        } catch {
            throw .failed("the stored \(kind.prefix(16)) `\(id.prefix(80))` is damaged")
        }
    }
}

extension AgentBlueprint {
    fileprivate var json: JSONObject {
        var json: JSONObject = [
            "id": .string(id), "name": .string(name.text), "description": .string(description),
            "scopes": .array(allowedScopes.tokens.map { .string($0) }),
            "audiences": .array(allowedAudiences.map { .string($0) }),
            "credentials": .array(credentialKinds.map(\.rawValue).sorted().map { .string($0) }),
            "token_lifetime": .number(JSONNumber(maximumTokenLifetime)),
            "actor_depth": .number(JSONNumber(Int64(maximumActorDepth))), "sponsor": .string(sponsor.name),
            "enabled": .bool(isEnabled), "created_at": .number(JSONNumber(createdAt.milliseconds)),
        ]
        json["operator"] = operatorID.map { .string($0) }
        return json
    }

    fileprivate init(stored reader: inout RecordReader, pool: inout TextPool) throws {
        let kinds = try reader.texts("credentials").map { text throws(DamagedRecord) in
            guard let kind = CredentialKind(rawValue: text) else { throw DamagedRecord() }
            return kind
        }
        self.init(
            id: pool.one(try reader.text("id")), name: try AgentName(reader.text("name")),
            description: try reader.text("description"), allowedScopes: try Scope(tokens: reader.texts("scopes")),
            allowedAudiences: try reader.texts("audiences"), credentialKinds: Set(kinds),
            maximumTokenLifetime: try reader.integer("token_lifetime"),
            maximumActorDepth: Int(clamping: try reader.integer("actor_depth")),
            sponsor: try Person(pool.one(reader.text("sponsor"))), isEnabled: try reader.flag("enabled"),
            operatorID: try reader.optionalText("operator").map { pool.one($0) },
            createdAt: try reader.time("created_at"))
    }
}

extension AgentIdentity {
    fileprivate var json: JSONObject {
        var json: JSONObject = [
            "id": .string(id), "name": .string(name.text), "spiffe_id": .string(spiffeID.string),
            "owner": .string(owner.name), "sponsor": .string(sponsor.name), "state": .string(state.rawValue),
            "created_at": .number(JSONNumber(createdAt.milliseconds)),
            "federated": .array(federatedCredentials.map { .object($0.json) }),
            "credentials": .array(clientCredentials.map { .object($0.json) }),
        ]
        json["blueprint"] = blueprintID.map { .string($0) }
        json["expires_at"] = expiresAt.map { .number(JSONNumber($0.milliseconds)) }
        return json
    }

    fileprivate init(stored reader: inout RecordReader, pool: inout TextPool) throws {
        self.init(
            id: pool.one(try reader.text("id")), name: try AgentName(reader.text("name")),
            spiffeID: try SPIFFEID(reader.text("spiffe_id")),
            blueprintID: try reader.optionalText("blueprint").map { pool.one($0) },
            owner: try Person(pool.one(reader.text("owner"))), sponsor: try Person(pool.one(reader.text("sponsor"))),
            state: try reader.word("state"), expiresAt: try reader.optionalTime("expires_at"),
            createdAt: try reader.time("created_at"),
            federatedCredentials: try reader.values("federated").map { try FederatedCredential(stored: $0) },
            clientCredentials: try reader.values("credentials").map { try ClientCredential(stored: $0) })
    }
}

extension FederatedCredential {
    fileprivate var json: JSONObject {
        var json: JSONObject = [
            "name": .string(name.text), "issuer": .string(issuer), "audiences": .array(audiences.map { .string($0) }),
            "description": .string(description),
        ]
        switch subject {
        case .exactly(let text): json["subject"] = .string(text)
        case .matching(let expression): json["expression"] = .string(expression.text)
        }
        return json
    }

    fileprivate init(stored value: JSONValue) throws {
        var reader = try RecordReader(value)
        let subject: Subject
        switch (try reader.optionalText("subject"), try reader.optionalText("expression")) {
        case (let text?, nil): subject = .exactly(text)
        case (nil, let text?): subject = .matching(try ClaimsExpression(text))
        default: throw DamagedRecord()
        }
        try self.init(
            name: AgentName(reader.text("name")), issuer: reader.text("issuer"), subject: subject,
            audiences: reader.texts("audiences"), description: reader.text("description"))
        try reader.finish()
    }
}

extension ClientCredential {
    fileprivate var json: JSONObject {
        var json: JSONObject = ["id": .string(id), "created_at": .number(JSONNumber(createdAt.milliseconds))]
        json["expires_at"] = expiresAt.map { .number(JSONNumber($0.milliseconds)) }
        switch proof {
        case .secret(let digest): json["secret"] = .string(Base64URL.encode(digest))
        case .key(let key): json["key"] = .object(key.json())
        case .selfSignedCertificate(let digest): json["certificate"] = .string(Base64URL.encode(digest))
        case .certificateName(.dns(let name)): json["dns"] = .string(name)
        case .certificateName(.uri(let uri)): json["uri"] = .string(uri)
        }
        return json
    }

    fileprivate init(stored value: JSONValue) throws {
        var reader = try RecordReader(value)
        var proofs: [Proof] = []
        if let text = try reader.optionalText("secret") { proofs.append(.secret(digest: try Self.digest(text))) }
        if let text = try reader.optionalText("certificate") {
            proofs.append(.selfSignedCertificate(digest: try Self.digest(text)))
        }
        if let text = try reader.optionalText("dns") { proofs.append(.certificateName(.dns(text))) }
        if let text = try reader.optionalText("uri") { proofs.append(.certificateName(.uri(text))) }
        if let object = try reader.optionalObject("key") { proofs.append(.key(try JWK(json: object))) }
        guard let proof = proofs.first, proofs.count == 1 else { throw DamagedRecord() }
        self.init(
            id: try reader.text("id"), proof: proof, createdAt: try reader.time("created_at"),
            expiresAt: try reader.optionalTime("expires_at"))
        try reader.finish()
    }

    private static func digest(_ text: String) throws -> [UInt8] {
        let digest = try Base64URL.decode(text)
        guard digest.count == 32 else { throw DamagedRecord() }
        return digest
    }
}

extension ProtectedResource {
    fileprivate var json: JSONObject {
        var json: JSONObject = [
            "id": .string(id), "description": .string(description),
            "scopes": .array(scopes.tokens.map { .string($0) }), "profile": .string(profile.rawValue),
            "token_lifetime": .number(JSONNumber(tokenLifetime)), "binding": .string(binding.rawValue),
            "created_at": .number(JSONNumber(createdAt.milliseconds)),
        ]
        json["agent"] = agentID.map { .string($0) }
        json["approval"] = approval.map { .object($0.json) }
        return json
    }

    fileprivate init(stored reader: inout RecordReader, pool: inout TextPool) throws {
        self.init(
            id: pool.one(try reader.text("id")), description: try reader.text("description"),
            scopes: try Scope(tokens: reader.texts("scopes")), profile: try reader.word("profile"),
            tokenLifetime: try reader.integer("token_lifetime"), binding: try reader.word("binding"),
            agentID: try reader.optionalText("agent").map { pool.one($0) },
            approval: try reader.optionalObject("approval").map { try ApprovalRules(stored: $0, pool: &pool) },
            createdAt: try reader.time("created_at"))
    }
}

extension ApprovalRules {
    fileprivate var json: JSONObject {
        [
            "approvers": .array(approvers.map { .string($0.name) }),
            "scopes": .array(scopes.tokens.map { .string($0) }),
            "types": .array(detailTypes.map { .string($0) }), "sponsor": .bool(allowsSponsor),
            "socket": .bool(allowsSocket), "waiting_time": .number(JSONNumber(waitingTime)),
        ]
    }

    fileprivate init(stored object: JSONObject, pool: inout TextPool) throws {
        var reader = try RecordReader(.object(object))
        self.init(
            approvers: try reader.texts("approvers").map { try Person(pool.one($0)) },
            scopes: try Scope(tokens: reader.texts("scopes")), detailTypes: try reader.texts("types"),
            allowsSponsor: try reader.flag("sponsor"), allowsSocket: try reader.flag("socket"),
            waitingTime: try reader.integer("waiting_time"))
        try reader.finish()
    }
}

extension AgentGrant {
    fileprivate var json: JSONObject {
        var json: JSONObject = [
            "id": .string(id), "agent": .string(agentID), "resource": .string(resourceID),
            "scopes": .array(scopes.tokens.map { .string($0) }), "use": .string(use.rawValue),
            "created_at": .number(JSONNumber(createdAt.milliseconds)),
        ]
        json["expires_at"] = expiresAt.map { .number(JSONNumber($0.milliseconds)) }
        json["activation"] = activation.map { .number(JSONNumber($0)) }
        if !details.isEmpty { json["details"] = .array(details.map { .object($0.json) }) }
        return json
    }

    fileprivate init(stored reader: inout RecordReader, pool: inout TextPool) throws {
        self.init(
            id: try reader.text("id"), agentID: pool.one(try reader.text("agent")),
            resourceID: pool.one(try reader.text("resource")), scopes: try Scope(tokens: reader.texts("scopes")),
            use: try reader.word("use"),
            details: try reader.optionalValues("details").map { value in
                guard let object = value.objectValue else { throw DamagedRecord() }
                return try AuthorizationDetailPattern(object)
            },
            activation: try reader.optionalInteger("activation"), expiresAt: try reader.optionalTime("expires_at"),
            createdAt: try reader.time("created_at"))
    }
}
