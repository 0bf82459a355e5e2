import Crypto
import JOSE
import Testing
import WIMSE

/// Signed requests and responses of the vectors, and the examples of the drafts.
@Suite struct `Signatures of others` {
    private func policy(_ audience: String) -> WorkloadProofPolicy {
        WorkloadProofPolicy(audiences: WorkloadAudiences([audience]))
    }

    /// The request of a case with the signature fields that the case, or else the section, gives it.
    private func request(_ section: JSONObject, _ override: JSONObject = JSONObject()) throws -> WorkloadRequest {
        var request = try (override["request"]?.objectValue ?? section.object("request")).request()
        for (field, member) in [("Signature-Input", "signature_input"), ("Signature", "signature")] {
            if let value = override[member]?.stringValue ?? section[member]?.stringValue {
                request.fields.append(field, value)
            }
        }
        return request
    }

    private func verify(
        _ name: String, _ override: JSONObject = JSONObject()
    ) throws -> Result<VerifiedRequestSignature, WorkloadSignatureError> {
        let file = try Vectors.file(name)
        let section = try file.object("httpsig_request")
        let request = try request(section, override)
        let key = try file.object("keys").key("client_pop")
        let audience = try override["accept_aud"]?.stringValue ?? section.text("accept_aud")
        let now = try #require((override["now"] ?? file["now"])?.int64Value)
        do throws(WorkloadSignatureError) {
            return .success(try WorkloadSignature.verify(request, key: key, policy: policy(audience), now: now))
        } catch {
            return .failure(error)
        }
    }

    @Test(arguments: Vectors.proofFiles)
    func `the signed request verifies, and its base is the one of the vectors`(_ name: String) throws {
        let section = try Vectors.file(name).object("httpsig_request")
        let verified = try verify(name).get()
        #expect(verified.nonce == "abcd1111")
        #expect(verified.asksForSignedResponse)
        #expect(verified.expiresAt == 1_700_000_300)
        let request = try request(section)
        let input = try StructuredDictionary(parsing: request.fields.values("Signature-Input"))
        #expect(try input.serialized == section.text("signature_input"))
        guard case .innerList(let list)? = input["wimse"] else { throw WorkloadSignatureError.badInput }
        let base = SignatureBase.text(of: list) { item in
            guard case .string(let name) = item.value else { return "" }
            let derived = ["@method": request.method, "@path": request.path, "@query": "?"]
            return derived[name] ?? request.fields.combined(name) ?? ""
        }
        #expect(try base == section.text("signature_base"))
    }

    @Test(arguments: Vectors.cases("httpsig_request", "also_accept"))
    func `what intermediaries may add or change is taken`(_ vector: VectorCase) throws {
        #expect(throws: Never.self) { try verify(vector.file, vector.json).get() }
    }

    @Test(arguments: Vectors.cases("httpsig_request", "negative"))
    func `a request with one broken rule is refused for that rule`(_ vector: VectorCase) throws {
        let result = try verify(vector.file, vector.json)
        // The memory of nonces is the receiver's: AuthenticationTests.
        if vector.expected == "replay" {
            #expect(throws: Never.self) { try result.get() }
            return
        }
        let error = try #require(result.refusal)
        #expect(code(error) == vector.expected, "\(error)")
    }

    @Test func `there are cases of both kinds`() {
        #expect(Vectors.cases("httpsig_request", "negative").count == 40)
        #expect(Vectors.cases("httpsig_request", "also_accept").count >= 6)
        #expect(Vectors.cases("httpsig_response", "negative").count == 12)
    }

    @Test(arguments: Vectors.proofFiles)
    func `the signed response verifies`(_ name: String) throws {
        #expect(try response(name, JSONObject()) == nil)
    }

    @Test(arguments: Vectors.cases("httpsig_response", "negative"))
    func `a response with one broken rule is refused for that rule`(_ vector: VectorCase) throws {
        let error = try #require(try response(vector.file, vector.json))
        let code = error == .noSignature ? "unsigned_response" : code(error)
        #expect(code == vector.expected, "\(error)")
    }

    private func response(_ name: String, _ override: JSONObject) throws -> WorkloadSignatureError? {
        let file = try Vectors.file(name)
        let section = try file.object("httpsig_response")
        var response = WorkloadResponse(
            status: Int(try #require(section["status"]?.int64Value)),
            fields: MessageFields(try section.fields("headers")), body: Array(try section.text("body").utf8))
        for (field, member) in [("Signature-Input", "signature_input"), ("Signature", "signature")] {
            // Null stands for none.
            if let value = (override[member] ?? section[member])?.stringValue { response.fields.append(field, value) }
        }
        let request = try override["request"]?.objectValue?.request() ?? request(file.object("httpsig_request"))
        let key = try file.object("keys").key("server_pop")
        let nonce = try section.text("expected_req_nonce")
        let now = try #require(file["now"]?.int64Value)
        do throws(WorkloadSignatureError) {
            try WorkloadSignature.verify(
                response, to: request, nonce: nonce, key: key, policy: policy("nobody"), now: now)
            return nil
        } catch {
            return error
        }
    }

    private func code(_ error: WorkloadSignatureError) -> String {
        switch error {
        case .forbiddenParameter: "forbidden_parameter"
        case .missingParameter: "missing_parameter"
        case .noSignature: "no_wimse_signature"
        case .severalSignatures: "two_wimse_signatures"
        case .wrongAudience: "audience_mismatch"
        case .digest(.mismatch): "content_digest_mismatch"
        case .invalidSignature: "bad_signature"
        case .expired: "expired"
        case .createdInFuture: "created_in_future"
        case .missingComponent: "missing_component"
        case .legacyComponent: "legacy_component"
        case .wrongRequestNonce: "req_nonce_mismatch"
        default: "\(error)"
        }
    }

    // MARK: - Examples of documents

    @Test func `the draft's example in the form of revision 07 verifies, in that of 06 not`() throws {
        let file = try Vectors.file("wimse-draft-examples.json")
        let derived = try file.object("httpsig_07_request_derived")
        let token = try derived.text("workload_identity_token")
        func refusal(_ input: String, _ signature: String) throws -> WorkloadSignatureError? {
            let request = WorkloadRequest(
                method: "GET", target: "/gimme-ice-cream?flavor=vanilla",
                fields: MessageFields([
                    ("Workload-Identity-Token", token), ("signature-input", input), ("SIGNATURE", signature),
                ]))
            let key = try UnverifiedWIT(parsing: token).confirmationKey
            do throws(WorkloadSignatureError) {
                _ = try WorkloadSignature.verify(
                    request, key: key, policy: policy("https://svcb.example.com"), now: 1_785_155_800)
                return nil
            } catch {
                return error
            }
        }
        #expect(try refusal(derived.text("signature_input"), derived.text("signature")) == nil)
        let lines = try file.object("httpsig_06_request_legacy").text("raw").split(separator: "\n")
        func old(_ name: String) throws -> String {
            let prefix = name + ": "
            return String(try #require(lines.first { $0.hasPrefix(prefix) }).dropFirst(prefix.count))
        }
        #expect(try refusal(old("Signature-Input"), old("Signature")) == .legacyComponent)
    }

    @Test func `the signature base of others is built as RFC 9421 has it`() throws {
        let file = try Vectors.file("web-bot-auth.json")
        let headers = try file.object("headers")
        let input = try StructuredDictionary(parsing: [headers.text("Signature-Input")])
        #expect(try input.serialized == headers.text("Signature-Input"))
        guard case .innerList(let list)? = input["sig2"],
            case .item(let signature)? = try StructuredDictionary(parsing: [headers.text("Signature")])["sig2"],
            case .bytes(let bytes) = signature.value
        else { throw WorkloadSignatureError.badInput }
        let values = [
            "\"@authority\"": try file.text("authority"),
            "\"signature-agent\";key=\"agent2\"": "\"https://signature-agent.test\"",
        ]
        let base = SignatureBase.text(of: list) { values[$0.serialized] ?? "" }
        #expect(try base == file.text("signature_base"))
        #expect(try file.key("public_key").isValid(signature: bytes, over: Array(base.utf8)))
        // Beside a request of the profile it is somebody else's.
        let fields = MessageFields(
            try ["Signature-Input", "Signature"].map { ($0, try headers.text($0)) })
        #expect(try !WorkloadSignature.isPresent(in: fields))
    }

    @Test func `the Ed25519 example of RFC 9421 verifies over the base that is built`() throws {
        // RFC 9421 appendix B.2.6, key B.1.4.
        let key = try JWSVerificationKey(
            jwk: JWK(json: ["kty": "OKP", "crv": "Ed25519", "x": "JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs"]))
        let text =
            "sig-b26=(\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \"content-length\")"
            + ";created=1618884473;keyid=\"test-key-ed25519\""
        guard case .innerList(let list)? = try StructuredDictionary(parsing: [text])["sig-b26"] else {
            throw WorkloadSignatureError.badInput
        }
        let values = [
            "date": "Tue, 20 Apr 2021 02:07:55 GMT", "@method": "POST", "@path": "/foo", "@authority": "example.com",
            "content-type": "application/json", "content-length": "18",
        ]
        let base = SignatureBase.text(of: list) { item in
            guard case .string(let name) = item.value else { return "" }
            return values[name] ?? ""
        }
        let signature = try Base64.decode(
            "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==")
        #expect(key.isValid(signature: signature, over: Array(base.utf8)))
    }
}

extension Result {
    /// The failure, if it is one.
    var refusal: Failure? {
        if case .failure(let error) = self { error } else { nil }
    }
}
