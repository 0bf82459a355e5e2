public import AsyncHTTPClient
import JOSE
import OAuth

/// What a request is for, on whose behalf and through whom, as its transaction token says. Proved by the issuer's signature, and
/// no proof of who sends the request: ``AgentCaller`` and ``AgentTokenCaller`` are.
public struct AgentTransaction: Sendable {
    /// The transaction's own name: the same in every token of it.
    public let id: String
    /// On whose behalf.
    public let subject: AgentTokenCaller.Party
    /// Who acts for the subject, the last one first; empty where nobody does.
    public let actors: [AgentTokenCaller.Party]
    /// The workloads that asked for the token and for those that it replaced, the first one first.
    public let requesters: [AgentTokenCaller.Party]
    /// What the transaction may do.
    public let scopes: Set<String>
    /// When the token ends, in seconds since 1970.
    public let expiresAt: Int64
    /// What must not change on the way (`tctx`), as JSON; nil where there is nothing.
    public let details: String?
    /// The circumstances of the first request (`rctx`), as JSON; nil where nobody said any.
    public let context: String?
    private let token: SecretText

    /// The name of the header field that carries the token.
    public static let headerField = TransactionToken.headerField

    init(_ verified: VerifiedTransactionToken, token: SecretText) {
        let claims = verified.claims
        id = claims.transactionID
        subject = AgentTokenCaller.Party(claims.subject)
        actors = claims.actors?.actors.map { AgentTokenCaller.Party($0.subject) } ?? []
        requesters = claims.requesters.map { AgentTokenCaller.Party($0) }
        scopes = Set(claims.scope.tokens)
        expiresAt = claims.expiresAt
        details = claims.details.map { String(decoding: $0.json.serializedBytes, as: UTF8.self) }
        context = claims.context.map { String(decoding: $0.json.serializedBytes, as: UTF8.self) }
        self.token = token
    }

    /// The transaction of the request that the current task serves; nil outside of a route with
    /// ``TransactionTokenMiddleware``.
    public static var current: AgentTransaction? { proven }

    @TaskLocal static var proven: AgentTransaction?

    /// The request with the token as it came: whoever is called next learns the same, and nothing else.
    public func attach(to request: AgentHTTPRequest) -> AgentHTTPRequest {
        var request = request
        request.headers.replaceOrAdd(name: Self.headerField, value: token.text)
        return request
    }

    /// The token, to have it replaced by a narrower one
    /// (``AgentTokenSource/transactionToken(for:scopes:details:context:)``). Never log it.
    public var value: String { token.text }
}

extension AgentTransaction: CustomStringConvertible, CustomReflectable {
    /// Says which transaction it is, and not the token.
    public var description: String { "transaction \(id)" }

    /// Hides the token from dumps.
    public var customMirror: Mirror {
        Mirror(self, children: ["id": id, "subject": subject.name, "scopes": scopes])
    }
}

/// A transaction token that the agent got, to be sent with its calls. It shows its text in no description and no dump.
public struct AgentTransactionToken: Sendable, CustomStringConvertible, CustomReflectable {
    private let token: SecretText
    /// What it allows.
    public let scopes: [String]
    /// When it ends, in seconds since 1970.
    public let expiresAt: Int64

    init(_ token: SecretText, scopes: [String], expiresAt: Int64) {
        self.token = token
        self.scopes = scopes
        self.expiresAt = expiresAt
    }

    /// The token itself. Never log it.
    public var value: String { token.text }

    /// The request with the token in ``AgentTransaction/headerField``, beside whatever says who sends it.
    public func attach(to request: AgentHTTPRequest) -> AgentHTTPRequest {
        var request = request
        request.headers.replaceOrAdd(name: AgentTransaction.headerField, value: token.text)
        return request
    }

    /// Says until when it counts, and not what it is.
    public var description: String { "transaction token until \(expiresAt)" }

    /// Hides the text from dumps.
    public var customMirror: Mirror { Mirror(self, children: ["scopes": scopes, "expiresAt": expiresAt]) }
}

/// What a transaction is begun with, or continued.
public enum AgentTransactionSubject: Sendable {
    /// An access token that the agent received with a call: the transaction is about whom that is about.
    case accessToken(String)
    /// A JWT-SVID of the agent's own whose only audience is the issuer: the agent begins the transaction itself.
    case ownSVID(String)
    /// A transaction: its token is replaced by one that allows less.
    case transaction(AgentTransaction)
}
