import SwiftProtobuf

/// How an Envoy is told to verify its peers.
enum EnvoyValidation: Equatable {
    /// By its validator `envoy.tls.cert_validator.spiffe`: each trust domain by its own bundle.
    case spiffe
    /// By a list of authorities; which SPIFFE IDs are good has to be said in Envoy's own configuration.
    case authorities
}

extension EnvoyValidation {
    /// The key of a node's metadata that turns the SPIFFE validator off.
    static let switchName = "disable_spiffe_cert_validation"

    /// What an Envoy understands and wants. The validator exists since Envoy 1.18.
    init(_ node: Envoy_Config_Core_V3_Node, _ names: SecretNames) {
        let version = node.userAgentBuildVersion.version
        let isKnown = (version.majorNumber, version.minorNumber) >= (1, 18)
        guard isKnown, !names.disablesSPIFFEValidation, !Self.isSwitchedOff(node) else {
            self = .authorities
            return
        }
        self = .spiffe
    }

    private static func isSwitchedOff(_ node: Envoy_Config_Core_V3_Node) -> Bool {
        switch node.metadata.fields[switchName]?.kind {
        case .boolValue(let isOff): isOff
        case .stringValue(let text): ["true", "t", "1"].contains(text.lowercased())
        default: false
        }
    }
}
