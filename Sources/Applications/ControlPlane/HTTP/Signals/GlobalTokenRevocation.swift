import AgentDirectory
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
import TokenService

/// Global token revocation (draft-parecki-oauth-global-token-revocation): somebody outside ends everything that a subject has.
///
/// For administrators alone: workloads whose entry has the admin flag, over mutual TLS.
struct GlobalTokenRevocation: Sendable {
    let revocation: SubjectRevocation
    let registry: Registry
    let revocations: RevocationRegister
    let refusals: RefusalRecorder
    let limiter: RateLimiter
    let now: @Sendable () -> UnixTime
    /// Looks at the peer of a connection again: its authority may be gone since the handshake.
    let verifyPeer: @Sendable (VerifiedX509SVID) -> VerifiedX509SVID?
    let randomBytes: @Sendable (Int) -> [UInt8]

    /// Largest body that is read, in bytes.
    private static let maximumBody = 8 * 1024

    func register(on router: Router<HTTPContext>) {
        router.post("oauth2/global-token-revocation") { request, context in await answer(request, context) }
    }

    private struct Refused: Error {
        let status: HTTPResponse.Status
        let reason: String
    }

    private func answer(_ request: Request, _ context: HTTPContext) async -> Response {
        if let wait = limiter.refusal(of: 1, from: context.host) {
            return Response(status: .tooManyRequests, headers: [.retryAfter: String(wait), .cacheControl: "no-store"])
        }
        let requestID = Hex.encode(randomBytes(16))
        let peer = HTTPPeer.current.flatMap(verifyPeer)
        let caller = AuditEvent.AgentField(
            id: peer?.id.string, authMethod: peer == nil ? .none : .mtls,
            credentialHash: peer.map { Hex.encode(SHA256.hash(data: $0.leaf.der)) },
            peer: AuditEvent.PeerField(address: context.host))
        do throws(Refused) {
            try authorize(peer)
            let subject = try await subject(of: request)
            do throws(SubjectRevocation.Failure) {
                let outcome = try await revocation.end(
                    subject, reach: .everything, reason: "global token revocation",
                    by: DirectoryCaller(caller, requestID: requestID))
                guard case .ended = outcome else {
                    throw SubjectRevocation.Failure.refused("the subject is unknown")
                }
                return Response(status: .noContent, headers: [.cacheControl: "no-store"])
            } catch {
                switch error {
                case .refused(let reason): throw Refused(status: .notFound, reason: reason)
                case .unavailable(let reason): throw Refused(status: .serviceUnavailable, reason: reason)
                }
            }
        } catch {
            record(error, caller, context.host, requestID)
            var headers: HTTPFields = [.cacheControl: "no-store"]
            if error.status == .serviceUnavailable { headers[.retryAfter] = "1" }
            return Response(status: error.status, headers: headers)
        }
    }

    private func authorize(_ peer: VerifiedX509SVID?) throws(Refused) {
        guard let peer, now() < peer.expiresAt else {
            throw Refused(status: .unauthorized, reason: "the request shows no certificate that verifies")
        }
        guard revocations.revoked.revocation(of: peer) == nil else {
            throw Refused(status: .unauthorized, reason: "the certificate is revoked")
        }
        guard registry.isAdmin(peer.id) else {
            throw Refused(status: .forbidden, reason: "the caller is no administrator")
        }
    }

    private func subject(of request: Request) async throws(Refused) -> SubjectIdentifier {
        guard let type = request.headers[.contentType], MediaType.isJSON(type) else {
            throw Refused(status: .badRequest, reason: "the body has to be `application/json`")
        }
        do {
            let body = try await request.body.collect(upTo: Self.maximumBody)
            let limits = JSONLimits(maximumBytes: Self.maximumBody, maximumDepth: 8)
            let value = try JSONValue(parsing: Array(body.readableBytesView), limits: limits)
            guard let object = value.objectValue, let subject = object["sub_id"] else {
                throw Refused(status: .badRequest, reason: "the body has no `sub_id`")
            }
            return try SubjectIdentifier(parsing: subject)
        } catch let error as Refused {
            throw error
        } catch {
            throw Refused(status: .badRequest, reason: "the body cannot be read: \(error)")
        }
    }

    private func record(_ refused: Refused, _ caller: AuditEvent.AgentField, _ host: String, _ requestID: String) {
        refusals.record(
            AuditEvent(
                type: .revocationRefuse, agent: caller,
                resource: AuditEvent.ResourceField(kind: "endpoint", id: "global-token-revocation"),
                decision: AuditEvent.DecisionField(action: "revoke", result: .deny, reason: refused.reason),
                correlation: AuditEvent.CorrelationField(requestID: requestID),
                effect: AuditEvent.EffectField(observed: .none)),
            source: host, kind: "global-token-revocation")
    }
}

/// What a field `Content-Type` names, without its parameters.
enum MediaType {
    static func isJSON(_ field: String) -> Bool { name(of: field) == "application/json" }

    static func name(of field: String) -> String {
        let name = field.utf8.prefix { $0 != UInt8(ascii: ";") }
        return String(decoding: name.filter { $0 != 0x20 && $0 != 0x09 }, as: UTF8.self).lowercased()
    }
}
