import ControlPlaneAPI
import Crypto
import Foundation
import GRPCCore
import GRPCProtobuf
import Logging
import SPIFFE
import SwiftProtobuf
import Testing

struct MessageConversionTests {
    private static func bundle() throws -> Spire_Api_Types_Bundle {
        let root = try TestIdentity("root").certificate
        return .with { bundle in
            bundle.trustDomain = "example.org"
            bundle.x509Authorities = [
                .with {
                    $0.asn1 = Data(root); $0.tainted = true
                }
            ]
            bundle.jwtAuthorities = [
                .with {
                    $0.keyID = "one"
                    $0.publicKey = P256.Signing.PrivateKey().publicKey.derRepresentation
                    $0.expiresAt = 1_800_000_000
                }
            ]
            bundle.refreshHint = 300
            bundle.sequenceNumber = 7
        }
    }

    @Test func `a bundle survives both ways`() throws {
        let message = try Self.bundle()
        let bundle = try TrustBundle(message)
        #expect(bundle.trustDomain.name == "example.org")
        #expect(bundle.x509Authorities.first?.isTainted == true)
        #expect(bundle.jwtAuthorities.first?.expiresAt == UnixTime(seconds: 1_800_000_000))
        #expect(bundle.refreshHint == 300)
        #expect(Spire_Api_Types_Bundle(bundle) == message)
    }

    @Test func `a key ID is unique whatever the key is for`() throws {
        var message = try Self.bundle()
        let key = message.jwtAuthorities[0]
        message.witAuthorities = [
            .with {
                $0.keyID = "wit"
                $0.publicKey = key.publicKey
                $0.tainted = true
            }
        ]
        let bundle = try TrustBundle(message)
        #expect(bundle.witAuthorities.map(\.keyID) == ["wit"])
        #expect(bundle.witAuthorities.first?.isTainted == true)
        #expect(bundle.jwtAuthorities.map(\.keyID) == ["one"])
        #expect(Spire_Api_Types_Bundle(bundle) == message)
        message.witAuthorities[0].keyID = "one"
        #expect(throws: BundleMessageError.bundle(.duplicateKeyID("one"))) { try TrustBundle(message) }
    }

    @Test func `a bundle that breaks a rule is refused by it`() throws {
        let good = try Self.bundle()
        func expect(_ error: BundleMessageError, _ change: (inout Spire_Api_Types_Bundle) -> Void) {
            var message = good
            change(&message)
            #expect(throws: error) { try TrustBundle(message) }
        }
        expect(.trustDomain(.missingTrustDomain)) { $0.trustDomain = "" }
        expect(.bundle(.badNumber("refresh_hint"))) { $0.refreshHint = -1 }
        expect(.bundle(.duplicateKeyID("one"))) { $0.jwtAuthorities.append($0.jwtAuthorities[0]) }
        expect(.bundle(.badKeyID)) { $0.jwtAuthorities[0].keyID = "" }
        expect(.bundle(.tooManyKeys)) {
            $0.jwtAuthorities = Array(repeating: $0.jwtAuthorities[0], count: TrustBundle.maximumKeys + 1)
        }
        var message = good
        message.x509Authorities[0].asn1 = Data([0x30, 0])
        #expect(throws: BundleMessageError.self) { try TrustBundle(message) }
        message = good
        message.jwtAuthorities[0].publicKey = Data()
        #expect(throws: BundleMessageError.self) { try TrustBundle(message) }
    }

    @Test(arguments: ["spiffe://example.org", "spiffe://example.org/a/b"])
    func `an ID survives both ways`(_ text: String) throws {
        let id = try SPIFFEID(text)
        #expect(try SPIFFEID(id.message) == id)
    }

    @Test func `an ID that breaks a rule is refused by it`() {
        #expect(throws: SPIFFEIDError.missingTrustDomain) { try SPIFFEID(Spire_Api_Types_SPIFFEID()) }
        #expect(throws: SPIFFEIDError.pathWithoutLeadingSlash) {
            try SPIFFEID(
                .with {
                    $0.trustDomain = "example.org"; $0.path = "a"
                })
        }
    }

    @Test func `a refusal tells a node agent its reason`() throws {
        var details = Spire_Api_Types_PermissionDeniedDetails()
        details.reason = .agentBanned
        let status = GoogleRPCStatus(
            code: .permissionDenied, message: "no", details: [.any(try Google_Protobuf_Any(message: details))])
        #expect(RPCError(status).permissionDeniedReason == .agentBanned)
        #expect(RPCError(code: .permissionDenied, message: "no").permissionDeniedReason == nil)
    }
}

struct LogLevelTests {
    @Test(
        "every level of ours has the nearest of SPIRE's, and comes back as it or its neighbour",
        arguments: [
            (Logger.Level.trace, Spire_Api_Types_LogLevel.trace, Logger.Level.trace), (.debug, .debug, .debug),
            (.info, .info, .info), (.notice, .info, .info), (.warning, .warn, .warning), (.error, .error, .error),
            (.critical, .fatal, .critical),
        ])
    func levels(ours: Logger.Level, theirs: Spire_Api_Types_LogLevel, back: Logger.Level) throws {
        let state = Spire_Api_Types_Logger(current: ours, launch: .info)
        #expect(state.currentLevel == theirs)
        #expect(state.launchLevel == .info)
        #expect(try theirs.requested() == back)
    }

    @Test func `panic is the highest level, and what is no level is refused`() throws {
        #expect(try Spire_Api_Types_LogLevel.panic.requested() == .critical)
        for level in [Spire_Api_Types_LogLevel.unspecified, .UNRECOGNIZED(8), .UNRECOGNIZED(-1)] {
            let error = #expect(throws: RPCError.self) { try level.requested() }
            #expect(error?.code == .invalidArgument)
        }
    }
}
