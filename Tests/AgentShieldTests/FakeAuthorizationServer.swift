import AgentShield
import AgentShieldTesting
import Crypto
import HTTPTypes
import Hummingbird
import JOSE
import NIOCore
import OAuth
import PeerHTTP
import SPIFFE
import Synchronization

/// An authorization server behind mutual TLS that answers what the test tells it, and signs tokens that are good otherwise.
final class FakeAuthorizationServer: Sendable {
    struct Asked: Sendable {
        let form: FormParameters
        let proofs: [String]
    }

    private struct State {
        var asked: [Asked] = []
        var keyReads = 0
        var metadataReads = 0
        var failure: (status: Int, body: String)?
        var nonce: String?
        var lifetime: Int64 = 300
        var signer = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "key-1")
        var metadata: @Sendable (String) -> String = FakeAuthorizationServer.metadata
        var answer: @Sendable (JSONObject) -> JSONObject = { $0 }
        var areKeysAway = false
        var approval: JSONObject?
        var spent: Set<String> = []
        var isConsumptionAway = false
        var transactions: [FormParameters] = []
        var pendingAnswers: [String] = []
    }

    let clock: ManualClock
    private let state = Mutex(State())
    private let base = Mutex("")

    init(clock: ManualClock) { self.clock = clock }

    var issuer: String { base.withLock { $0 } + "/oauth2" }
    var asked: [Asked] { state.withLock { $0.asked } }
    var keyReads: Int { state.withLock { $0.keyReads } }
    var metadataReads: Int { state.withLock { $0.metadataReads } }

    var signer: JWSSigningKey { state.withLock { $0.signer } }

    func start(at url: String) { base.withLock { $0 = url } }
    func fail(_ status: Int?, _ body: String = "{}") {
        state.withLock { state in
            state.failure = nil
            if let status { state.failure = (status: status, body: body) }
        }
    }
    func demand(nonce: String) { state.withLock { $0.nonce = nonce } }
    func setLifetime(_ seconds: Int64) { state.withLock { $0.lifetime = seconds } }
    func setMetadata(_ metadata: @escaping @Sendable (String) -> String) { state.withLock { $0.metadata = metadata } }
    func setAnswer(_ answer: @escaping @Sendable (JSONObject) -> JSONObject) { state.withLock { $0.answer = answer } }
    func setKeys(areAway: Bool) { state.withLock { $0.areKeysAway = areAway } }
    func rotate(to keyID: String) {
        state.withLock { $0.signer = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: keyID) }
    }

    /// Tokens are for one approved act from now on.
    func approve(_ claims: JSONObject?) { state.withLock { $0.approval = claims } }
    func setConsumption(isAway: Bool) { state.withLock { $0.isConsumptionAway = isAway } }
    /// What is answered to the next questions for the outcome of a transaction, before its token.
    func answerTransactions(with errors: [String]) { state.withLock { $0.pendingAnswers = errors } }
    var transactions: [FormParameters] { state.withLock { $0.transactions } }

    static let metadata: @Sendable (String) -> String = { base in
        #"{"issuer":"\#(base)/oauth2","token_endpoint":"\#(base)/oauth2/token","jwks_uri":"\#(base)/oauth2/jwks","#
            + #""token_consumption_endpoint":"\#(base)/oauth2/consume","#
            + #""transaction_authorization_endpoint":"\#(base)/oauth2/txn"}"#
    }

    func router() -> Router<BasicRequestContext> {
        let router = Router()
        router.get(".well-known/oauth-authorization-server/oauth2") { _, _ in
            let metadata = self.state.withLock { state in
                state.metadataReads += 1
                return state.metadata
            }
            return metadata(self.base.withLock { $0 })
        }
        router.get("oauth2/jwks") { _, _ in
            let (key, isAway) = self.state.withLock { state in
                state.keyReads += 1
                return (state.signer.verificationKey.jwk, state.areKeysAway)
            }
            guard !isAway else { throw HTTPError(.serviceUnavailable) }
            return String(decoding: JWKSet(keys: [key]).serializedBytes, as: UTF8.self)
        }
        router.post("oauth2/token") { request, context in
            let body = try await request.body.collect(upTo: 65_536)
            return try self.answer(
                Array(body.readableBytesView), HTTPField.Name("DPoP").map { request.headers[values: $0] } ?? [],
                context.agentCaller)
        }
        router.post("oauth2/consume") { request, _ in
            let body = try await request.body.collect(upTo: 65_536)
            let token = try FormParameters(parsing: Array(body.readableBytesView))["token"] ?? ""
            return self.state.withLock { state in
                guard !state.isConsumptionAway else { return self.response(503, "{}") }
                let isFirst = state.spent.insert(token).inserted
                return self.response(200, isFirst ? #"{"active":true}"# : #"{"active":false}"#)
            }
        }
        router.post("oauth2/txn") { request, context in
            let body = try await request.body.collect(upTo: 65_536)
            let form = try FormParameters(parsing: Array(body.readableBytesView))
            let next: String? = self.state.withLock { state in
                state.transactions.append(form)
                guard form["transaction_authorization_id"] != nil else {
                    return #"{"transaction_authorization_id":"t1","expires_in":300,"interval":1}"#
                }
                return state.pendingAnswers.isEmpty ? nil : state.pendingAnswers.removeFirst()
            }
            guard let next else {
                return try self.answer(
                    Array(body.readableBytesView), HTTPField.Name("DPoP").map { request.headers[values: $0] } ?? [],
                    context.agentCaller)
            }
            return self.response(next.contains("error") ? 400 : 200, next)
        }
        return router
    }

    private func answer(_ body: [UInt8], _ proofs: [String], _ caller: AgentCaller?) throws -> Response {
        let form = try FormParameters(parsing: body)
        let (failure, nonce, change) = state.withLock { state in
            state.asked.append(Asked(form: form, proofs: proofs))
            return (state.failure, state.nonce, state.answer)
        }
        if let failure { return response(failure.status, failure.body) }
        guard let caller else { return response(401, #"{"error":"invalid_client"}"#) }
        var confirmation = HTTPPeer.current.flatMap {
            Confirmation(certificateThumbprint: Array(SHA256.hash(data: $0.leaf.der)))
        }
        if let proof = proofs.first {
            if let nonce, !(try claims(of: proof)["nonce"]?.stringValue == nonce) {
                return response(400, #"{"error":"use_dpop_nonce"}"#, nonce)
            }
            let jws = try CompactJWS(parsing: proof)
            guard let jwk = jws.header.json["jwk"]?.objectValue else { return response(400, "{}") }
            confirmation = Confirmation(proofKey: try JWK(json: jwk))
        }
        let lifetime = state.withLock { $0.lifetime }
        let scope = form["scope"] ?? "Forecast.Read"
        let token = try sign(
            subject: caller.id.string, audience: form["resource"] ?? "api://weather", scope: scope,
            confirmation: confirmation, lifetime: lifetime)
        let isExchange = form["subject_token"] != nil
        let json = TokenResponse(
            token: token, use: proofs.isEmpty ? .bearer : .dpop, expiresIn: lifetime, scope: try Scope(scope),
            issuedTokenType: isExchange ? .accessToken : nil)
        return response(
            200,
            String(
                decoding: change(try JSONObject(parsing: json.serializedBytes)).serializedBytes, as: UTF8.self), nonce)
    }

    private let tokens = Mutex(0)

    func sign(
        subject: String, audience: String = "api://weather", scope: String = "Forecast.Read",
        confirmation: Confirmation?, lifetime: Int64 = 300
    ) throws -> SecretText {
        let number = tokens.withLock { number in
            number += 1
            return number
        }
        let now = clock.time.seconds
        return try AccessToken.sign(
            AccessTokenClaims(
                issuer: issuer, subject: subject, audience: [audience], clientID: "client-a",
                tokenID: "t-\(number)", issuedAt: now, expiresAt: now + lifetime, scope: Scope(scope),
                confirmation: confirmation, otherClaims: state.withLock { $0.approval } ?? JSONObject()),
            key: state.withLock { $0.signer })
    }

    func claims(of proof: String) throws -> JSONObject {
        try JSONObject(parsing: try CompactJWS(parsing: proof).payload)
    }

    private func response(_ status: Int, _ body: String, _ nonce: String? = nil) -> Response {
        var headers: HTTPFields = [.contentType: "application/json"]
        if let nonce, let name = HTTPField.Name("DPoP-Nonce") { headers[name] = nonce }
        return Response(
            status: .init(code: status), headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(string: body)))
    }
}
