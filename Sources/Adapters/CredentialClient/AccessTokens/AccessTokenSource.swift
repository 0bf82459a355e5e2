package import JOSE
package import OAuth
import SPIFFE
import Synchronization

/// Gets access tokens for an agent and keeps each until it is time for another (RFC 6749 §4.4, RFC 8693).
///
/// A token that is bound to the certificate is given up with the certificate. However many ask at once, the server is asked
/// once. While it cannot answer, a token that is still good goes on being used, and the server is asked again less and less
/// often.
package final class AccessTokenSource: Sendable {
    /// What a token is for.
    private struct Key: Hashable {
        let resource: String?
        let scope: String
        /// SHA-256 of the subject token.
        let subject: [UInt8]?
    }

    private struct Kept {
        var held: HeldAccessToken
        /// When the server may be asked again, after it could not answer.
        var retryAt: UnixTime?
        var backoff = Backoff()
    }

    private typealias Flight = Task<Result<HeldAccessToken, TokenClientError>, Never>

    private struct State {
        var tokens: [Key: Kept] = [:]
        var flights: [Key: Flight] = [:]
    }

    /// Most tokens kept; beyond that the ones that end first are dropped.
    package static let maximumTokens = 256

    private let server: AuthorizationServer
    /// The key of DPoP proofs; nil where tokens are bound to the certificate.
    private let proofKey: JWSSigningKey?
    private let holder: @Sendable () throws(TokenClientError) -> TokenHolder
    private let environment: SourceEnvironment
    private let randomBytes: @Sendable (Int) -> [UInt8]
    // Guards tokens and questions; never held across a call.
    private let state = Mutex(State())
    // Guards the newest nonce of each server, by its origin.
    private let nonces = Mutex<[String: String]>([:])

    /// Most servers whose nonces are known.
    private static let maximumNonces = 256

    /// - Parameters:
    ///   - proofKey: for tokens that are bound to it; without it they are bound to the certificate.
    ///   - holder: as whom the next connection is made.
    package init(
        server: AuthorizationServer, proofKey: JWSSigningKey?,
        holder: @escaping @Sendable () throws(TokenClientError) -> TokenHolder, environment: SourceEnvironment,
        randomBytes: @escaping @Sendable (Int) -> [UInt8]
    ) {
        self.server = server
        self.proofKey = proofKey
        self.holder = holder
        self.environment = environment
        self.randomBytes = randomBytes
    }

    /// How many tokens are kept.
    package var count: Int { state.withLock { $0.tokens.count } }

    /// A token for a resource, or for what the scopes name: a kept one until it is time to renew it, otherwise a new one.
    ///
    /// - Parameter subject: the token that is exchanged (RFC 8693); the agent asks for itself without one.
    package func token(
        resource: String?, scopes: [String], subject: SecretText? = nil
    ) async throws(TokenClientError) -> HeldAccessToken {
        let form = try Self.form(resource: resource, scopes: scopes, subject: subject)
        let key = Key(
            resource: resource, scope: scopes.sorted().joined(separator: " "), subject: subject?.digest)
        // A certificate may change while the token for the one before is on its way.
        for _ in 0..<3 {
            let holder = try holder()
            switch step(key, form, holder, isExchange: subject != nil) {
            case .have(let held): return held
            case .wait(let flight, let old):
                switch await flight.value {
                case .success(let held):
                    if held.isGood(for: try self.holder(), at: environment.now()) { return held }
                case .failure(let error):
                    if let old, error.isTemporary, old.isGood(for: try self.holder(), at: environment.now()) {
                        return old
                    }
                    throw error
                }
            }
        }
        throw .certificateChanged
    }

    /// A transaction token for the own trust domain, in exchange for a subject token. None is kept: each is for one request.
    package func transactionToken(
        subject: SecretText, type: TokenType, scopes: [String], details: String?, context: String?
    ) async throws(TokenClientError) -> HeldAccessToken {
        let scope: Scope
        do {
            scope = try Scope(tokens: scopes)
        } catch {
            throw .badRequest("the scopes are refused: \(error)")
        }
        guard !scope.isEmpty else { throw .badRequest("a transaction token needs a scope") }
        var fields: [(name: String, value: String)] = [
            ("grant_type", TokenRequest.GrantType.tokenExchange.rawValue),
            ("requested_token_type", TokenType.transactionToken.uri),
            ("audience", try holder().id.trustDomain.idString),
            ("subject_token", subject.text), ("subject_token_type", type.uri), ("scope", scope.string),
        ]
        if let details { fields.append(("request_details", details)) }
        if let context { fields.append(("request_context", context)) }
        switch await ask(FormParameters(fields), .transactionToken) {
        case .success(let held): return held
        case .failure(let error): throw error
        }
    }

    /// A proof for a request to a resource that shows the token (RFC 9449 §7.1); nil where the token needs none.
    package func proof(
        _ held: HeldAccessToken, method: String, url: WebURL
    ) throws(TokenClientError) -> String? {
        guard held.use == .dpop else { return nil }
        return try sign(method: method, url: url, token: held.token)
    }

    /// Learns the nonce of a server (RFC 9449 §8.2); false if it is none, or known already.
    @discardableResult
    package func learn(nonce: String, of url: WebURL) -> Bool {
        guard (1...256).contains(nonce.utf8.count), nonce.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            return false
        }
        return nonces.withLock { nonces in
            if nonces.count >= Self.maximumNonces, nonces[url.origin] == nil, let other = nonces.keys.first {
                nonces[other] = nil
            }
            return nonces.updateValue(nonce, forKey: url.origin) != nonce
        }
    }

    // MARK: one question at a time

    private enum Step {
        case have(HeldAccessToken)
        case wait(Flight, old: HeldAccessToken?)
    }

    private func step(_ key: Key, _ form: FormParameters, _ holder: TokenHolder, isExchange: Bool) -> Step {
        let now = environment.now()
        return state.withLock { state in
            var old: HeldAccessToken?
            if let kept = state.tokens[key], kept.held.isGood(for: holder, at: now) {
                if now < kept.held.renewAt { return .have(kept.held) }
                // Who asks meanwhile needs not wait.
                if state.flights[key] != nil { return .have(kept.held) }
                if let retryAt = kept.retryAt, now < retryAt { return .have(kept.held) }
                old = kept.held
            }
            if let flight = state.flights[key] { return .wait(flight, old: old) }
            // Unstructured: who began it may be cancelled, and others wait for it too. It ends with the transport's limits.
            let flight = Flight {
                let result = await self.ask(form, .accessToken(isExchange: isExchange))
                self.land(result, key)
                return result
            }
            state.flights[key] = flight
            return .wait(flight, old: old)
        }
    }

    private func land(_ result: Result<HeldAccessToken, TokenClientError>, _ key: Key) {
        let now = environment.now()
        let fraction = environment.randomFraction()
        state.withLock { state in
            state.flights[key] = nil
            switch result {
            case .success(let held):
                state.tokens[key] = Kept(held: held)
                if state.tokens.count > Self.maximumTokens,
                    let first = state.tokens.min(by: { $0.value.held.expiresAt < $1.value.held.expiresAt })
                {
                    state.tokens[first.key] = nil
                }
            case .failure(let error) where error.isTemporary:
                guard var kept = state.tokens[key] else { return }
                let wait = kept.backoff.wait(fraction).components
                kept.retryAt = now.adding(
                    milliseconds: wait.seconds * 1000 + wait.attoseconds / 1_000_000_000_000_000)
                state.tokens[key] = kept
            // What is refused now was perhaps granted when the old one was issued, and is not any more.
            case .failure: state.tokens[key] = nil
            }
        }
    }

    // MARK: the wire

    private static func form(
        resource: String?, scopes: [String], subject: SecretText?
    ) throws(TokenClientError) -> FormParameters {
        var fields: [(name: String, value: String)] = []
        if let subject {
            fields += [
                ("grant_type", TokenRequest.GrantType.tokenExchange.rawValue),
                ("subject_token", subject.text),
                ("subject_token_type", TokenType.accessToken.uri),
            ]
        } else {
            fields.append(("grant_type", TokenRequest.GrantType.clientCredentials.rawValue))
        }
        if let resource {
            do {
                fields.append(("resource", try ResourceIndicator(resource).string))
            } catch {
                throw .badRequest("the resource is refused: \(error)")
            }
        }
        do {
            fields.append(("scope", try Scope(tokens: scopes).string))
        } catch {
            throw .badRequest("the scopes are refused: \(error)")
        }
        return FormParameters(fields)
    }

    /// What was asked for.
    private enum Wanted {
        case accessToken(isExchange: Bool)
        case transactionToken
    }

    private func ask(_ form: FormParameters, _ wanted: Wanted) async -> Result<HeldAccessToken, TokenClientError> {
        do throws(TokenClientError) {
            let (answer, start) = try await send(form, server.token)
            return .success(try read(answer, start, wanted))
        } catch {
            return .failure(error)
        }
    }

    private typealias Endpoint =
        (
            FormParameters, ((WebURL) throws(TokenClientError) -> String)?
        ) async throws(TokenClientError) -> TokenServerAnswer

    /// The answer, and the time before the question: a life is counted from there, so that it never ends later than the server
    /// says.
    private func send(
        _ form: FormParameters, _ endpoint: Endpoint
    ) async throws(TokenClientError) -> (TokenServerAnswer, start: UnixTime) {
        var start = environment.now()
        var answer = try await sendOnce(form, endpoint)
        if answer.status != 200, let nonce = answer.proofNonce, Self.code(of: answer) == .useDPoPNonce,
            proofKey != nil, !nonce.isEmpty
        {
            start = environment.now()
            answer = try await sendOnce(form, endpoint)
        }
        return (answer, start)
    }

    private func sendOnce(
        _ form: FormParameters, _ endpoint: Endpoint
    ) async throws(TokenClientError) -> TokenServerAnswer {
        let answer: TokenServerAnswer
        if proofKey != nil {
            answer = try await endpoint(form) { url throws(TokenClientError) in
                try self.sign(method: TokenServerRequest.Method.post.rawValue, url: url, token: nil)
            }
        } else {
            answer = try await endpoint(form, nil)
        }
        if let nonce = answer.proofNonce { learn(nonce: nonce, of: try await server.endpoints().token) }
        return answer
    }

    // MARK: approvals

    /// The token for what a resource's challenge says, once a person has approved it (draft-rosomakho-oauth-txn-challenge-00).
    /// It is not kept: it counts once.
    ///
    /// Asks as often as the server says, until it answers with a token or a refusal, or the task is cancelled.
    package func token(
        answering challenge: String, subject: SecretText?
    ) async throws(TokenClientError) -> HeldAccessToken {
        var fields = [(name: "transaction_challenge", value: challenge)]
        if let subject { fields.append((name: "subject_token", value: subject.text)) }
        let (answer, _) = try await send(FormParameters(fields), server.transaction)
        guard answer.status == 200 else { throw Self.error(answer) }
        guard let json = try? JSONValue(parsing: answer.body).objectValue,
            let id = json["transaction_authorization_id"]?.stringValue, !id.isEmpty
        else { throw .badAnswer("the answer names no transaction") }
        var interval = min(max(json["interval"]?.int64Value ?? 5, 1), Self.longestInterval)
        let poll = FormParameters([(name: "transaction_authorization_id", value: id)])
        while true {
            do { try await environment.sleep(.seconds(interval)) } catch { throw .unreachable("cancelled") }
            let (answer, start) = try await send(poll, server.transaction)
            switch Self.code(of: answer) {
            case .authorizationPending? where answer.status != 200: continue
            case .slowDown? where answer.status != 200: interval = min(interval + 5, Self.longestInterval)
            default: return try read(answer, start, .accessToken(isExchange: false))
            }
        }
    }

    /// Seconds between two questions, at most.
    private static let longestInterval: Int64 = 60

    private func sign(method: String, url: WebURL, token: SecretText?) throws(TokenClientError) -> String {
        guard let proofKey else { throw .badRequest("there is no key for proofs") }
        let nonce = nonces.withLock { $0[url.origin] }
        do {
            return try DPoPProof.sign(
                method: method, url: url, tokenID: Base64URL.encode(randomBytes(16)),
                issuedAt: environment.now().seconds, key: proofKey, accessToken: token, nonce: nonce)
        } catch {
            throw .badRequest("no proof can be made: \(error)")
        }
    }

    private static func code(of answer: TokenServerAnswer) -> OAuthErrorCode? {
        (try? ReceivedError(parsing: answer.body))?.code
    }

    private static func error(_ answer: TokenServerAnswer) -> TokenClientError {
        if answer.status == 429 || answer.status >= 500 { return .busy(status: answer.status) }
        guard let error = try? ReceivedError(parsing: answer.body) else { return .badAnswer("status \(answer.status)") }
        return error.code == .temporarilyUnavailable ? .busy(status: answer.status) : .refused(code: error.name)
    }

    private func read(
        _ answer: TokenServerAnswer, _ start: UnixTime, _ wanted: Wanted
    ) throws(TokenClientError) -> HeldAccessToken {
        guard answer.status == 200 else { throw Self.error(answer) }
        let response: TokenResponse
        do {
            response = try TokenResponse(parsing: answer.body)
        } catch {
            throw .badAnswer(error.description)
        }
        // A token of another use than the one that was asked for is not bound as it was to be.
        let use: TokenResponse.Use
        let type: TokenType?
        switch wanted {
        case .accessToken(let isExchange):
            (use, type) = (proofKey == nil ? .bearer : .dpop, isExchange ? .accessToken : nil)
        case .transactionToken: (use, type) = (.notApplicable, .transactionToken)
        }
        guard response.use == use else { throw .badAnswer("the token is of another type than was asked for") }
        guard let expiresIn = response.expiresIn, expiresIn > 0 else {
            throw .badAnswer("member `expires_in` of the answer is missing or zero")
        }
        guard type == nil || response.issuedTokenType == type else {
            throw .badAnswer("what was issued is not what was asked for")
        }
        return HeldAccessToken(
            token: response.token, use: response.use, scope: response.scope, holder: answer.holder,
            obtainedAt: start, expiresAt: start + expiresIn)
    }
}
