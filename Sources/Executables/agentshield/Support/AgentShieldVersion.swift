/// The version of this build.
enum AgentShieldVersion {
    static let current = "0.1.0"
}
