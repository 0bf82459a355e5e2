public import A2ATransport
import AsyncHTTPClient

extension AgentHTTPClient: A2AHTTPTransport {
    /// Sends a request of the Agent2Agent protocol to a server that has proved a SPIFFE ID which the rule allows.
    public func send(_ request: A2AHTTPRequest) async throws -> A2AHTTPResponse {
        try await A2AHTTPResponse.of { try await execute(HTTPClientRequest(request)) }
    }

    /// The same with access tokens: every request shows one.
    ///
    /// - Parameters:
    ///   - resource: what the tokens are for; `nil` leaves it to their source.
    ///   - scopes: what they should allow; `nil` leaves it to their source.
    public func showing(
        _ tokens: AgentTokenSource, for resource: String? = nil, scopes: [String]? = nil
    ) -> AgentTokenTransport {
        AgentTokenTransport(client: self, tokens: tokens, resource: resource, scopes: scopes)
    }
}

/// Requests of the Agent2Agent protocol over mutual TLS, each of which shows an access token.
public struct AgentTokenTransport: A2AHTTPTransport {
    let client: AgentHTTPClient
    let tokens: AgentTokenSource
    let resource: String?
    let scopes: [String]?

    /// Sends a request to a server that has proved a SPIFFE ID which the client's rule allows.
    public func send(_ request: A2AHTTPRequest) async throws -> A2AHTTPResponse {
        try await A2AHTTPResponse.of {
            try await client.execute(HTTPClientRequest(request), with: tokens, for: resource, scopes: scopes)
        }
    }
}

extension A2AHTTPResponse {
    fileprivate static func of(_ exchange: () async throws -> AgentHTTPResponse) async throws -> A2AHTTPResponse {
        let response: AgentHTTPResponse
        do {
            response = try await exchange()
        } catch AgentShieldError.unreachable(let reason) {
            throw A2AClientError.unreachable(reason)
        } catch AgentShieldError.closedByServer {
            throw A2AClientError.noAnswer(AgentShieldError.closedByServer.description)
        } catch let error as AgentShieldError {
            // A question of identity, which another attempt does not answer.
            throw error
        } catch let error as AgentTokenError {
            throw error
        } catch {
            throw A2AClientError(sending: error)
        }
        return A2AHTTPResponse(
            status: Int(response.status.code), headers: response.headers.map { ($0.name, $0.value) },
            body: response.body.map { Array($0.readableBytesView) })
    }
}
