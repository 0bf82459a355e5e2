import AgentDirectory
import Authentication
import Issuance
import JOSE
import OAuth
import PolicyEngine
import SPIFFE

extension TokenService {
    /// A transaction token (draft-ietf-oauth-transaction-tokens-11 §7): for our own trust domain, of exactly the scopes that are
    /// named, about whom the subject token is about.
    ///
    /// Who may have one is decided by grants on the resource that has the trust domain's name, as for any other resource.
    func transactionToken(
        _ request: TokenRequest, _ exchange: TokenExchange, _ client: AuthenticatedClient, _ key: PresentedKey?,
        _ call: TokenCall, _ directory: DirectorySnapshot
    ) throws(TokenRefusal) -> (PreparedDerivedToken, GrantedSubject) {
        if let actor = exchange.actor { try check(actor, is: client, call, directory) }
        let target = try transactionTarget(request, exchange)
        let old = try replacedToken(exchange, directory)
        let subject: GrantedSubject
        if let old {
            subject = grants.replaced(old, by: client)
        } else {
            subject = try startingSubject(exchange, client, key, call, directory)
        }
        let (details, context) = try contexts(request, exchange, replacing: old)
        let permit = try permit(target, client, key, subject, directory)
        guard let names = names(), let authority = authority(of: .standard) else {
            throw .unavailable("no key can sign now")
        }
        let ownLifetime = permit.resource.tokenLifetime
        let lifetime =
            ownLifetime <= TransactionToken.maximumLifetime ? ownLifetime : TransactionToken.defaultLifetime
        let transactionID = old?.claims.transactionID ?? Base64URL.encode(randomBytes(16))
        let claims = TransactionClaims(
            issuer: names.issuer(.standard), audience: authorities.trustDomain.idString, subject: subject.subject,
            transactionID: transactionID, issuedAt: now().seconds,
            expiresAt: try end(within: lifetime, of: permit, authority, client, subject), scope: try scope(of: permit),
            requesters: (old?.claims.requesters ?? []) + [client.agent.spiffeID.string], details: details,
            context: context, actors: subject.actors, subjectProfile: subject.profile,
            chainRoot: subject.chainRoot ?? transactionID)
        do {
            return (
                try PreparedDerivedToken(.transaction(claims), authority: authority, permit: permit), subject
            )
        } catch {
            switch error {
            case .tooManyRequesters: throw TokenRefusal(.actorUnauthorized, error.description)
            default: throw .unavailable("the token cannot be built: \(error)")
            }
        }
    }

    /// The trust domain, by its SPIFFE ID as the only audience, and scopes without any shorthand.
    private func transactionTarget(
        _ request: TokenRequest, _ exchange: TokenExchange
    ) throws(TokenRefusal) -> TokenTarget {
        guard request.resources.isEmpty, exchange.audiences.count == 1,
            exchange.audiences[0].hasSameBytes(as: authorities.trustDomain.idString)
        else { throw TokenRefusal(.invalidTarget, "a transaction token is for the trust domain, by `audience`") }
        guard let scope = request.scope, !scope.isEmpty else {
            throw TokenRefusal(.invalidScope, "a transaction token needs `scope`")
        }
        return TokenTarget(resourceID: authorities.trustDomain.idString, scopes: .exactly(scope.tokens))
    }

    /// The transaction token that is to be replaced; nil where a transaction begins.
    private func replacedToken(
        _ exchange: TokenExchange, _ directory: DirectorySnapshot
    ) throws(TokenRefusal) -> VerifiedTransactionToken? {
        guard exchange.subject.type == .transactionToken else { return nil }
        let token = try genuineTransactionToken(exchange.subject.token)
        if let reason = endedReason(token, directory) { throw TokenRefusal(silently: .invalidRequest, reason) }
        return token
    }

    /// Whom a transaction is about that begins: whom the token is about that the client received, or the client itself.
    private func startingSubject(
        _ exchange: TokenExchange, _ client: AuthenticatedClient, _ key: PresentedKey?, _ call: TokenCall,
        _ directory: DirectorySnapshot
    ) throws(TokenRefusal) -> GrantedSubject {
        let subject = try exchangedSubject(exchange, client, key, call, directory)
        // Another agent's SVID says that it is there, and nothing about what it wants.
        guard exchange.subject.type != .jwt || subject.onBehalf == .itself else {
            throw TokenRefusal(silently: .invalidRequest, "a transaction begins with the client's own SVID")
        }
        return subject
    }

    /// What the client adds to the transaction. In a token that replaces another nothing can be added or changed.
    private func contexts(
        _ request: TokenRequest, _ exchange: TokenExchange, replacing old: VerifiedTransactionToken?
    ) throws(TokenRefusal) -> (details: TransactionContext?, context: TransactionContext?) {
        let details = try context("request_details", request, exchange)
        let context = try context("request_context", request, exchange)
        guard let old else { return (details, context) }
        guard details == nil, context == nil else {
            throw TokenRefusal(.invalidRequest, "the context of a transaction stays as it is")
        }
        return (old.claims.details, old.claims.context)
    }

    private func context(
        _ name: String, _ request: TokenRequest, _ exchange: TokenExchange
    ) throws(TokenRefusal) -> TransactionContext? {
        guard let text = request.form[name] else { return nil }
        let context: TransactionContext
        do {
            context = try TransactionContext(parsing: text)
        } catch {
            throw TokenRefusal(.invalidRequest, "`\(name)` is no json object, or too large or deep")
        }
        // Everybody who sees the transaction token could use the other one.
        guard !text.utf8.contains(exchange.subject.token.text.utf8) else {
            throw TokenRefusal(.invalidRequest, "`\(name)` holds the subject token")
        }
        return context
    }

    // MARK: own tokens

    /// One of our own transaction tokens that has not expired.
    func genuineTransactionToken(_ token: SecretText) throws(TokenRefusal) -> VerifiedTransactionToken {
        guard let names = names() else { throw .unavailable("the service has no name yet") }
        do {
            let unverified = try UnverifiedTransactionToken(parsing: token.text)
            guard let key = authorities.tokenKeys.verifier(.oauth, keyID: unverified.keyID) else {
                throw TypedTokenError.missingKeyID
            }
            return try unverified.verify(
                with: key,
                policy: TransactionTokenPolicy(
                    issuer: names.issuer(.standard), audience: authorities.trustDomain.idString,
                    actorLimit: ActorChain.deepestLimit),
                now: now().seconds)
        } catch {
            throw TokenRefusal(silently: .invalidRequest, "the transaction token is refused: \(error)")
        }
    }

    /// Why a genuine transaction token is good no more: it or anybody in it is revoked, disabled or retired; nil when it is
    /// good.
    func endedReason(_ token: VerifiedTransactionToken, _ directory: DirectorySnapshot) -> String? {
        if let subject = revocations.revoked.revocation(of: token) { return "the token's \(subject.kind) is revoked" }
        for id in token.claims.everybody {
            if let reason = endedReason(id, since: token.claims.issuedAt, directory) { return reason }
        }
        return nil
    }
}
