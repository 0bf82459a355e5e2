import ControlPlaneAPI
import JOSE
import SPIFFE

private func texts(_ items: [String]) -> JSONValue { .array(items.map { .string($0) }) }

private func list(_ items: [String]) -> String { items.isEmpty ? "none" : items.joined(separator: " ") }

private func time(_ seconds: Int64) -> String { UnixTime(seconds: seconds).rfc3339 }

extension Agentshield_Admin_V1_Blueprint {
    var json: JSONValue {
        var json: JSONObject = [
            "id": .string(id), "name": .string(name), "description": .string(description_p), "scopes": texts(scopes),
            "audiences": texts(audiences), "credential_kinds": texts(credentialKinds),
            "maximum_token_lifetime": .string("\(maximumTokenLifetime)"),
            "maximum_actor_depth": .number(JSONNumber(Int64(maximumActorDepth))), "sponsor": .string(sponsor),
            "enabled": .bool(enabled), "created_at": .string("\(createdAt)"),
        ]
        if !operatorID.isEmpty { json["operator_id"] = .string(operatorID) }
        return .object(json)
    }

    var pretty: String {
        var lines = PrettyLines()
        lines.line("Blueprint ID", id)
        lines.line("Name", name)
        if !description_p.isEmpty { lines.line("Description", description_p) }
        lines.line("State", enabled ? "enabled" : "disabled")
        lines.line("Sponsor", sponsor)
        lines.line("Scopes", list(scopes))
        lines.line("Audiences", list(audiences))
        lines.line("Credentials", list(credentialKinds))
        lines.line("Longest token", "\(maximumTokenLifetime) s")
        lines.line("Longest actor chain", maximumActorDepth)
        if !operatorID.isEmpty { lines.line("Operator", operatorID) }
        return lines.text
    }
}

extension Agentshield_Admin_V1_Identity {
    var json: JSONValue {
        [
            "id": .string(id), "name": .string(name), "spiffe_id": .string(spiffeID),
            "blueprint_id": .string(blueprintID), "owner": .string(owner), "sponsor": .string(sponsor),
            "state": .string(state), "expires_at": .string("\(expiresAt)"), "created_at": .string("\(createdAt)"),
            "federated_credentials": .array(federatedCredentials.map(\.json)),
            "client_credentials": .array(clientCredentials.map(\.json)),
        ]
    }

    var pretty: String {
        var lines = PrettyLines()
        lines.line("Client ID", id)
        lines.line("Name", name)
        lines.line("SPIFFE ID", spiffeID)
        if !blueprintID.isEmpty { lines.line("Blueprint ID", blueprintID) }
        lines.line("Owner", owner)
        lines.line("Sponsor", sponsor)
        lines.line("State", state)
        if expiresAt != 0 { lines.line("Expiration time", time(expiresAt)) }
        for credential in federatedCredentials {
            lines.line("Federated credential", "\(credential.name) (\(credential.issuer))")
        }
        for credential in clientCredentials { lines.line("Client credential", "\(credential.id) (\(credential.kind))") }
        return lines.text
    }
}

extension Agentshield_Admin_V1_FederatedCredential {
    /// As `az ad app federated-credential` writes it.
    var json: JSONValue {
        var json: JSONObject = ["name": .string(name), "issuer": .string(issuer)]
        switch matching {
        case .claimsExpression(let text):
            json["claimsMatchingExpression"] = ["value": .string(text), "languageVersion": 1]
        case .subject(let text): json["subject"] = .string(text)
        case nil: break
        }
        json["audiences"] = texts(audiences)
        json["description"] = .string(description_p)
        return .object(json)
    }

    var pretty: String {
        var lines = PrettyLines()
        lines.line("Name", name)
        lines.line("Issuer", issuer)
        switch matching {
        case .claimsExpression(let text): lines.line("Claims expression", text)
        case .subject(let text): lines.line("Subject", text)
        case nil: break
        }
        for audience in audiences { lines.line("Audience", audience) }
        if !description_p.isEmpty { lines.line("Description", description_p) }
        return lines.text
    }
}

extension Agentshield_Admin_V1_ClientCredential {
    var json: JSONValue {
        [
            "id": .string(id), "kind": .string(kind), "value": .string(value), "created_at": .string("\(createdAt)"),
            "expires_at": .string("\(expiresAt)"),
        ]
    }

    var pretty: String {
        var lines = PrettyLines()
        lines.line("Credential ID", id)
        lines.line("Kind", kind)
        let label =
            switch kind {
            case "private_key_jwt": "Thumbprint"
            case "self_signed_tls_client_auth": "SHA-256"
            default: "Name"
            }
        if !value.isEmpty { lines.line(label, value) }
        if expiresAt != 0 { lines.line("Expiration time", time(expiresAt)) }
        return lines.text
    }
}

extension Agentshield_Admin_V1_Resource {
    var json: JSONValue {
        var json: JSONObject = [
            "id": .string(id), "description": .string(description_p), "scopes": texts(scopes),
            "profile": .string(profile), "token_lifetime": .string("\(tokenLifetime)"), "binding": .string(binding),
            "agent_id": .string(agentID), "created_at": .string("\(createdAt)"),
        ]
        if hasApproval {
            json["approval"] = [
                "approvers": texts(approval.approvers), "scopes": texts(approval.scopes),
                "detail_types": texts(approval.detailTypes), "allow_sponsor": .bool(approval.allowSponsor),
                "refuse_socket": .bool(approval.refuseSocket), "waiting_time": .string("\(approval.waitingTime)"),
            ]
        }
        return .object(json)
    }

    var pretty: String {
        var lines = PrettyLines()
        lines.line("Resource", id)
        if !description_p.isEmpty { lines.line("Description", description_p) }
        lines.line("Scopes", list(scopes))
        lines.line("Profile", profile)
        lines.line("Token lifetime", "\(tokenLifetime) s")
        lines.line("Binding", binding)
        if !agentID.isEmpty { lines.line("Agent", agentID) }
        if hasApproval {
            lines.line("Approvers", approval.approvers.joined(separator: ", "))
            if !approval.scopes.isEmpty { lines.line("Approved each time", list(approval.scopes)) }
            if !approval.detailTypes.isEmpty { lines.line("Approved details", list(approval.detailTypes)) }
            lines.line("Answer within", "\(approval.waitingTime) s")
            if approval.allowSponsor { lines.line("Own sponsor", "may approve") }
            if approval.refuseSocket { lines.line("Admin socket", "may not approve") }
        }
        return lines.text
    }
}

extension Agentshield_Admin_V1_Grant {
    var json: JSONValue {
        var json: JSONObject = [
            "id": .string(id), "agent_id": .string(agentID), "resource": .string(resource), "scopes": texts(scopes),
            "use": .string(use), "expires_at": .string("\(expiresAt)"), "created_at": .string("\(createdAt)"),
        ]
        if !details.isEmpty { json["details"] = texts(details) }
        if activation != 0 { json["activation"] = .string("\(activation)") }
        return .object(json)
    }

    var pretty: String {
        var lines = PrettyLines()
        lines.line("Grant ID", id)
        lines.line("Client ID", agentID)
        lines.line("Resource", resource)
        lines.line("Scopes", list(scopes))
        lines.line("Use", use)
        for detail in details { lines.line("Details", detail) }
        if activation != 0 { lines.line("By approval", "for \(activation) s") }
        if expiresAt != 0 { lines.line("Expiration time", time(expiresAt)) }
        return lines.text
    }
}
