import ArgumentParser
import ControlPlaneAPI
import SPIFFE

/// How a bundle is written in a file and on the terminal.
enum BundleFormat: String, ExpressibleByArgument, CaseIterable {
    /// X.509 authorities.
    case pem
    /// The whole bundle document.
    case spiffe

    /// Reads a bundle of a trust domain that the caller names.
    func parse(_ bytes: [UInt8], _ domain: TrustDomain, place: String) throws -> TrustBundle {
        do throws(BundleError) {
            switch self {
            case .pem: return try TrustBundle(trustDomain: domain, pem: String(decoding: bytes, as: UTF8.self))
            case .spiffe: return try TrustBundle(parsingSPIFFEJSON: bytes, trustDomain: domain)
            }
        } catch {
            throw CommandFailure("\(place): \(error)")
        }
    }

    func text(_ bundle: TrustBundle) -> String {
        switch self {
        case .pem: bundle.pem
        case .spiffe: String(decoding: bundle.spiffeJSON(), as: UTF8.self) + "\n"
        }
    }

    /// Largest bundle that is read, in bytes.
    static let maximumBytes = 1 << 20
}

extension Spire_Api_Types_Bundle {
    /// The bundle of an answer.
    func checked() throws -> TrustBundle {
        do {
            return try TrustBundle(self)
        } catch {
            throw CommandFailure("the control plane sent a malformed bundle: \(error)")
        }
    }
}

/// A trust domain given by `-id`, as its SPIFFE ID or its name.
func parseDomainFlag(_ text: String?, _ flag: String) throws -> TrustDomain {
    guard let text else { throw CommandFailure("\(flag) is needed") }
    return try parseTrustDomain(text, flag)
}
