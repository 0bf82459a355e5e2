import Foundation
import JOSE
import SPIFFE
import Testing

/// Certificates of workloads as draft-ietf-wimse-workload-creds-02 and draft-ietf-wimse-mutual-tls-02 have them: ours are
/// X.509-SVIDs, which are among them.
@Suite struct `Workload identity certificates` {
    private let file: JSONObject
    private let bundles: [TrustDomain: X509Bundle]

    init() throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let data = try Data(contentsOf: folder.appendingPathComponent("Vectors/wic.json"))
        file = try #require(try JSONValue(parsing: Array(data)).objectValue)
        var bundles: [TrustDomain: X509Bundle] = [:]
        for (name, der) in try #require(file["trust"]?.objectValue).members {
            let trustDomain = try TrustDomain(name)
            bundles[trustDomain] = try X509Bundle(
                trustDomain: trustDomain, derConcatenated: Base64.decode(try #require(der.stringValue)))
        }
        self.bundles = bundles
    }

    /// What the verifier says of a case: a code of the vectors, or the ID.
    private func outcome(_ vector: JSONObject) throws -> String {
        let der = try Base64.decode(try #require(vector["der"]?.stringValue))
        let now = try #require((vector["now"] ?? file["now"])?.int64Value)
        do throws(X509VerificationError) {
            return try X509SVIDVerifier.verify(
                chain: [der], bundle: { bundles[$0] }, at: UnixTime(seconds: now)
            ).id.string
        } catch {
            return switch error {
            case .expired: "expired"
            case .notYetValid: "not_yet_valid"
            case .uriCount(0): "no_identifier"
            case .uriCount(2): "two_uri_sans"
            case .leafIsCA: "ca_leaf"
            case .leafMaySign: "key_usage"
            case .noAuthority: "wrong_trust_domain"
            case .badSPIFFEID: "bad_identifier"
            case .rootPath: "no_path"
            default: "\(error)"
            }
        }
    }

    @Test func `the good ones verify as the identifier that is expected`() throws {
        let expected = try #require(file["expected_identifier"]?.stringValue)
        let good = try #require(file["accept"]?.arrayValue).compactMap(\.objectValue)
        #expect(good.count == 2)
        for vector in good { #expect(try outcome(vector) == expected) }
    }

    @Test func `each of the others is refused for the rule that it breaks`() throws {
        let bad = try #require(file["negative"]?.arrayValue).compactMap(\.objectValue)
        #expect(bad.count == 10)
        for vector in bad {
            let expected = try #require(vector["expect"]?.stringValue)
            // A certificate of somebody else: whom one expects is for the caller to compare, the whole name.
            let other = "spiffe://example.org/workload/ledger"
            #expect(try outcome(vector) == (expected == "unexpected_identifier" ? other : expected))
        }
    }
}
