import SPIFFE
import SwiftProtobuf
import WorkloadAPI

typealias DiscoveryRequest = Envoy_Service_Discovery_V3_DiscoveryRequest
typealias DiscoveryResponse = Envoy_Service_Discovery_V3_DiscoveryResponse
typealias Secret = Envoy_Extensions_TransportSockets_Tls_V3_Secret

/// One secret in the form that a response carries it in.
struct SecretResource: Equatable {
    /// The type of all of them.
    static let typeURL = "type.googleapis.com/\(Secret.protoMessageName)"

    let bytes: [UInt8]

    init(_ secret: Secret) throws {
        bytes = try secret.serializedBytes()
    }
}

extension Secret {
    /// A certificate chain and its key, in PEM.
    init(_ identity: WorkloadX509SVID, name: String) throws(X509SVIDError) {
        let svid = try X509SVID(chainConcatenated: identity.chain, pkcs8: identity.privateKey)
        self.init()
        self.name = name
        tlsCertificate = .with {
            $0.certificateChain = .inline(svid.chainPEM)
            $0.privateKey = .inline(svid.privateKeyPEM)
        }
    }

    /// What verifies the peers of one trust domain.
    init(_ bundle: X509Bundle, name: String, validation: EnvoyValidation) throws {
        self.init()
        self.name = name
        switch validation {
        case .spiffe: validationContext = try .spiffe([bundle])
        case .authorities: validationContext = .with { $0.trustedCa = .inline(bundle.pem) }
        }
    }

    /// What verifies the peers of several trust domains, each by its own bundle.
    init(_ bundles: some Collection<X509Bundle>, name: String) throws {
        self.init()
        self.name = name
        validationContext = try .spiffe(bundles.sorted { $0.trustDomain < $1.trustDomain })
    }
}

extension Envoy_Extensions_TransportSockets_Tls_V3_CertificateValidationContext {
    /// The name that Envoy knows its SPIFFE validator by.
    static let validatorName = "envoy.tls.cert_validator.spiffe"

    fileprivate static func spiffe(_ bundles: [X509Bundle]) throws -> Self {
        let configuration = Envoy_Extensions_TransportSockets_Tls_V3_SPIFFECertValidatorConfig.with {
            // Envoy refuses a trust domain without authorities, and with it all others.
            $0.trustDomains = bundles.filter { !$0.authorities.isEmpty }.map { bundle in
                .with {
                    $0.name = bundle.trustDomain.name
                    $0.trustBundle = .inline(bundle.pem)
                }
            }
        }
        return try .with {
            $0.customValidatorConfig = try .with {
                $0.name = validatorName
                $0.typedConfig = try Google_Protobuf_Any(message: configuration)
            }
        }
    }
}

extension Envoy_Config_Core_V3_DataSource {
    fileprivate static func inline(_ text: String) -> Self {
        .with { $0.inlineBytes = .init(text.utf8) }
    }
}

extension X509Bundle {
    fileprivate var pem: String {
        authorities.map { PEM.encode(label: PEM.certificateLabel, der: $0.der) }.joined()
    }
}
