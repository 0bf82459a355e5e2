import AgentDirectory
import Approvals
import JOSE
package import OAuth
import PolicyEngine
import SPIFFE

/// What a client learns of a transaction.
package enum TransactionOutcome: Sendable {
    /// A person is asked; the client asks again.
    case waiting(ApprovalResponse)
    case token(TokenResponse)
}

extension TokenService {
    /// Backchannel authentication (CIBA Core 1.0 §7), poll mode: a client that has no browser asks people.
    ///
    /// What needs no approval by settings gets one all the same: whoever asks here wants a person's word.
    package func backchannelAuthentication(_ call: TokenCall) async throws(TokenRefusal) -> ApprovalResponse {
        try await recorded(call) { () throws(TokenRefusal) in
            try Self.read(call, BackchannelRequest.init)
        } client: {
            $0.client
        } ask: { request, client, key, directory throws(TokenRefusal) in
            let hint: Person?
            do {
                hint = try request.loginHint.map { name throws(DirectoryError) in try Person(name) }
            } catch {
                throw TokenRefusal(.unknownUserID, "the login hint names no approver")
            }
            let target = try TokenTarget(
                scope: request.scope, resources: request.resources, audiences: request.audiences,
                details: request.authorizationDetails?.details ?? [], of: client.agent, in: directory)
            let about = try self.about(request.subjectToken, client, key, directory)
            var decision = try self.decide(target, client, key, about.subject, directory, approval: .notAsked)
            if case .permit = decision.outcome {
                decision = try self.decide(target, client, key, about.subject, directory, approval: .demanded)
            }
            let draft = try self.draft(
                decision, target, about, client, key, transactionID: Base64URL.encode(self.randomBytes(16)), directory)
            var full = draft
            full.bindingCode = request.bindingMessage
            full.hint = hint
            full.waitingTime = request.requestedExpiry
            return try await self.ask(full, client, call)
        }
    }

    /// Transaction authorization (draft-rosomakho-oauth-txn-challenge-00): the resource has said in a signed challenge what a
    /// person has to approve, and the client brings it here, and asks again until there is a token.
    package func authorizeTransaction(_ call: TokenCall) async throws(TokenRefusal) -> TransactionOutcome {
        try await recorded(call) { () throws(TokenRefusal) in
            try Self.read(call, TransactionAuthorizationRequest.init)
        } client: {
            $0.client
        } ask: { request, client, key, directory throws(TokenRefusal) in
            switch request.step {
            case .poll(let id): return .token(try await self.approvedToken(id, client, key, call, directory))
            case .begin(let text, let subjectToken):
                let challenge = try self.challenge(text, to: client, directory)
                let about = try self.about(subjectToken, client, key, directory)
                try Self.check(challenge, isAbout: about.subject)
                let target = TokenTarget(
                    resourceID: challenge.issuer, scopes: .exactly(challenge.scope.tokens),
                    details: challenge.details.details)
                let decision = try self.decide(target, client, key, about.subject, directory, approval: .demanded)
                var draft = try self.draft(
                    decision, target, about, client, key, transactionID: challenge.transactionID, directory)
                draft.demand = .resource(reason: challenge.reason)
                draft.challengeID = challenge.issuer + " " + challenge.tokenID
                return .waiting(try await self.ask(draft, client, call))
            }
        }
    }

    /// Whom an act is about, and the token that says so.
    private struct About: Sendable {
        let subject: GrantedSubject
        let basis: Approval.Basis?
    }

    /// The steps that both endpoints have in common: read, authenticate, prove the key; and a record of the refusal.
    private func recorded<Request: Sendable, Answer: Sendable>(
        _ call: TokenCall, read: () throws(TokenRefusal) -> Request,
        client authentication: (Request) -> ClientAuthentication,
        ask: (Request, AuthenticatedClient, PresentedKey?, DirectorySnapshot) async throws(TokenRefusal) -> Answer
    ) async throws(TokenRefusal) -> Answer {
        var known: AuthenticatedClient?
        do throws(TokenRefusal) {
            let request = try read()
            let client = try await authenticator.authenticate(authentication(request), call, directory())
            known = client
            let directory = try presentDirectory(of: client)
            let key = try proofs.presentedKey(call, of: client)
            return try await ask(request, client, key, directory)
        } catch {
            await record(error, known, call)
            throw error
        }
    }

    private static func read<Request>(
        _ call: TokenCall, _ parse: (FormParameters, String?) throws(ApprovalRequestError) -> Request
    ) throws(TokenRefusal) -> Request {
        do {
            return try parse(call.form, call.authorization)
        } catch {
            if error.code == .invalidClient { throw .client(error.description) }
            throw TokenRefusal(error.code, error.description)
        }
    }

    private func about(
        _ subjectToken: SecretText?, _ client: AuthenticatedClient, _ key: PresentedKey?,
        _ directory: DirectorySnapshot
    ) throws(TokenRefusal) -> About {
        guard let subjectToken else { return About(subject: grants.ownSubject(client), basis: nil) }
        let token = try verifiedToken(subjectToken, directory)
        let subject = try grants.exchanged(token, by: client, key: key, impersonates: false, directory)
        let claims = token.claims
        return About(
            subject: subject,
            basis: Approval.Basis(
                chainRoot: claims.chainRoot, tokenID: claims.tokenID, keyID: token.keyID,
                keyThumbprint: claims.confirmation?.keyThumbprint.map { Base64URL.encode($0) },
                profile: subject.profile,
                expiresAt: UnixTime(seconds: claims.expiresAt), issuedAt: UnixTime(seconds: claims.issuedAt)))
    }

    /// What the policy engine lets a person decide.
    private func draft(
        _ decision: Decision, _ target: TokenTarget, _ about: About, _ client: AuthenticatedClient,
        _ key: PresentedKey?, transactionID: String, _ directory: DirectorySnapshot
    ) throws(TokenRefusal) -> ApprovalDraft {
        guard case .needsApproval(let permission) = decision.outcome else { throw TokenRefusal(decision) }
        // Nobody is asked for what no access token can be for.
        guard directory.resource(target.resourceID).flatMap({ TokenProfile($0.profile) }) != nil,
            target.resourceID != authorities.trustDomain.idString
        else { throw TokenRefusal(.invalidTarget, "there are no access tokens for this resource") }
        let demand: Approval.Demand
        var grantSeconds: Int64?
        if permission.isSingleUse {
            demand = .settings
        } else {
            let times = permission.dormantGrantIDs.compactMap { directory.grant($0)?.activation }
            guard let seconds = times.min() else { throw .unavailable("a grant is gone") }
            demand = .grant(seconds: seconds)
            grantSeconds = seconds
        }
        do {
            let act = ApprovedAct(
                clientID: client.agent.id, spiffeID: client.agent.spiffeID, subject: about.subject.subject,
                actors: about.subject.actors, resourceID: target.resourceID,
                scope: try Scope(tokens: permission.scopes),
                details: try permission.details.isEmpty ? nil : AuthorizationDetails(permission.details),
                transactionID: transactionID, grantIDs: permission.dormantGrantIDs, grantSeconds: grantSeconds)
            return ApprovalDraft(act: act, demand: demand, basis: about.basis, confirmation: key?.confirmation)
        } catch {
            throw .unavailable("the act cannot be written: \(error)")
        }
    }

    private func ask(
        _ draft: ApprovalDraft, _ client: AuthenticatedClient, _ call: TokenCall
    ) async throws(TokenRefusal) -> ApprovalResponse {
        do {
            let (approval, handle) = try await approvals.request(
                draft, by: client.audit, requestID: call.requestID)
            return ApprovalResponse(
                handle: handle, expiresIn: approval.deadline.seconds - now().seconds,
                interval: ApprovalRegister.interval)
        } catch {
            throw TokenRefusal(error)
        }
    }

    // MARK: challenges

    /// The challenge, if a key of the agent behind the resource signed it for this service: with its X.509-SVID, or with a key
    /// that is registered for it. Nothing is fetched from anywhere that a challenge names.
    private func challenge(
        _ text: SecretText, to client: AuthenticatedClient, _ directory: DirectorySnapshot
    ) throws(TokenRefusal) -> TransactionChallenge {
        guard let names = names() else { throw .unavailable("the service has no name yet") }
        let unverified: UnverifiedTransactionChallenge
        do {
            unverified = try UnverifiedTransactionChallenge(parsing: text)
        } catch {
            throw TokenRefusal(.invalidRequest, error.description)
        }
        // A resource without a grant is as one that does not exist.
        guard
            directory.grants(ofAgent: client.agent.id).contains(where: { $0.resourceID == unverified.unverifiedIssuer }
            ),
            let resource = directory.resource(unverified.unverifiedIssuer),
            let agent = resource.agentID.flatMap({ directory.agent($0) }),
            Self.endedReason(agent, directory, now()) == nil, !revocations.revoked.revokes(agent.spiffeID)
        else { throw TokenRefusal(silently: .invalidTarget, "no resource of the client has sent the challenge") }
        var reason = "no key of the resource's agent has signed the challenge"
        for key in keys(of: agent, for: unverified) {
            do {
                return try unverified.verify(with: key, audience: names.issuer(.standard), now: now().seconds)
            } catch {
                reason = error.description
            }
        }
        throw TokenRefusal(.invalidRequest, reason)
    }

    private func keys(
        of agent: AgentIdentity, for challenge: UnverifiedTransactionChallenge
    ) -> [JWSVerificationKey] {
        if let chain = challenge.certificates {
            guard let svid = trust.verifiedSVID(chain), svid.id == agent.spiffeID,
                revocations.revoked.revocation(of: svid) == nil,
                let key = try? JWSVerificationKey(derSPKI: svid.leaf.publicKey.derSPKI, keyID: challenge.keyID)
            else { return [] }
            return [key]
        }
        return agent.clientCredentials.compactMap { credential in
            guard case .key(let jwk) = credential.proof, credential.expiresAt.map({ now() < $0 }) ?? true,
                challenge.keyID.map({ $0 == jwk.thumbprintBase64URL || $0 == jwk.kid }) ?? true
            else { return nil }
            return try? JWSVerificationKey(jwk: jwk, defaultAlgorithm: challenge.algorithm)
        }
    }

    /// What the resource says about its caller has to be what the client can prove.
    private static func check(
        _ challenge: TransactionChallenge, isAbout subject: GrantedSubject
    ) throws(TokenRefusal) {
        if let name = challenge.subject, !name.hasSameBytes(as: subject.subject) {
            throw TokenRefusal(.invalidRequest, "the challenge is about another subject; show the subject's token")
        }
        // Who names the subject and nobody who acts for it says that nobody does.
        if challenge.subject != nil || challenge.actors != nil, challenge.actors != subject.actors {
            throw TokenRefusal(.invalidRequest, "the challenge names other actors; show the subject's token")
        }
    }
}

extension TokenRefusal {
    /// A refusal of the register in the standard's words.
    init(_ error: ApprovalError) {
        switch error {
        case .unknownApprover: self.init(.unknownUserID, error.description)
        case .challengeUsed, .notStorable: self.init(.invalidRequest, error.description)
        case .nobodyMayApprove, .tooMany, .denied: self.init(.accessDenied, error.description)
        case .expired: self.init(.expiredToken, error.description)
        case .storage, .audit: self = .unavailable("\(error)")
        case .notFound, .notPending, .otherAct, .unknownPerson, .notApprover, .ownAgent, .socketRefused,
            .nothingToApprove, .spent:
            self.init(silently: .invalidGrant, error.description)
        }
    }
}
