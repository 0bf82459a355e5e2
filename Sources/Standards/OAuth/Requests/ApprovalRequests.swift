import JOSE

/// A request for a person's approval at the backchannel authentication endpoint (CIBA Core 1.0 §7.1), with RFC 8707 and 9396.
/// Who approves is for settings to say; the hint may name one of them.
package struct BackchannelRequest: Sendable {
    package let client: ClientAuthentication
    package let scope: Scope?
    package let resources: [ResourceIndicator]
    package let audiences: [String]
    package let authorizationDetails: AuthorizationDetails?
    package let loginHint: String?
    /// A few letters that the client shows too.
    package let bindingMessage: String?
    /// Seconds.
    package let requestedExpiry: Int64?
    /// For whom the client acts, if for somebody else: an extension, as in token exchange.
    package let subjectToken: SecretText?

    /// A code, no sentence: an approver shall read what was verified and not what the agent says.
    package static let maximumBindingMessageLength = 20

    /// Reads a request whose form was read with `FormParameters.repeatableInTokenRequests`.
    package init(form: FormParameters, authorization: String?) throws(ApprovalRequestError) {
        for name in ["request", "login_hint_token", "id_token_hint"] where form[name] != nil {
            throw .unsupportedParameter(name)
        }
        do {
            let common = try TokenRequest.Common(form: form, authorization: authorization)
            client = common.client
            scope = common.scope
            resources = common.resources
            authorizationDetails = common.authorizationDetails
        } catch {
            throw .request(error)
        }
        audiences = form.all("audience")
        loginHint = form["login_hint"]
        bindingMessage = form["binding_message"]
        if let bindingMessage {
            guard bindingMessage.utf8.count <= Self.maximumBindingMessageLength,
                bindingMessage.utf8.allSatisfy(Self.isCodeByte)
            else { throw .badBindingMessage }
        }
        requestedExpiry = try form["requested_expiry"].map { text throws(ApprovalRequestError) in
            guard let seconds = Int64(text), seconds > 0 else { throw .badExpiry }
            return seconds
        }
        subjectToken = try Self.subjectToken(form)
    }

    static func subjectToken(_ form: FormParameters) throws(ApprovalRequestError) -> SecretText? {
        guard let text = form["subject_token"]?.trimmingASCIIWhitespace, !text.isEmpty else { return nil }
        guard form["subject_token_type"].map({ (try? TokenType($0)) == .accessToken }) ?? true else {
            throw .badSubjectToken
        }
        return SecretText(text)
    }

    private static func isCodeByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "+-_.,:#".utf8.contains(byte)
        }
    }
}

/// A request to the transaction authorization endpoint (draft-rosomakho-oauth-txn-challenge-00): a challenge that begins a
/// transaction, or the identifier of one that waits.
package struct TransactionAuthorizationRequest: Sendable {
    package let client: ClientAuthentication
    package let step: Step

    package enum Step: Sendable {
        /// - `subjectToken`: for whom the client acts, if for somebody else.
        case begin(challenge: SecretText, subjectToken: SecretText?)
        case poll(transactionID: SecretText)
    }

    package init(form: FormParameters, authorization: String?) throws(ApprovalRequestError) {
        do {
            client = try ClientAuthentication(form: form, authorization: authorization)
        } catch {
            throw .request(.client(error))
        }
        switch (form["transaction_challenge"], form["transaction_authorization_id"]) {
        case (let challenge?, nil):
            step = .begin(
                challenge: SecretText(challenge), subjectToken: try BackchannelRequest.subjectToken(form))
        case (nil, let id?): step = .poll(transactionID: SecretText(id))
        default: throw .challengeOrIdentifier
        }
    }
}

/// Why a request for an approval cannot be read.
package enum ApprovalRequestError: OAuthRefusal, Sendable, Equatable, CustomStringConvertible {
    case request(TokenRequestError)
    case unsupportedParameter(String)
    case badBindingMessage
    case badExpiry
    case badSubjectToken
    /// Neither or both.
    case challengeOrIdentifier

    package var code: OAuthErrorCode {
        switch self {
        case .request(let error): error.code
        case .badBindingMessage: .invalidBindingMessage
        case .unsupportedParameter, .badExpiry, .badSubjectToken, .challengeOrIdentifier: .invalidRequest
        }
    }

    package var description: String {
        switch self {
        case .request(let error): error.description
        case .unsupportedParameter(let name): "parameter `\(name)` is not supported"
        case .badBindingMessage:
            "a binding message is a code of at most \(BackchannelRequest.maximumBindingMessageLength) letters, digits and `+-_.,:#`"
        case .badExpiry: "`requested_expiry` is a number of seconds"
        case .badSubjectToken: "a subject token is an access token"
        case .challengeOrIdentifier: "the request has a challenge, or the identifier of a transaction"
        }
    }
}

/// The answer to a request for an approval: how to ask for its outcome.
package struct ApprovalResponse: Sendable {
    package let handle: SecretText
    /// Seconds.
    package let expiresIn: Int64
    /// Seconds.
    package let interval: Int64

    package init(handle: SecretText, expiresIn: Int64, interval: Int64) {
        self.handle = handle
        self.expiresIn = expiresIn
        self.interval = interval
    }

    /// The body at the backchannel authentication endpoint (CIBA Core 1.0 §7.3).
    package var backchannelBytes: [UInt8] { bytes("auth_req_id") }

    /// The body at the transaction authorization endpoint.
    package var transactionBytes: [UInt8] { bytes("transaction_authorization_id") }

    private func bytes(_ name: String) -> [UInt8] {
        JSONObject([
            (name, .string(handle.text)), ("expires_in", .number(JSONNumber(expiresIn))),
            ("interval", .number(JSONNumber(interval))),
        ]).serializedBytes
    }
}
