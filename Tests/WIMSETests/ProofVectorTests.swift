import JOSE
import Testing
import WIMSE

/// Proof tokens of the vectors, and the examples of the draft.
@Suite struct `Proof tokens of others` {
    /// A request of the vectors: the tokens of the section, and the proof.
    private func request(
        _ file: JSONObject, _ override: JSONObject, proof: String, hasContext: Bool = true
    ) throws -> WorkloadRequest {
        let section = try file.object("wpt")
        let http = try section.object("http")
        var fields = MessageFields()
        fields.append(
            "Workload-Identity-Token",
            try override["wit"]?.stringValue ?? http.text("Workload-Identity-Token"))
        for value in override["authorization"]?.stringArrayValue ?? ["WPT \(proof)"] {
            fields.append("Authorization", value)
        }
        if hasContext {
            fields.append("Txn-Token", try override["txn_token"]?.stringValue ?? section.text("txn_token"))
            let tokens = try override["other_tokens"]?.objectValue ?? section.object("other_tokens")
            for (name, value) in tokens.members { fields.append(name, try #require(value.stringValue)) }
        }
        return WorkloadRequest(method: "GET", target: "/path", fields: fields)
    }

    private func verify(
        _ name: String, _ override: JSONObject, proof: String, hasContext: Bool = true
    ) throws -> WorkloadProofError? {
        let file = try Vectors.file(name)
        let section = try file.object("wpt")
        let request = try request(file, override, proof: proof, hasContext: hasContext)
        let audience = try override["accept_aud"]?.stringValue ?? section.text("accept_aud")
        let policy = WorkloadProofPolicy(
            audiences: WorkloadAudiences([audience]), contextTokens: ["Ctx-Token"])
        let key = try UnverifiedWIT(parsing: request.fields.values("Workload-Identity-Token")[0]).confirmationKey
        let now = try #require((override["now"] ?? file["now"])?.int64Value)
        do throws(WorkloadProofError) {
            _ = try WorkloadProofToken.verify(request, key: key, policy: policy, now: now)
            return nil
        } catch {
            return error
        }
    }

    @Test(arguments: Vectors.proofFiles)
    func `the good proofs verify, with the other tokens and without`(_ name: String) throws {
        let section = try Vectors.file(name).object("wpt")
        #expect(try verify(name, JSONObject(), proof: section.text("token")) == nil)
        #expect(try verify(name, JSONObject(), proof: section.text("minimal_token"), hasContext: false) == nil)
        let lower: JSONObject = ["authorization": [.string("wpt " + (try section.text("token")))]]
        #expect(try verify(name, lower, proof: "") == nil)
    }

    @Test(arguments: Vectors.cases("wpt", "negative"))
    func `a proof with one broken rule is refused for that rule`(_ vector: VectorCase) throws {
        let proof = vector.json["wpt"]?.stringValue ?? ""
        let error = try verify(vector.file, vector.json, proof: proof)
        // The memory of identifiers is the receiver's: AuthenticationTests.
        guard vector.expected != "replay" else { return #expect(error == nil) }
        let refusal = try #require(error)
        #expect(code(refusal) == vector.expected, "\(refusal)")
    }

    @Test func `there are cases of every rule`() {
        #expect(Vectors.cases("wpt", "negative").count == 32)
    }

    private func code(_ error: WorkloadProofError) -> String {
        switch error {
        case .expired: "expired"
        case .wrongAudience: "audience_mismatch"
        case .wrongIdentityToken: "wth_mismatch"
        case .badType: "wrong_typ"
        case .token(.algorithmMismatch): "alg_mismatch"
        case .token(.invalidSignature): "bad_signature"
        case .lastsTooLong: "lifetime_too_long"
        case .missingClaim(let name): "missing_\(name)"
        case .wrongTransactionToken: "tth_mismatch"
        case .wrongContextToken: "oth_mismatch"
        case .unknownContextToken: "oth_unknown"
        case .repeatedField("Authorization"): "two_authorization_headers"
        case .otherScheme: "wrong_scheme"
        default: "\(error)"
        }
    }

    @Test func `the draft's examples verify in the form of revision 02, and not in their old header field`() throws {
        let file = try Vectors.file("wimse-draft-examples.json")
        let policy = WorkloadProofPolicy(
            audiences: WorkloadAudiences(["https://workload.example.com"]), contextTokens: ["X-Custom-Token"])
        let now: Int64 = 1_745_509_900
        let wit = try file.object("wit_creds02").text("token")
        func verify(_ fields: [(String, String)]) throws -> WorkloadProofError? {
            let request = WorkloadRequest(
                method: "GET", target: "/path", fields: MessageFields(fields.map { (name: $0.0, value: $0.1) }))
            let key = try UnverifiedWIT(parsing: fields[0].1).confirmationKey
            do throws(WorkloadProofError) {
                _ = try WorkloadProofToken.verify(request, key: key, policy: policy, now: now)
                return nil
            } catch {
                return error
            }
        }
        let derived = try file.object("wpt_02_derived").text("authorization")
        #expect(try verify([("Workload-Identity-Token", wit), ("Authorization", derived)]) == nil)
        let old = try file.object("wpt_01_legacy")
        #expect(
            try verify([
                ("Workload-Identity-Token", wit), ("Workload-Proof-Token", try old.text("token")),
            ]) == .noProof)
        #expect(
            try verify([
                ("Workload-Identity-Token", wit), ("Workload-Proof-Token", try old.text("token")),
                ("Authorization", "Bearer \(try old.text("access_token"))"),
            ]) == .otherScheme)
        let headers = try file.object("wpt_oth_pr227").object("request_headers")
        let tokens = [
            ("Workload-Identity-Token", try headers.text("Workload-Identity-Token")),
            ("Authorization", "WPT " + (try headers.text("Workload-Proof-Token"))),
        ]
        let custom = try headers.text("X-Custom-Token")
        #expect(try verify(tokens + [("X-Custom-Token", custom)]) == nil)
        #expect(try verify(tokens + [("X-Custom-Token", custom + "x")]) == .wrongContextToken("x-custom-token"))
    }
}
