import AuditTrail
import Crypto
import JOSE
package import OAuth
package import SPIFFE

/// A client secret at the only moment at which anybody knows it.
package struct NewClientSecret: Sendable {
    package let credential: ClientCredential
    /// 256 random bits in base64url.
    package let secret: SecretText
}

extension AgentDirectory {
    package func addFederatedCredential(
        _ credential: FederatedCredential, toAgent id: String, by caller: DirectoryCaller
    ) async throws(DirectoryError) {
        try await write(
            DirectoryAct(.federatedCredentialCreate, "create", "federated-credential", id, caller)
        ) { snapshot throws(DirectoryError) in
            var agent = try rules.live(id, in: snapshot)
            try rules.check(credential, for: agent, in: snapshot)
            agent.federatedCredentials.append(credential)
            return Plan(
                changes: [.put(.agent(agent))], value: (),
                facts: ["name": credential.name.text, "issuer": credential.issuer])
        }
    }

    package func deleteFederatedCredential(
        named name: String, ofAgent id: String, by caller: DirectoryCaller
    ) async throws(DirectoryError) {
        try await write(
            DirectoryAct(.federatedCredentialDelete, "delete", "federated-credential", id, caller)
        ) { snapshot throws(DirectoryError) in
            var agent = try rules.live(id, in: snapshot)
            guard let place = agent.federatedCredentials.firstIndex(where: { $0.name.text == name }) else {
                throw .federatedCredentialNotFound
            }
            agent.federatedCredentials.remove(at: place)
            return Plan(changes: [.put(.agent(agent))], value: (), facts: ["name": name])
        }
    }

    /// Makes a secret. Only its digest is kept: what this returns cannot be had again.
    package func addClientSecret(
        toAgent id: String, expiresAt: UnixTime?, by caller: DirectoryCaller
    ) async throws(DirectoryError) -> NewClientSecret {
        let secret = SecretText(Base64URL.encode(randomBytes(32)))
        let credential = try await addClientCredential(
            .secret(digest: secret.digest), toAgent: id, expiresAt: expiresAt, by: caller)
        return NewClientSecret(credential: credential, secret: secret)
    }

    /// Registers a key or a certificate.
    package func addClientCredential(
        _ proof: ClientCredential.Proof, toAgent id: String, expiresAt: UnixTime?, by caller: DirectoryCaller
    ) async throws(DirectoryError) -> ClientCredential {
        let time = now()
        let credential = ClientCredential(id: newIdentifier(), proof: proof, createdAt: time, expiresAt: expiresAt)
        return try await write(
            DirectoryAct(.clientCredentialCreate, "create", "client-credential", id, caller)
        ) { snapshot throws(DirectoryError) in
            var agent = try rules.live(id, in: snapshot)
            try rules.check(credential, for: agent, in: snapshot)
            try rules.check(end: expiresAt, now: time)
            agent.clientCredentials.append(credential)
            return Plan(changes: [.put(.agent(agent))], value: credential, facts: credential.facts)
        }
    }

    package func deleteClientCredential(
        _ credentialID: String, ofAgent id: String, by caller: DirectoryCaller
    ) async throws(DirectoryError) {
        try await write(
            DirectoryAct(.clientCredentialDelete, "delete", "client-credential", id, caller)
        ) { snapshot throws(DirectoryError) in
            var agent = try rules.live(id, in: snapshot)
            guard let place = agent.clientCredentials.firstIndex(where: { $0.id == credentialID }) else {
                throw .clientCredentialNotFound
            }
            let credential = agent.clientCredentials.remove(at: place)
            return Plan(changes: [.put(.agent(agent))], value: (), facts: credential.facts)
        }
    }
}

extension ClientCredential {
    /// What the audit log says of it: never a digest of a secret.
    fileprivate var facts: [String: String] {
        var facts = ["credential": id, "kind": kind.rawValue]
        facts["expires"] = expiresAt?.description
        switch proof {
        case .secret: break
        case .key(let key): facts["thumbprint"] = key.thumbprintBase64URL
        case .selfSignedCertificate(let digest): facts["sha256"] = HexText.encode(digest)
        case .certificateName(.dns(let name)), .certificateName(.uri(let name)): facts["name"] = name
        }
        return facts
    }
}
