import ArgumentParser
import ControlPlaneAPI
import JOSE
import SPIFFE

/// The flags that describe a federation relationship, or a file with several.
struct FederationFields: ParsableArguments {
    @Option(name: .flag("trustDomain"), help: "The other trust domain.")
    var trustDomain: String?
    @Option(name: .flag("bundleEndpointURL"), help: "Where its bundle is: an https URL.")
    var url: String?
    @Option(name: .flag("bundleEndpointProfile"), help: "https_web or https_spiffe.")
    var profile: String?
    @Option(name: .flag("endpointSpiffeID"), help: "SPIFFE ID of the endpoint (https_spiffe only).")
    var endpointID: String?
    @Option(name: .flag("trustDomainBundlePath"), help: "File with the bundle to begin with.")
    var bundlePath: String?
    @Option(name: .flag("trustDomainBundleFormat"), help: "Format of that file: pem or spiffe.")
    var bundleFormat: BundleFormat = .pem
    @Option(
        name: .flag("data"),
        help:
            "JSON file with several, as SPIRE writes them ({\"federation_relationships\": […]}); - for standard input.")
    var data: String?

    func relationships() throws -> [Spire_Api_Types_FederationRelationship] {
        if let data {
            guard trustDomain == nil, url == nil, profile == nil, endpointID == nil, bundlePath == nil else {
                throw CommandFailure("-data goes with no other flag of the relationship")
            }
            return try FederationFile.read(data)
        }
        let domain = try parseDomainFlag(trustDomain, "-trustDomain")
        guard let url else { throw CommandFailure("-bundleEndpointURL is needed") }
        guard let profile else { throw CommandFailure("-bundleEndpointProfile is needed") }
        var relationship = try Spire_Api_Types_FederationRelationship(
            domain, url: url, profile: profile, endpointID: endpointID, place: "")
        if let bundlePath {
            let bytes = try LocalFile.read(bundlePath, limit: BundleFormat.maximumBytes)
            let bundle = try bundleFormat.parse(bytes, domain, place: "-trustDomainBundlePath `\(bundlePath)`")
            relationship.trustDomainBundle = Spire_Api_Types_Bundle(bundle)
        }
        return [relationship]
    }
}

extension Spire_Api_Types_FederationRelationship {
    init(_ domain: TrustDomain, url: String, profile: String, endpointID: String?, place: String) throws {
        self.init()
        trustDomain = domain.name
        bundleEndpointURL = url
        switch profile {
        case "https_web":
            guard endpointID == nil else { throw CommandFailure("\(place)https_web has no endpoint SPIFFE ID") }
            httpsWeb = Spire_Api_Types_HTTPSWebProfile()
        case "https_spiffe":
            guard let endpointID else { throw CommandFailure("\(place)https_spiffe needs the endpoint's SPIFFE ID") }
            httpsSpiffe.endpointSpiffeID = endpointID
        default: throw CommandFailure("\(place)`\(profile)` is neither https_web nor https_spiffe")
        }
    }
}

/// `-data FILE`: relationships in SPIRE's JSON shape.
enum FederationFile {
    /// Files larger than this are refused.
    static let maximumBytes = 16 << 20

    private static let known: Set<String> = [
        "trust_domain", "bundle_endpoint_url", "bundle_endpoint_profile", "endpoint_spiffe_id", "trust_domain_bundle",
        "trust_domain_bundle_format",
    ]

    static func read(_ path: String) throws -> [Spire_Api_Types_FederationRelationship] {
        let bytes = try LocalFile.read(path, limit: maximumBytes)
        let document: JSONValue
        do throws(JSONParseError) {
            document = try JSONValue(
                parsing: bytes,
                limits: JSONLimits(maximumBytes: maximumBytes, maximumDepth: JSONLimits.default.maximumDepth))
        } catch {
            throw CommandFailure("-data `\(path)` is not JSON: \(error)")
        }
        guard let items = document.objectValue?["federation_relationships"]?.arrayValue else {
            throw CommandFailure("-data `\(path)` has no array `federation_relationships`")
        }
        return try items.enumerated().map { index, item in
            let place = "federation_relationships[\(index)]"
            guard let object = item.objectValue else { throw CommandFailure("\(place) is not an object") }
            return try relationship(object, place)
        }
    }

    private static func relationship(
        _ object: JSONObject, _ place: String
    ) throws -> Spire_Api_Types_FederationRelationship {
        if let unknown = object.members.first(where: { !known.contains($0.0) }) {
            throw CommandFailure("\(place): unknown member `\(unknown.0)`")
        }
        let domain = try parseTrustDomain(object["trust_domain"]?.stringValue ?? "", "\(place).trust_domain")
        var relationship = try Spire_Api_Types_FederationRelationship(
            domain, url: object["bundle_endpoint_url"]?.stringValue ?? "",
            profile: object["bundle_endpoint_profile"]?.stringValue ?? "",
            endpointID: object["endpoint_spiffe_id"]?.stringValue, place: "\(place): ")
        if let value = object["trust_domain_bundle"] {
            let name = object["trust_domain_bundle_format"]?.stringValue ?? BundleFormat.pem.rawValue
            guard let format = BundleFormat(rawValue: name) else {
                throw CommandFailure("\(place): `\(name)` is neither pem nor spiffe")
            }
            // PEM is a string; a bundle document stands there as it is.
            let bytes = value.stringValue.map { Array($0.utf8) } ?? value.serializedBytes
            let bundle = try format.parse(bytes, domain, place: "\(place).trust_domain_bundle")
            relationship.trustDomainBundle = Spire_Api_Types_Bundle(bundle)
        }
        return relationship
    }
}
