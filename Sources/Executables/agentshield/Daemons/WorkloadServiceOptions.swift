import ArgumentParser
import NodeAgent
import SecretDiscovery

/// How the node agent knows and serves its workloads; the same for `agent run` and `up`.
struct WorkloadServiceOptions: ParsableArguments {
    @Flag(name: .flag("discoverWorkloadPath"), help: "Make unix:path and unix:sha256 selectors.")
    var discoverWorkloadPath = false
    @Flag(name: .flag("discoverSystemdUnit"), help: "Make systemd:id and systemd:fragment_path selectors.")
    var discoverSystemdUnit = false
    @Option(
        name: .flag("workloadSizeLimit"), help: "Largest executable to hash, in bytes (0: no limit, -1: never hash).")
    var workloadSizeLimit: Int64?
    @Flag(
        name: .flag("allowUnauthenticatedVerifiers"), help: "Give the trust bundles to processes without an identity.")
    var allowUnauthenticatedVerifiers = false
    @Option(
        name: .flag("allowedForeignJWTClaims"),
        help: "A claim that JWT-SVIDs of other trust domains may show; repeat for more.")
    var allowedForeignJWTClaims: [String] = []
    @Option(
        name: .flag("callsPerSecond"),
        help: "Calls per second of processes with the same selectors (default: no limit).")
    var callsPerSecond: Int64?
    @Option(name: .flag("sdsDefaultSVIDName"), help: "Envoy's name for the default identity (default: default).")
    var sdsDefaultSVIDName: String?
    @Option(
        name: .flag("sdsDefaultBundleName"), help: "Envoy's name for the own trust domain's bundle (default: ROOTCA).")
    var sdsDefaultBundleName: String?
    @Option(name: .flag("sdsDefaultAllBundlesName"), help: "Envoy's name for all bundles (default: ALL).")
    var sdsDefaultAllBundlesName: String?
    @Flag(
        name: .flag("sdsDisableSPIFFECertValidation"),
        help: "Give Envoys plain authorities instead of their SPIFFE validator's configuration.")
    var sdsDisableSPIFFECertValidation = false

    /// Most calls per second that can be configured.
    private static let mostCallsPerSecond: Int64 = 1_000_000

    /// What these flags and the file's `agent` section change in a node agent's configuration.
    func changes(_ settings: Settings) throws -> @Sendable (inout NodeAgentConfiguration) -> Void {
        let allowsVerifiers = try settings.flag("allow_unauthenticated_verifiers", flag: allowUnauthenticatedVerifiers)
        let claims = Set(settings.list("allowed_foreign_jwt_claims", flag: allowedForeignJWTClaims))
        let limit = try settings.integer("calls_per_second", flag: callsPerSecond) ?? 0
        guard (0...Self.mostCallsPerSecond).contains(limit) else {
            throw CommandFailure(
                "\(settings.name("calls_per_second")) must be 0 (no limit) to \(Self.mostCallsPerSecond)")
        }
        let names = try secretNames(settings)
        let discoversPath = try settings.flag("discover_workload_path", flag: discoverWorkloadPath)
        let discoversUnit = try settings.flag("discover_systemd_unit", flag: discoverSystemdUnit)
        let sizeLimit = try settings.integer("workload_size_limit", flag: workloadSizeLimit) ?? 0
        return { configuration in
            configuration.discoverWorkloadPath = discoversPath
            configuration.discoverSystemdUnit = discoversUnit
            configuration.workloadSizeLimit = sizeLimit
            configuration.allowUnauthenticatedVerifiers = allowsVerifiers
            configuration.allowedForeignJWTClaims = claims
            configuration.callsPerSecond = limit == 0 ? nil : Int(limit)
            configuration.secretNames = names
        }
    }

    private func secretNames(_ settings: Settings) throws -> SecretNames {
        var names = SecretNames()
        names.identity = try settings.text("sds_default_svid_name", flag: sdsDefaultSVIDName) ?? names.identity
        names.bundle = try settings.text("sds_default_bundle_name", flag: sdsDefaultBundleName) ?? names.bundle
        names.allBundles =
            try settings.text("sds_default_all_bundles_name", flag: sdsDefaultAllBundlesName) ?? names.allBundles
        names.disablesSPIFFEValidation = try settings.flag(
            "sds_disable_spiffe_cert_validation", flag: sdsDisableSPIFFECertValidation)
        guard Set([names.identity, names.bundle, names.allBundles]).count == 3 else {
            throw CommandFailure("\(settings.name("sds_default_svid_name")) and the names of bundles must differ")
        }
        return names
    }
}
