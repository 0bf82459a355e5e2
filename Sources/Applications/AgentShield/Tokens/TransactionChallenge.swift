import HTTPTypes
public import Hummingbird
import JOSE
import OAuth
import PeerTLS
import SPIFFE

extension AgentTokenVerifier {
    /// What a person shall approve before this agent does it.
    public struct TransactionDemand: Sendable {
        /// What is to be done, as authorization details (RFC 9396): a JSON array of objects with a `type`. The person sees this,
        /// and the token will say it.
        public var details: String
        /// The name of the transaction here; the token will have it.
        public var transactionID: String
        /// Why a person is asked, at most 300 bytes. The person sees this too.
        public var reason: String

        /// What to ask for; the reason may stay empty.
        public init(details: String, transactionID: String, reason: String = "") {
            self.details = details
            self.transactionID = transactionID
            self.reason = reason
        }
    }

    /// Seconds that a challenge lasts.
    private static let challengeLifetime: Int64 = 300

    /// A challenge for the caller to bring to the authorization server (draft-rosomakho-oauth-txn-challenge-00), signed with
    /// this agent's X.509-SVID. The caller's own name is in it, so that nobody else can have it approved.
    public func challenge(
        _ demand: TransactionDemand, for caller: AgentTokenCaller
    ) throws(AgentTokenError) -> String {
        let identity: TLSIdentity
        do { identity = try self.identity.usable() } catch { throw .noIdentity(error.description) }
        guard let audience = settings.audiences.first, let details = try? AuthorizationDetails(parsing: demand.details)
        else { throw .badRequest("the details are no JSON array of objects with a type") }
        let now = self.identity.now().seconds
        var claims: JSONObject = [
            "iss": .string(audience), "aud": .string(settings.issuer), "iat": .number(JSONNumber(now)),
            "exp": .number(JSONNumber(now + Self.challengeLifetime)),
            "jti": .string(Base64URL.encode(Randomness.bytes(16))), "txn": .string(demand.transactionID),
            "authorization_details": details.json, "sub": .string(caller.subject.name),
        ]
        if !demand.reason.isEmpty { claims["reason"] = .string(demand.reason) }
        if let text = caller.actors, let actors = try? JSONValue(parsing: text) { claims["act"] = actors }
        do {
            return try CompactJWS.sign(
                header: [
                    ("typ", .string(UnverifiedTransactionChallenge.type)),
                    ("x5c", .array(identity.svid.chain.map { .string(Base64.encode($0)) })),
                ], payload: claims.serializedBytes, key: JWSSigningKey(p256: identity.svid.privateKey, keyID: "svid"),
                writesKeyID: false)
        } catch {
            throw .badRequest("the challenge cannot be signed: \(error)")
        }
    }

    /// The answer that asks the current caller for a person's approval: 401 with the challenge. For a route that will not do
    /// something for whatever token, and has none for one approved act (``AgentTokenCaller/approvedAct``).
    public func demandApproval(_ demand: TransactionDemand) throws -> Response {
        guard let caller = AgentTokenCaller.current else { throw HTTPError(.unauthorized) }
        let challenge = try challenge(demand, for: caller)
        let parameters = "error=\"\(Self.approvalDemanded)\", transaction_challenge=\"\(challenge)\""
        var headers: HTTPFields = [.cacheControl: "no-store", .contentLength: "0"]
        headers[.wwwAuthenticate] = (caller.usesProofs ? "DPoP " : "Bearer ") + parameters
        return Response(status: .unauthorized, headers: headers)
    }

    static let approvalDemanded = "transaction_authorization_required"
}

extension AgentHTTPResponse {
    /// The challenge of a resource that wants a person's approval first; nil in all other answers.
    public var transactionChallenge: String? {
        guard status == .unauthorized else { return nil }
        for value in headers["WWW-Authenticate"] where value.contains(AgentTokenVerifier.approvalDemanded) {
            guard let start = value.firstRange(of: "transaction_challenge=\"")?.upperBound else { continue }
            let challenge = value[start...].prefix { $0 != "\"" }
            if !challenge.isEmpty, challenge.utf8.count <= UnverifiedTransactionChallenge.maximumLength {
                return String(challenge)
            }
        }
        return nil
    }
}
