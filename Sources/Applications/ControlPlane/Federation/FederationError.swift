import BundleEndpointClient
import Registry
import SPIFFE

/// Why a federated bundle was not refreshed.
enum FederationError: Error, CustomStringConvertible {
    case noRelationship
    /// The endpoint proves itself by an SVID of this trust domain, whose bundle is not here yet.
    case noBundle(TrustDomain)
    case endpoint(BundleEndpointError)
    case malformed(BundleError)
    case refused(FederatedBundleRefusal)
    case storage(RegistryError)

    var description: String {
        switch self {
        case .noRelationship: "there is no federation relationship with the trust domain"
        case .noBundle(let domain):
            "there is no bundle of `\(domain.name)` to verify the endpoint with: give one by `bundle set`"
        case .endpoint(let error): error.description
        case .malformed(let error): "the document is no bundle: \(error)"
        case .refused(let error): error.description
        case .storage(let error): error.description
        }
    }

    var code: String {
        switch self {
        case .noRelationship: "no_relationship"
        case .noBundle: "no_bundle"
        case .endpoint(let error): error.code
        case .malformed: "malformed_bundle"
        case .refused(let error): error.code
        case .storage(let error): error.code
        }
    }

    /// Whether somebody offered something that must not be believed, as opposed to something that broke.
    var isRefusal: Bool {
        switch self {
        case .endpoint(.unverified), .endpoint(.tooLarge), .malformed, .refused: true
        case .noRelationship, .noBundle, .endpoint, .storage: false
        }
    }
}
