import AgentDirectory
import Approvals
import AuditTrail
import Authentication
import Crypto
import HTTPTypes
import Hummingbird
import JOSE
import NIOCore
import OAuth
import SPIFFE

/// Approvals over HTTP, for people that an identity provider signs in: they see what waits for them, and answer.
struct ApprovalEndpoints: Sendable {
    let register: ApprovalRegister
    let directory: AgentDirectory
    let tokens: ApproverTokens
    let refusals: RefusalRecorder
    let limiter: RateLimiter
    let now: @Sendable () -> UnixTime
    let randomBytes: @Sendable (Int) -> [UInt8]

    private static let maximumBody = 4096

    func register(on router: Router<HTTPContext>) {
        router.get("approvals") { request, context in
            try await answer(request, context) { person, _ in
                .array(register.all.filter { $0.isOpen(at: now()) && register.concerns(person, $0) }.map(json))
            }
        }
        router.get("approvals/:id") { request, context in
            try await answer(request, context) { person, _ in json(try known(context, request, person)) }
        }
        router.post("approvals/:id/approve") { request, context in
            try await answer(request, context) { person, audit in
                let approval = try known(context, request, person)
                let body = try await request.body.collect(upTo: Self.maximumBody)
                let json = try? JSONValue(
                    parsing: Array(body.readableBytesView), limits: JSONLimits(maximumBytes: Self.maximumBody)
                ).objectValue
                guard let hash = json?["act_hash"]?.stringValue else {
                    throw HTTPError(.badRequest, message: "the body has to be {\"act_hash\": …}")
                }
                return self.json(
                    try await register.approve(
                        approval.id, actHash: hash, by: Approver(person: person, way: .idToken), audit,
                        requestID: Hex.encode(randomBytes(16))))
            }
        }
        router.post("approvals/:id/deny") { request, context in
            try await answer(request, context) { person, audit in
                json(
                    try await register.deny(
                        try known(context, request, person).id, by: Approver(person: person, way: .idToken), audit,
                        requestID: Hex.encode(randomBytes(16))))
            }
        }
    }

    /// Who is no approver of it finds nothing.
    private func known(_ context: HTTPContext, _ request: Request, _ person: Person) throws -> Approval {
        guard let id = context.parameters.get("id"), let approval = register.approval(id),
            register.concerns(person, approval)
        else {
            record(context, request, person, "no approval of this person's")
            throw HTTPError(.notFound, headers: Self.notKept)
        }
        return approval
    }

    private func answer(
        _ request: Request, _ context: HTTPContext,
        _ body: (Person, AuditEvent.AgentField) async throws -> JSONValue
    ) async throws -> Response {
        if let wait = limiter.refusal(of: 1, from: context.host) {
            throw HTTPError(.tooManyRequests, headers: [.retryAfter: String(wait)])
        }
        let values = request.headers[values: .authorization]
        guard values.count == 1, values[0].lowercased().hasPrefix("bearer ") else {
            throw refused(context, request, "no bearer token")
        }
        let token = SecretText(String(values[0].dropFirst("bearer ".count)))
        let person: Person?
        do throws(IssuerKeyError) {
            person = try await tokens.person(token)
        } catch {
            switch error {
            case .unknownIssuer, .algorithmNotAllowed, .badKeyID, .noSuchKey, .keyIDRequired: person = nil
            default: throw HTTPError(.serviceUnavailable, headers: [.retryAfter: "1"])
            }
        }
        guard let person else { throw refused(context, request, "the token proves nobody") }
        let audit = AuditEvent.AgentField(
            id: person.name, authMethod: .idToken, credentialHash: Hex.encode(token.digest),
            peer: AuditEvent.PeerField(address: context.host))
        do {
            return Self.response(.ok, try await body(person, audit))
        } catch let error as ApprovalError {
            let status: HTTPResponse.Status =
                switch error {
                case .notFound: .notFound
                case .unknownPerson, .notApprover, .ownAgent, .socketRefused: .forbidden
                case .storage, .audit: .serviceUnavailable
                default: .conflict
                }
            let text = status == .serviceUnavailable ? "the answer cannot be recorded now" : error.description
            var response = Self.response(
                status, ["error": .string(error.code), "error_description": .string(text)])
            if status == .serviceUnavailable { response.headers[.retryAfter] = "1" }
            return response
        }
    }

    private func json(_ approval: Approval) -> JSONValue {
        var json: JSONObject = [
            "id": .string(approval.id), "state": .string(approval.stateName(at: now())),
            "act": .object(approval.act.json),
            "act_hash": .string(approval.act.hash),
            "created_at": .number(JSONNumber(approval.createdAt.seconds)),
            "deadline": .number(JSONNumber(approval.deadline.seconds)),
        ]
        json["agent_name"] = directory.snapshot.agent(approval.act.clientID).map { .string($0.name.text) }
        switch approval.demand {
        case .resource(let reason):
            json["demanded_by"] = "resource"
            json["reason"] = .string(reason)
        case .settings: json["demanded_by"] = "settings"
        case .grant(let seconds):
            json["demanded_by"] = "grant"
            json["grant_seconds"] = .number(JSONNumber(seconds))
        }
        json["binding_code"] = approval.bindingCode.map { .string($0) }
        json["answered_by"] = (approval.answer?.person.name).map { .string($0) }
        return .object(json)
    }

    /// Told to the log within limits, and to the caller in one word.
    private func refused(_ context: HTTPContext, _ request: Request, _ reason: String) -> HTTPError {
        record(context, request, nil, reason)
        var headers = Self.notKept
        headers[.wwwAuthenticate] = "Bearer"
        return HTTPError(.unauthorized, headers: headers)
    }

    private static let notKept: HTTPFields = [.cacheControl: "no-store"]

    private func record(_ context: HTTPContext, _ request: Request, _ person: Person?, _ reason: String) {
        let event = AuditEvent(
            type: .requestRefuse,
            agent: AuditEvent.AgentField(
                id: person?.name, authMethod: person == nil ? .none : .idToken,
                peer: AuditEvent.PeerField(address: context.host)),
            resource: AuditEvent.ResourceField(kind: "approvals", id: request.method.rawValue),
            decision: AuditEvent.DecisionField(action: "answer", result: .deny, reason: reason),
            correlation: AuditEvent.CorrelationField(requestID: Hex.encode(randomBytes(16))),
            effect: AuditEvent.EffectField(observed: .none))
        refusals.record(event, source: context.host, kind: "approver")
    }

    private static func response(_ status: HTTPResponse.Status, _ body: JSONValue) -> Response {
        Response(
            status: status, headers: [.contentType: "application/json", .cacheControl: "no-store"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: body.serializedBytes)))
    }
}
