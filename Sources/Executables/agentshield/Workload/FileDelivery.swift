import SPIFFE
import WorkloadAPI

/// Brings what the Workload API says into a directory: a new X.509-SVID when it is sent, new tokens when half of the
/// life of one is over, and when the JWT bundles are sent: then a key may be tainted or gone, or a token revoked.
actor FileDelivery {
    private let directory: DeliveryDirectory
    private let id: SPIFFEID?
    private let audiences: [String]
    private let notice: ChangeNotice
    private var context: WorkloadX509Context?
    private var tokens: [UnverifiedJWTSVID] = []
    private var texts: [String] = []
    private var written: [DeliveredFile] = []
    // Requests for tokens, and the newest that was answered: an older answer that comes later says nothing.
    private var requests = 0
    private var answered = 0
    /// How often the directory has changed.
    private(set) var changes = 0

    /// Before a token that could not be renewed is asked for again, and the shortest wait for a new one.
    private static let retry = Duration.seconds(5)

    init(directory: DeliveryDirectory, id: SPIFFEID?, audiences: [String], notice: ChangeNotice) {
        self.directory = directory
        self.id = id
        self.audiences = audiences
        self.notice = notice
    }

    /// Writes the state of now.
    nonisolated func deliverOnce(_ client: WorkloadAPIClient) async throws {
        try await untilWithdrawn {
            for try await context in client.streamX509Contexts() {
                try await deliver(context, client)
                return
            }
            throw CommandFailure("the Workload API ended the stream without an answer")
        }
    }

    private func deliver(_ context: WorkloadX509Context, _ client: WorkloadAPIClient) async throws {
        self.context = context
        try await fetchTokens(client)
        _ = try write()
    }

    /// Follows until the connection ends or fails, or the identity is withdrawn.
    nonisolated func follow(_ client: WorkloadAPIClient) async throws {
        try await untilWithdrawn { try await followAll(client) }
    }

    /// An identity that this process has no more does not stay in the files. Nobody is told: a program that read them anew
    /// would find nothing.
    private nonisolated func untilWithdrawn(_ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch let error as WorkloadAPIError {
            if case .permissionDenied = error { await withdraw() }
            throw error
        }
    }

    private func withdraw() {
        (context, tokens, texts, written) = (nil, [], [], [])
        answered = requests
        guard directory.clear() else { return }
        Terminal.printError("agentshield: the identity is withdrawn, its files are removed")
    }

    private nonisolated func followAll(_ client: WorkloadAPIClient) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            group.addTask {
                for try await context in client.streamX509Contexts() { try await self.take(context) }
                throw CommandFailure("the Workload API ended the stream")
            }
            if !audiences.isEmpty {
                group.addTask {
                    // A node agent sends them again when it has dropped tokens that it had.
                    for try await _ in client.streamJWTBundles() { try await self.renewTokens(client) }
                    throw CommandFailure("the Workload API ended the stream of JWT bundles")
                }
                group.addTask { try await self.keepTokens(client) }
            }
            try await group.next()
        }
    }

    private func take(_ context: WorkloadX509Context) async throws {
        self.context = context
        try await writeAndTell()
    }

    /// The first ones come with the JWT bundles.
    private func keepTokens(_ client: WorkloadAPIClient) async throws {
        while true {
            try await Task.sleep(for: max(untilRenewal, Self.retry))
            if untilRenewal <= .zero { try await renewTokens(client) }
        }
    }

    /// Returns when there are tokens that were asked for after the call; the ones before stay until then.
    private func renewTokens(_ client: WorkloadAPIClient) async throws {
        while true {
            do {
                try await fetchTokens(client)
                return try await writeAndTell()
            } catch let error as WorkloadAPIError where !tokens.isEmpty {
                if case .permissionDenied = error { throw error }
                Terminal.printError("agentshield: tokens not renewed: \(error)")
            }
            try await Task.sleep(for: Self.retry)
        }
    }

    /// Until half of the life of the shortest token is over: then the node agent gives new ones.
    private var untilRenewal: Duration {
        let now = WallClock.now()
        let waits = tokens.map { token in
            let life = token.expiresAt.milliseconds(since: token.issuedAt ?? now)
            return token.expiresAt.milliseconds(since: now) - life / 2 + 1000
        }
        return .milliseconds(waits.min() ?? 0)
    }

    private func fetchTokens(_ client: WorkloadAPIClient) async throws {
        requests += 1
        let request = requests
        var fetched: [(String, UnverifiedJWTSVID)] = []
        for audience in audiences {
            guard let svid = try await client.fetchJWTSVIDs(audience: [audience], id: id).first else {
                throw CommandFailure("the Workload API sent no token for `\(audience)`")
            }
            do {
                fetched.append((svid.token, try UnverifiedJWTSVID(parsing: svid.token)))
            } catch {
                throw CommandFailure("the Workload API sent a malformed token: \(error)")
            }
        }
        guard request > answered else { return }
        answered = request
        texts = fetched.map(\.0)
        tokens = fetched.map(\.1)
    }

    private func writeAndTell() async throws {
        guard try write() else { return }
        do {
            try await notice.give()
        } catch let failure as CommandFailure {
            Terminal.printError("agentshield: \(failure.message)")
        }
    }

    /// Whether anything changed. Nothing is written before there is everything.
    private func write() throws -> Bool {
        guard let context, tokens.count == audiences.count else { return false }
        let files = try files(context)
        guard files != written else { return false }
        try directory.replace(files)
        written = files
        changes += 1
        return true
    }

    private func files(_ context: WorkloadX509Context) throws -> [DeliveredFile] {
        guard let chosen = context.svids.first(where: { id == nil || $0.id == id }) else {
            throw WorkloadAPIError.permissionDenied(
                "this process does not have the identity \(id.map { "`\($0)`" } ?? "asked for")")
        }
        var files: [DeliveredFile] = []
        do {
            let svid = try X509SVID(chainConcatenated: chosen.chain, pkcs8: chosen.privateKey)
            files.append(.init("svid.pem", svid.chainPEM))
            files.append(.init("svid.key", svid.privateKeyPEM, isSecret: true))
            let bundle = try X509Bundle(trustDomain: chosen.id.trustDomain, derConcatenated: chosen.bundle)
            files.append(.init("bundle.pem", bundle.pem))
            for (domain, der) in context.federatedBundles.sorted(by: { $0.key < $1.key }) {
                let bundle = try X509Bundle(trustDomain: domain, derConcatenated: der)
                files.append(.init("federated_bundle.\(domain.name).pem", bundle.pem))
            }
        } catch {
            throw CommandFailure("the Workload API sent a malformed identity: \(error)")
        }
        for (number, text) in texts.enumerated() {
            // No line end: programs send the whole file.
            files.append(.init(number == 0 ? "jwt_svid.token" : "jwt_svid.\(number).token", text, isSecret: true))
        }
        return files
    }
}

extension X509Bundle {
    fileprivate var pem: String {
        authorities.map { PEM.encode(label: PEM.certificateLabel, der: $0.der) }.joined()
    }
}
