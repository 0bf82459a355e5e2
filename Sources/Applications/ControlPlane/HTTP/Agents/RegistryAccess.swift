import AgentDirectory
import AgentRegistry
import AuditTrail
import Crypto
import HTTPTypes
import Hummingbird
import Issuance
import JOSE
import NIOCore
import OAuth
import PeerHTTP
import Registry
import SPIFFE

/// Who calls the agent registry over HTTPS, and how it is answered whatever happens.
///
/// Nobody has to prove anything to look: who proves nothing sees what everybody may see. A certificate that is revoked or
/// has ended proves nothing.
struct RegistryAccess: Sendable {
    let registry: Registry
    let revocations: RevocationRegister
    let refusals: RefusalRecorder
    let limiter: RateLimiter
    let now: @Sendable () -> UnixTime
    /// Looks at the peer of a connection again: its authority may be gone since the handshake.
    let verifyPeer: @Sendable (VerifiedX509SVID) -> VerifiedX509SVID?
    let randomBytes: @Sendable (Int) -> [UInt8]

    private var peer: VerifiedX509SVID? {
        guard let peer = HTTPPeer.current.flatMap(verifyPeer), now() < peer.expiresAt,
            revocations.revoked.revocation(of: peer) == nil
        else { return nil }
        return peer
    }

    var viewer: RegistryViewer {
        guard let peer else { return .anyone }
        return registry.isAdmin(peer.id) ? .administrator : .agent(peer.id)
    }

    /// The caller of an act on its own listing.
    func caller(_ request: Request, _ context: HTTPContext) throws(RegistryRefusal) -> RegistryCaller {
        let requestID = Hex.encode(randomBytes(16))
        guard let peer else {
            let refusal = RegistryRefusal(.unauthorized, "unauthenticated", "show an x.509-svid of this trust domain")
            refusals.record(
                AuditEvent(
                    type: .registryRefuse,
                    agent: AuditEvent.AgentField(
                        authMethod: .none, peer: AuditEvent.PeerField(address: context.host)),
                    resource: AuditEvent.ResourceField(kind: "endpoint", id: "agents"),
                    decision: AuditEvent.DecisionField(
                        action: request.method.rawValue.lowercased(), result: .deny, reason: refusal.code),
                    correlation: AuditEvent.CorrelationField(requestID: requestID),
                    effect: AuditEvent.EffectField(observed: .none)),
                source: context.host, kind: "registry")
            throw refusal
        }
        return RegistryCaller(
            .agent(peer.id),
            AuditEvent.AgentField(
                id: peer.id.string, authMethod: .mtls, credentialHash: Hex.encode(SHA256.hash(data: peer.leaf.der)),
                peer: AuditEvent.PeerField(address: context.host)),
            requestID: requestID)
    }

    /// The query, in which a `+` is a space as browsers and most clients write it.
    static func parameters(_ request: Request) throws(RegistryRefusal) -> FormParameters {
        do {
            return try FormParameters(
                parsing: Array((request.uri.query ?? "").utf8), repeatable: repeatable,
                limits: FormLimits(maximumBytes: 16 << 10, maximumCount: 256, maximumValueBytes: 4096))
        } catch {
            throw RegistryRefusal(.badRequest, "bad_request", error.description)
        }
    }

    private static let repeatable = ["skill", "tag", "scheme", "trust_domain", "entitled"]

    /// A body within limits.
    func body(_ request: Request, limit: Int, types: [String]) async throws(RegistryRefusal) -> [UInt8] {
        guard let type = request.headers[.contentType], types.contains(MediaType.name(of: type)) else {
            throw RegistryRefusal(.unsupportedMediaType, "unsupported_media_type", "the body has to be json")
        }
        do {
            return Array(try await request.body.collect(upTo: limit).readableBytesView)
        } catch {
            throw RegistryRefusal(.contentTooLarge, "too_large", "the body is too large or incomplete")
        }
    }

    /// An object in the body, which may be empty.
    func object(_ request: Request, limit: Int = 16 << 10) async throws(RegistryRefusal) -> JSONObject {
        let bytes = try await body(request, limit: limit, types: ["application/json"])
        let limits = JSONLimits(maximumBytes: limit, maximumDepth: 8)
        guard let object = (try? JSONValue(parsing: bytes, limits: limits))?.objectValue else {
            throw RegistryRefusal(.badRequest, "bad_request", "the body has to be a json object")
        }
        return object
    }

    /// Runs a handler; a refusal becomes an answer in the form that this part of the API has.
    func answer(
        _ context: HTTPContext, _ form: RegistryRefusal.Form = .registry,
        _ body: () async throws(RegistryRefusal) -> Response
    ) async -> Response {
        do throws(RegistryRefusal) {
            if let wait = limiter.refusal(of: 1, from: context.host) {
                throw RegistryRefusal(.tooManyRequests, "too_many_requests", "too many requests", retryAfter: wait)
            }
            return try await body()
        } catch {
            return error.response(form)
        }
    }

    static func json(
        _ status: HTTPResponse.Status, _ body: JSONValue, type: String = "application/json",
        cacheControl: String = "no-store"
    ) -> Response {
        Response(
            status: status, headers: [.contentType: type, .cacheControl: cacheControl],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: body.serializedBytes)))
    }
}

/// Why a request to the registry is not done.
struct RegistryRefusal: Error {
    /// The shape of an error in each part of the API.
    enum Form: Sendable {
        case registry
        /// `errorCode` and `message` (ARD).
        case discovery
    }

    let status: HTTPResponse.Status
    let code: String
    let text: String
    var retryAfter: Int64?

    init(_ status: HTTPResponse.Status, _ code: String, _ text: String, retryAfter: Int64? = nil) {
        self.status = status
        self.code = code
        self.text = text
        self.retryAfter = retryAfter
    }

    static let notFound = RegistryRefusal(AgentRegistryError.notFound)

    init(_ error: AgentRegistryError) {
        let status: HTTPResponse.Status =
            switch error {
            case .cardTooLarge: .contentTooLarge
            case .badCard, .badInterface, .unboundCard, .badSignature, .badVisibility, .badPageToken, .reasonTooLong:
                .badRequest
            case .otherIdentity, .reservedIdentity, .notYours, .ownAgent, .unknownApprover: .forbidden
            case .notFound: .notFound
            case .nameTaken, .versionExists, .notPending, .otherCard, .notActive, .revoked, .full: .conflict
            case .storage, .audit: .serviceUnavailable
            }
        let isUnavailable = status == .serviceUnavailable
        self.init(
            status, error.code, isUnavailable ? "the registry cannot be read or written now" : error.description,
            retryAfter: isUnavailable ? 1 : nil)
    }

    func response(_ form: Form) -> Response {
        let body: JSONValue =
            switch form {
            case .registry: ["error": .string(code), "error_description": .string(text)]
            case .discovery: ["errorCode": .string(discoveryCode), "message": .string(text)]
            }
        var response = RegistryAccess.json(status, body)
        if let retryAfter { response.headers[.retryAfter] = String(retryAfter) }
        return response
    }

    private var discoveryCode: String {
        switch status {
        case .badRequest, .unsupportedMediaType, .contentTooLarge: "INVALID_ARGUMENT"
        case .tooManyRequests: "RESOURCE_EXHAUSTED"
        case .notFound: "NOT_FOUND"
        default: "UNAVAILABLE"
        }
    }
}
