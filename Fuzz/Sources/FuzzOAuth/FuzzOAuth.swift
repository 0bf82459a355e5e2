import JOSE
import OAuth

/// Feeds one input to every reader of outside bytes in OAuth: forms and what is in them, `Authorization`, URLs, proofs,
/// tokens and metadata. No input may trap; what is read has to come back from what is written.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    let bytes = [UInt8](UnsafeBufferPointer(start: data, count: size))
    let text = String(decoding: bytes, as: UTF8.self)
    forms(bytes, text)
    urls(text)
    tokens(text)
    metadata(bytes)
    events(bytes)
    return 0
}

private let now: Int64 = 1_700_000_030

private func forms(_ bytes: [UInt8], _ text: String) {
    let repeatable = FormParameters.repeatableInTokenRequests
    if let form = try? FormParameters(parsing: bytes, repeatable: repeatable) {
        let written = form.serializedBytes
        let again = try? FormParameters(
            parsing: written, repeatable: repeatable, limits: FormLimits(maximumBytes: .max))
        precondition(again == form, "form reads back differently")
        if let request = try? TokenRequest(form: form, authorization: nil), let scope = request.scope {
            precondition((try? Scope(scope.string)) == scope, "scope reads back differently")
        }
        _ = try? TokenQuery(form: form, authorization: nil)
        _ = try? BackchannelRequest(form: form, authorization: nil)
        _ = try? TransactionAuthorizationRequest(form: form, authorization: nil)
    }
    if let empty = try? FormParameters(parsing: []),
        let client = try? ClientAuthentication(form: empty, authorization: text),
        case .basic(let basic) = client.credential
    {
        precondition(!basic.candidates.isEmpty, "basic credentials without a reading")
    }
    _ = FormParameters.isForm(contentType: text)
}

private func urls(_ text: String) {
    if let url = try? WebURL(text) {
        // One byte longer than the longest URL where a path came to be.
        if let again = try? WebURL(url.normalizedTarget) {
            precondition(again.normalizedTarget == url.normalizedTarget, "normalized url is no fixed point")
        }
    }
    _ = try? ResourceIndicator(text)
}

private func tokens(_ text: String) {
    guard let url = try? WebURL("https://as.saas.example/token") else { return }
    let request = DPoPRequest(method: "POST", url: url, use: .tokenRequest)
    if let proof = try? DPoPProof.verify(text, request: request, policy: DPoPPolicy(), now: now) {
        precondition(proof.replayableUntil > now, "a proof was taken that had ended")
    }
    _ = try? UnverifiedAccessToken(parsing: text)
    _ = try? UnverifiedClientAssertion(parsing: SecretText(text))
    if let value = try? JSONValue(parsing: text), let chain = try? ActorChain(parsing: value, requiresIssuer: false) {
        let again = try? ActorChain(parsing: .object(chain.json), requiresIssuer: false)
        precondition(again?.depth == chain.depth, "chain of actors reads back differently")
    }
    approvals(text)
    _ = try? UnverifiedTransactionToken(parsing: text)
    _ = try? UnverifiedAuthorizationGrant(parsing: SecretText(text))
    if let context = try? TransactionContext(parsing: text) {
        let written = String(decoding: context.json.serializedBytes, as: UTF8.self)
        precondition((try? TransactionContext(parsing: written)) == context, "context reads back differently")
    }
    _ = try? TransactionToken.presented([text])
}

private func approvals(_ text: String) {
    _ = try? UnverifiedTransactionChallenge(parsing: SecretText(text))
    // A pattern and details of one input: neither may trap the other.
    guard let value = try? JSONValue(parsing: text), let array = value.arrayValue, let first = array.first?.objectValue,
        let pattern = try? AuthorizationDetailPattern(first),
        let details = try? AuthorizationDetails(json: .array(Array(array.dropFirst())))
    else {
        _ = try? AuthorizationDetails(parsing: text)
        return
    }
    for detail in details.details where pattern.covers(detail) {
        precondition(pattern.type == detail.type, "a pattern covers a detail of another type")
    }
}

private func metadata(_ bytes: [UInt8]) {
    let issuer = "https://as.example.com"
    if let read = try? AuthorizationServerMetadata(parsing: bytes, issuer: issuer) {
        precondition(
            (try? AuthorizationServerMetadata(parsing: read.serializedBytes, issuer: issuer)) == read,
            "metadata read back differently")
    }
    _ = try? ProtectedResourceMetadata(parsing: bytes, resource: issuer)
    if let response = try? TokenResponse(parsing: bytes) {
        precondition(
            (try? TokenResponse(parsing: response.serializedBytes))?.serializedBytes == response.serializedBytes,
            "answer reads back differently")
    }
    _ = try? ReceivedError(parsing: bytes)
}

private func events(_ bytes: [UInt8]) {
    _ = try? UnverifiedSecurityEvent(parsing: bytes)
    guard let value = try? JSONValue(parsing: bytes), let subject = try? SubjectIdentifier(parsing: value) else {
        return
    }
    if case .other = subject { return }
    precondition(
        (try? SubjectIdentifier(parsing: .object(subject.json))) == subject, "subject identifier reads back differently"
    )
}
