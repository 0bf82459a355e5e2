import Authentication
import CredentialClient
import HTTPTypes
public import Hummingbird
import JOSE
import OAuth
public import SPIFFE

/// Judges the transaction tokens of requests to this agent (draft-ietf-oauth-transaction-tokens).
///
/// The issuer's keys come from the authorization server over mutual TLS, and are kept. What is revoked comes from the node
/// agent; while it has no news, no token is taken. Nothing has to be run.
public final class AgentTransactionVerifier: Sendable {
    private let verifier: TransactionTokenVerifier

    /// - Parameters:
    ///   - issuer: the one issuer whose tokens are taken, `https://HOST/oauth2`.
    ///   - trustDomain: the trust domain that the tokens are for; that of the issuer.
    ///   - server: the SPIFFE ID that the authorization server has to prove; `spiffe://TRUSTDOMAIN/spire/server` without it.
    public init(
        identity: AgentIdentity, issuer: String, trustDomain: TrustDomain, server: SPIFFEID? = nil
    ) throws(AgentTokenError) {
        let authorizationServer = try AuthorizationServer.of(issuer, identity: identity, server: server)
        let keys: IssuerKeySource
        do {
            keys = try IssuerKeySource(
                server: authorizationServer, environment: SourceEnvironment(now: identity.now))
        } catch {
            throw .badIssuer(error.description)
        }
        let (revocations, now) = (identity.revocations, identity.now)
        verifier = TransactionTokenVerifier(
            TransactionTokenPolicy(
                issuer: issuer, audience: trustDomain.idString, actorLimit: ActorChain.deepestLimit),
            keys: {
                (keyID: String, algorithm: JWSAlgorithm) async throws(TransactionTokenRefusal) -> JWSVerificationKey in
                do throws(AccessTokenRefusal) {
                    return try await keys.key(keyID, algorithm)
                } catch {
                    throw error == .keysUnavailable ? .keysUnavailable : .unknownKey
                }
            },
            revocation: { revocations.refusal(of: $0) }, now: { now().seconds })
    }

    /// What a request is for.
    ///
    /// - Parameter values: the values of all its header fields ``AgentTransaction/headerField``.
    func transaction(_ values: [String]) async throws(TransactionTokenRefusal) -> AgentTransaction {
        let verified = try await verifier.verify(values)
        return AgentTransaction(verified, token: SecretText(values.first ?? ""))
    }
}

/// Lets only requests through that carry one good transaction token; ``AgentTransaction/current`` is then what they are for.
///
/// It does not say who calls: put it behind mutual TLS or ``AccessTokenMiddleware``. Everybody else gets 401, one whose
/// transaction does not allow enough 403, and no other word; the reason is logged at level `debug`.
public struct TransactionTokenMiddleware<Context: RequestContext>: RouterMiddleware {
    private let verifier: AgentTransactionVerifier
    private let scopes: [String]

    /// - Parameter scopes: what the transaction has to allow, all of it.
    public init(_ verifier: AgentTransactionVerifier, scopes: [String] = []) {
        self.verifier = verifier
        self.scopes = scopes
    }

    /// Answers 401 without a good token, 403 for one that does not allow enough, 503 while nobody can tell.
    public func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        let transaction: AgentTransaction
        do throws(TransactionTokenRefusal) {
            transaction = try await verifier.transaction(request.headers[values: .transactionToken])
            let missing = scopes.filter { !transaction.scopes.contains($0) }
            guard missing.isEmpty else { throw .scope(missing: missing) }
        } catch {
            context.logger.debug("transaction token refused", metadata: ["reason": "\(error)"])
            return Self.refusal(error)
        }
        return try await AgentTransaction.$proven.withValue(transaction) {
            try await next(request, context)
        }
    }

    private static func refusal(_ refusal: TransactionTokenRefusal) -> Response {
        var headers: HTTPFields = [.cacheControl: "no-store", .contentLength: "0"]
        if refusal.isTemporary {
            headers[.retryAfter] = "1"
            return Response(status: .serviceUnavailable, headers: headers)
        }
        if case .scope = refusal { return Response(status: .forbidden, headers: headers) }
        return Response(status: .unauthorized, headers: headers)
    }
}

extension HTTPField.Name {
    // The literal is a field name.
    fileprivate static let transactionToken = HTTPField.Name(TransactionToken.headerField) ?? .accept
}
