import SPIFFE
import Testing

@testable import Attestation

@Suite struct JoinTokenAttestationTests {
    @Test("a token names the node that presents it")
    func nodeID() throws {
        let id = try JoinTokenAttestation.nodeID(
            token: "2f0a8d3e-0c5c-4a57-a5f4-2a1f3a5b6c7d", trustDomain: TrustDomain("example.org"))
        #expect(
            id.string == "spiffe://example.org/spire/agent/join_token/2f0a8d3e-0c5c-4a57-a5f4-2a1f3a5b6c7d")
    }

    @Test(
        "a token that cannot be a path segment is refused",
        arguments: [
            ("", JoinTokenAttestation.TokenError.empty), ("a/b", .badCharacter), ("a b", .badCharacter),
            ("a%2fb", .badCharacter), ("ä", .badCharacter), (".", .dotSegment),
            ("..", .dotSegment), (String(repeating: "a", count: 256), .tooLong),
        ])
    func refuses(token: String, error: JoinTokenAttestation.TokenError) throws {
        let trustDomain = try TrustDomain("example.org")
        #expect(throws: error) { try JoinTokenAttestation.nodeID(token: token, trustDomain: trustDomain) }
    }

    @Test("every byte: a token holds letters, digits, dot, underscore and hyphen")
    func bytes() {
        let allowed = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-".utf8)
        for byte in UInt8(0)...127 {
            let token = "x" + String(decoding: [byte], as: UTF8.self)
            let isAccepted = (try? JoinTokenAttestation.check(token: token)) != nil
            #expect(isAccepted == allowed.contains(byte), "\(byte)")
        }
    }
}
