import AsyncHTTPClient
import CredentialClient
import OAuth
import SPIFFE
import Synchronization

/// The way to an authorization server: mutual TLS, and nothing is sent before it has proved its SPIFFE ID.
final class ServerConnection: Sendable {
    private let identity: AgentIdentity
    private let server: SPIFFEID?
    // Guards the client: whom it believes is known only when there is an identity.
    private let client = Mutex<(id: SPIFFEID, client: AgentHTTPClient)?>(nil)

    init(identity: AgentIdentity, server: SPIFFEID?) {
        self.identity = identity
        self.server = server
    }

    func send(_ request: TokenServerRequest) async throws(TokenClientError) -> TokenServerAnswer {
        var outgoing = AgentHTTPRequest(url: request.url.string)
        outgoing.method = request.method == .get ? .GET : .POST
        for (name, value) in request.headers { outgoing.headers.add(name: name, value: value) }
        if !request.body.isEmpty { outgoing.body = .bytes(request.body) }
        do {
            let response = try await currentClient().execute(outgoing)
            let body = try await response.body.collect(upTo: TokenServerAnswer.maximumBody)
            let nonces = response.headers["DPoP-Nonce"]
            return TokenServerAnswer(
                status: Int(response.status.code), body: Array(body.readableBytesView),
                proofNonce: nonces.count == 1 ? nonces[0] : nil, holder: response.body.generation.identity.holder)
        } catch let error as TokenClientError {
            throw error
        } catch let error as AgentShieldError {
            switch error {
            case .noIdentity, .identityExpired, .identityWithdrawn: throw .noIdentity(error.description)
            default: throw .unreachable(error.description)
            }
        } catch {
            throw .unreachable("\(error)")
        }
    }

    private func currentClient() throws -> AgentHTTPClient {
        let id: SPIFFEID
        if let server {
            id = server
        } else {
            let own = try identity.usable().svid.id.trustDomain
            guard let found = try? SPIFFEID("spiffe://\(own.name)/spire/server") else {
                throw TokenClientError.noIdentity("the trust domain has no server")
            }
            id = found
        }
        return client.withLock { client in
            if let client, client.id == id { return client.client }
            var settings = AgentHTTPClient.Settings()
            settings.connectTimeout = .seconds(5)
            settings.readTimeout = .seconds(10)
            settings.requestTimeout = .seconds(10)
            settings.connectionsPerServer = 2
            let fresh = AgentHTTPClient(identity: identity, allow: .ids([id]), settings: settings)
            client = (id, fresh)
            return fresh
        }
    }
}

extension AuthorizationServer {
    /// The authorization server with this issuer, asked over mutual TLS in the agent's name.
    static func of(
        _ issuer: String, identity: AgentIdentity, server: SPIFFEID?
    ) throws(AgentTokenError) -> AuthorizationServer {
        let connection = ServerConnection(identity: identity, server: server)
        do throws(MetadataError) {
            return try AuthorizationServer(issuer: issuer) { request throws(TokenClientError) in
                try await connection.send(request)
            }
        } catch {
            throw .badIssuer(error.description)
        }
    }
}
