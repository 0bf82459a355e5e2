/// The names of secrets that are no SPIFFE IDs, and how peers are verified; SPIRE's defaults.
package struct SecretNames: Sendable, Equatable {
    /// The caller's default identity.
    package var identity = "default"
    /// The bundle of the node's own trust domain.
    package var bundle = "ROOTCA"
    /// All bundles at once.
    package var allBundles = "ALL"
    /// Whether every Envoy gets plain authorities instead of the configuration of its SPIFFE validator.
    package var disablesSPIFFEValidation = false

    package init() {}
}
