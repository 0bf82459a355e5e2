import Crypto
import JOSE
import Testing
import WIMSE

/// What is signed here, and every rule of the profile that the vectors leave out.
@Suite struct `Signatures of messages` {
    private let key = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "")
    private let now: Int64 = 1_700_000_000
    private let policy = WorkloadProofPolicy(audiences: WorkloadAudiences(["https://service.example", "agreed"]))

    private func request(
        _ fields: [(String, String)] = [], target: String = "/transfer?x=1", body: String = ""
    ) -> WorkloadRequest {
        var all = [(name: "Workload-Identity-Token", value: "wit")] + fields.map { (name: $0.0, value: $0.1) }
        if !body.isEmpty { all.append(("Content-Digest", ContentDigest.value(Array(body.utf8)))) }
        return WorkloadRequest(method: "POST", target: target, fields: MessageFields(all), body: Array(body.utf8))
    }

    private func terms(
        _ audience: String = "agreed", nonce: String = "n1", lifetime: Int64 = 300
    ) -> WorkloadSignature.RequestTerms {
        .init(audience: audience, created: now, expires: now + lifetime, nonce: nonce)
    }

    private func signed(
        _ request: WorkloadRequest, _ terms: WorkloadSignature.RequestTerms? = nil
    ) throws -> WorkloadRequest {
        let fields = try WorkloadSignature.sign(request, terms ?? self.terms(), key: key)
        var signed = request
        signed.fields.append("Signature-Input", fields.input)
        signed.fields.append("Signature", fields.signature)
        return signed
    }

    private func refusal(_ request: WorkloadRequest, at time: Int64? = nil) -> WorkloadSignatureError? {
        do throws(WorkloadSignatureError) {
            _ = try WorkloadSignature.verify(request, key: key.verificationKey, policy: policy, now: time ?? now)
            return nil
        } catch {
            return error
        }
    }

    /// A request with any `Signature-Input`, signed over what that says; a component that nobody knows has the value `x`.
    private func raw(_ input: String, _ base: WorkloadRequest? = nil) throws -> WorkloadRequest {
        var request = base ?? request()
        guard case .innerList(let list)? = try StructuredDictionary(parsing: [input])["s"] else {
            throw WorkloadSignatureError.badInput
        }
        let text = SignatureBase.text(of: list) { item in
            guard case .string(let name) = item.value else { return "x" }
            let derived = ["@method": request.method, "@path": request.path, "@query": "?x=1"]
            return derived[name] ?? request.fields.combined(name) ?? "x"
        }
        request.fields.append("Signature-Input", input)
        request.fields.append("Signature", "s=:\(Base64.encode(try key.sign(Array(text.utf8)))):")
        return request
    }

    private let components = #""@method" "@path" "@query" "workload-identity-token""#
    private var parameters: String {
        #";created=\#(now);expires=\#(now + 60);nonce="n";tag="wimse-workload-to-workload";wimse-aud="agreed""#
    }

    @Test func `what is signed verifies, and covers everything that is there`() throws {
        let request = request(
            [("Content-Type", "text/plain"), ("Authorization", "DPoP t"), ("Txn-Token", "tt"), ("X-Other", "1")],
            body: "hello")
        let fields = try WorkloadSignature.sign(request, terms(), key: key)
        #expect(
            fields.input.hasPrefix(
                #"wimse=("@method" "@path" "@query" "content-type" "content-digest" "authorization" "txn-token" "#
                    + #""workload-identity-token");created=1700000000;expires=1700000300;nonce="n1";"#))
        #expect(refusal(try signed(request)) == nil)
        for change in [("Authorization", "DPoP other"), ("Txn-Token", "other"), ("Workload-Identity-Token", "other")] {
            var other = try signed(request)
            other.fields = MessageFields(
                [
                    "Content-Type", "Content-Digest", "Authorization", "Txn-Token", "Workload-Identity-Token",
                    "Signature-Input", "Signature",
                ].map { name in
                    (name, name == change.0 ? change.1 : other.fields.values(name)[0])
                })
            #expect(refusal(other) == .invalidSignature, "\(change)")
        }
    }

    @Test func `a token that somebody adds afterwards is not covered`() throws {
        for name in ["Authorization", "Txn-Token", "Content-Type"] {
            var request = try signed(request())
            request.fields.append(name, "added")
            #expect(refusal(request) == .missingComponent(name.lowercased()))
        }
    }

    @Test func `an origin stands for its targets, every other name for itself`() throws {
        for audience in ["https://service.example", "https://service.example/transfer", "agreed"] {
            #expect(refusal(try signed(request(), terms(audience))) == nil, "\(audience)")
        }
        for audience in [
            "https://service.example/other", "https://service.example/transfer?x=1", "agreed/transfer",
            "https://service.example.evil/transfer", "HTTPS://service.example",
        ] {
            #expect(refusal(try signed(request(), terms(audience))) == .wrongAudience, "\(audience)")
        }
    }

    @Test func `query and path are signed as they are sent`() throws {
        for (target, path, query) in [
            ("/", "/", nil), ("", "/", nil), ("/a?", "/a", ""), ("/a%2fb?q=%20", "/a%2fb", "q=%20"),
            ("/a?b?c", "/a", "b?c"),
        ] as [(String, String, String?)] {
            let request = request(target: target)
            #expect(request.path == path)
            #expect(request.query == query)
            #expect(refusal(try signed(request)) == nil)
        }
        let other = try signed(request(target: "/a%2Fb"))
        let moved = WorkloadRequest(method: "POST", target: "/a%2fb", fields: other.fields)
        #expect(refusal(moved) == .invalidSignature)
    }

    @Test func `a body needs its digest, and the digest its body`() throws {
        let bare = WorkloadRequest(
            method: "POST", target: "/", fields: MessageFields([("Workload-Identity-Token", "wit")]), body: [1])
        #expect(throws: WorkloadSignatureError.digest(.missing)) { try signed(bare) }
        let good = try signed(request(body: "hello"))
        #expect(refusal(good) == nil)
        let cut = WorkloadRequest(method: "POST", target: "/transfer?x=1", fields: good.fields)
        #expect(refusal(cut) == .digest(.mismatch))
        let added = try signed(request())
        let body = WorkloadRequest(method: "POST", target: "/transfer?x=1", fields: added.fields, body: [1])
        #expect(refusal(body) == .digest(.missing))
    }

    @Test func `times have bounds`() throws {
        let request = try signed(request())
        #expect(refusal(request, at: now - 30) == nil)
        #expect(refusal(request, at: now - 31) == .createdInFuture(at: now))
        #expect(refusal(request, at: now + 299) == nil)
        #expect(refusal(request, at: now + 300) == .expired(at: now + 300))
        #expect(refusal(try signed(self.request(), terms(lifetime: 301))) == .lastsTooLong)
        #expect(throws: WorkloadSignatureError.badTimes) { try signed(self.request(), terms(lifetime: 0)) }
        let reversed = parameters.replacing("created=\(now)", with: "created=\(now + 20)")
            .replacing("expires=\(now + 60)", with: "expires=\(now + 10)")
        #expect(refusal(try raw("s=(\(components))\(reversed)")) == .lastsTooLong)
    }

    @Test func `parameters and components are what they have to be`() throws {
        #expect(refusal(try raw("s=(\(components))\(parameters)")) == nil)
        for (old, new, name) in [
            ("created=\(now)", #"created="\#(now)""#, "created"), ("created=\(now)", "created=-1", "created"),
            ("expires=\(now + 60)", "expires=\(now + 60).0", "expires"), (#"nonce="n""#, "nonce=n", "nonce"),
            (#"nonce="n""#, #"nonce="""#, "nonce"), (#"wimse-aud="agreed""#, "wimse-aud=agreed", "wimse-aud"),
            (#"wimse-aud="agreed""#, #"wimse-aud="agreed";wimse-sign-response=1"#, "wimse-sign-response"),
            (#"nonce="n""#, #"nonce="\#(String(repeating: "n", count: 257))""#, "nonce"),
        ] {
            let changed = try raw("s=(\(components))\(parameters.replacing(old, with: new))")
            #expect(refusal(changed) == .badParameter(name), "\(new)")
        }
        #expect(
            refusal(try raw("s=(\(components))\(parameters);wimse-req-nonce=\"n\""))
                == .forbiddenParameter("wimse-req-nonce"))
        for (item, error) in [
            (#""@authority""#, .unsupportedComponent("@authority")), (#""X-Upper""#, .unsupportedComponent("X-Upper")),
            (#""@method";req"#, .unsupportedComponent("@method")), (#""""#, .unsupportedComponent("")),
            (#""x";sf"#, .unsupportedComponent(#""x";sf"#)), (#""x";req;bs"#, .unsupportedComponent(#""x";req;bs"#)),
            (#""@method""#, .repeatedComponent("@method")), (#""x-absent""#, .absentComponent("x-absent")),
            (#""@status""#, .absentComponent("@status")), ("x", .badInput),
        ] as [(String, WorkloadSignatureError)] {
            #expect(refusal(try raw("s=(\(components) \(item))\(parameters)")) == error, "\(item)")
        }
        let more = request([("X-Trace", "1"), ("x-trace", "2")])
        #expect(refusal(try raw("s=(\(components) \"x-trace\")\(parameters)", more)) == nil)
    }

    @Test func `fields that cannot be told apart are refused`() throws {
        for name in ["Workload-Identity-Token", "Authorization", "Txn-Token", "Content-Type"] {
            var request = request(name == "Workload-Identity-Token" ? [] : [(name, "one")])
            request.fields.append(name, "two")
            #expect(throws: WorkloadSignatureError.repeatedField(name)) { try signed(request) }
            let list = name == "Workload-Identity-Token" ? components : "\(components) \"\(name.lowercased())\""
            #expect(refusal(try raw("s=(\(list))\(parameters)", request)) == .repeatedField(name))
        }
        let bare = WorkloadRequest(method: "GET", target: "/", fields: MessageFields())
        #expect(throws: WorkloadSignatureError.missingIdentityToken) { try signed(bare) }
    }

    @Test func `no value breaks out of its line`() throws {
        for value in ["a\nb", "a\r", "a\u{0}b", "é", "\u{7F}"] {
            #expect(throws: WorkloadSignatureError.badValue("authorization")) {
                try signed(request([("Authorization", value)]))
            }
        }
        #expect(throws: WorkloadSignatureError.badValue("@path")) { try signed(request(target: "/\n\"@query\": ?")) }
        #expect(throws: WorkloadSignatureError.badParameter("wimse-aud")) { try signed(request(), terms("a\nb")) }
        #expect(throws: WorkloadSignatureError.badParameter("nonce")) { try signed(request(), terms(nonce: "é")) }
    }

    @Test func `a signature has its own label in both fields, and there is one only`() throws {
        var request = try signed(request())
        #expect(throws: WorkloadSignatureError.alreadySigned) { try signed(request) }
        var taken = self.request([("Signature-Input", "wimse=();tag=\"other\"")])
        #expect(throws: WorkloadSignatureError.alreadySigned) { try signed(taken) }
        taken = self.request([("Signature-Input", "proxy=();tag=\"other\""), ("Signature", "proxy=:AAAA:")])
        #expect(refusal(try signed(taken)) == nil)
        let input = request.fields.values("Signature-Input")[0]
        for signature in [[], ["other=:AAAA:"], ["wimse=AAAA"], ["wimse=::"], ["wimse=(:AAAA:)"]] {
            request = self.request()
            request.fields.append("Signature-Input", input)
            for line in signature { request.fields.append("Signature", line) }
            #expect(refusal(request) == .missingSignature, "\(signature)")
        }
        request = self.request([("Signature-Input", "wimse=1")])
        #expect(refusal(request) == .badInput)
        #expect(
            refusal(self.request([("Signature-Input", "wimse=(")]))
                == .badField("Signature-Input", .malformed(offset: 7)))
        // A tag of another type is none.
        #expect(refusal(self.request([("Signature-Input", "wimse=();tag=wimse-workload-to-workload")])) == .noSignature)
    }

    @Test func `a request's signature is none of a response, nor the other way round`() throws {
        let request = try signed(request())
        var response = WorkloadResponse(
            status: 200, fields: MessageFields([("Workload-Identity-Token", "wit")]))
        func refusalOfResponse(_ response: WorkloadResponse, to request: WorkloadRequest) -> WorkloadSignatureError? {
            do throws(WorkloadSignatureError) {
                try WorkloadSignature.verify(
                    response, to: request, nonce: "n1", key: key.verificationKey, policy: policy, now: now)
                return nil
            } catch {
                return error
            }
        }
        let fields = try WorkloadSignature.sign(
            response, to: request,
            .init(created: now, expires: now + 60, nonce: "r1", requestNonce: "n1"), key: key)
        #expect(
            fields.input.hasPrefix(
                #"wimse=("@status" "@method";req "@path";req "@query";req "workload-identity-token");"#))
        response.fields.append("Signature-Input", fields.input)
        response.fields.append("Signature", fields.signature)
        #expect(refusalOfResponse(response, to: request) == nil)
        let other = WorkloadResponse(status: 201, fields: response.fields)
        #expect(refusalOfResponse(other, to: request) == .invalidSignature)

        var back = self.request()
        back.fields.append("Signature-Input", fields.input)
        back.fields.append("Signature", fields.signature)
        #expect(refusal(back) == .forbiddenParameter("wimse-req-nonce"))
        let forth = WorkloadResponse(status: 200, fields: request.fields)
        #expect(refusalOfResponse(forth, to: request) == .forbiddenParameter("wimse-aud"))
        let bare = WorkloadResponse(
            status: 200, fields: MessageFields([("Workload-Identity-Token", "wit")]), body: [1])
        #expect(throws: WorkloadSignatureError.digest(.missing)) {
            try WorkloadSignature.sign(
                bare, to: request, .init(created: now, expires: now + 60, nonce: "r1", requestNonce: "n1"), key: key)
        }
    }
}
