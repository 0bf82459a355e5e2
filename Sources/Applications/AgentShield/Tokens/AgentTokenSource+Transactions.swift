import CredentialClient
import OAuth

extension AgentTokenSource {
    /// A transaction token for the own trust domain (draft-ietf-oauth-transaction-tokens): what one request is for, passed on to
    /// every agent that it comes through. It lasts a minute or so, is asked for anew each time, and nothing is kept.
    ///
    /// - Parameters:
    ///   - scopes: what the transaction may do, at most what the subject allows; at least one.
    ///   - details: a JSON object that stays as it is for the whole transaction (`tctx`).
    ///   - context: a JSON object about the circumstances (`rctx`). Neither goes with ``AgentTransactionSubject/transaction(_:)``.
    public func transactionToken(
        for subject: AgentTransactionSubject, scopes: [String], details: String? = nil, context: String? = nil
    ) async throws(AgentTokenError) -> AgentTransactionToken {
        let (token, type): (String, TokenType) =
            switch subject {
            case .accessToken(let text): (text, .accessToken)
            case .ownSVID(let text): (text, .jwt)
            case .transaction(let transaction): (transaction.value, .transactionToken)
            }
        do throws(TokenClientError) {
            let held = try await source.transactionToken(
                subject: SecretText(token), type: type, scopes: scopes, details: details, context: context)
            return AgentTransactionToken(
                held.token, scopes: held.scope?.tokens ?? scopes, expiresAt: held.expiresAt.seconds)
        } catch {
            throw AgentTokenError(error)
        }
    }
}
