import JOSE

/// Why the signature of a message is refused or cannot be made.
package enum WorkloadSignatureError: Error, Sendable, Equatable, CustomStringConvertible {
    /// There is no signature with WIMSE's tag.
    case noSignature
    /// There are several with that tag, and nothing says which one counts.
    case severalSignatures
    /// A field that signatures live in cannot be read.
    case badField(String, StructuredFieldError)
    /// `Signature-Input` has something under the label that is no list of components.
    case badInput
    /// There is no signature under the label, or something that is none.
    case missingSignature
    case forbiddenParameter(String)
    case missingParameter(String)
    /// A parameter of a type or a length that it cannot have.
    case badParameter(String)
    case missingComponent(String)
    /// A component of a kind that the profile does not have.
    case unsupportedComponent(String)
    /// `@request-target`, as up to revision -06.
    case legacyComponent
    case repeatedComponent(String)
    /// A component that the message does not have.
    case absentComponent(String)
    /// A value with bytes that could break out of its line.
    case badValue(String)
    /// A field that may be there once only.
    case repeatedField(String)
    case missingIdentityToken
    /// Seconds since 1970.
    case createdInFuture(at: Int64)
    /// Seconds since 1970.
    case expired(at: Int64)
    case lastsTooLong
    case wrongAudience
    /// The response is for another request.
    case wrongRequestNonce
    case digest(ContentDigestError)
    case invalidSignature
    /// The message is signed already, or the label is taken.
    case alreadySigned
    /// A signature cannot be made with this end and start.
    case badTimes
    case signingFailed

    package var description: String {
        switch self {
        case .noSignature: "the message has no WIMSE signature"
        case .severalSignatures: "the message has several WIMSE signatures"
        case .badField(let name, let error): "`\(name)` cannot be read: \(error)"
        case .badInput: "`Signature-Input` is no list of components"
        case .missingSignature: "`Signature` has nothing under the label"
        case .forbiddenParameter(let name): "parameter `\(name)` is not allowed"
        case .missingParameter(let name): "parameter `\(name)` is missing"
        case .badParameter(let name): "parameter `\(name)` is not what it has to be"
        case .missingComponent(let name): "component `\(name)` is not covered"
        case .unsupportedComponent(let name): "component `\(name.truncatedForMessage)` is of an unsupported kind"
        case .legacyComponent: "component `@request-target` belongs to an older revision"
        case .repeatedComponent(let name): "component `\(name.truncatedForMessage)` is covered twice"
        case .absentComponent(let name): "the message has no `\(name.truncatedForMessage)`"
        case .badValue(let name): "the value of `\(name.truncatedForMessage)` cannot be signed"
        case .repeatedField(let name): "`\(name)` is there more than once"
        case .missingIdentityToken: "the message has no `\(WorkloadField.identityToken)`"
        case .createdInFuture(let time): "the signature was made in the future at \(time)"
        case .expired(let time): "the signature expired at \(time)"
        case .lastsTooLong: "the signature lasts too long"
        case .wrongAudience: "the signature is for another audience"
        case .wrongRequestNonce: "the response answers another request"
        case .digest(let error): error.description
        case .invalidSignature: "the signature does not verify"
        case .alreadySigned: "the message is signed already"
        case .badTimes: "a signature cannot end before it starts"
        case .signingFailed: "the message could not be signed"
        }
    }
}
