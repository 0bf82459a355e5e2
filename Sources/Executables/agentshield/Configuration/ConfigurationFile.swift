import Issuance
import Yams

/// The settings of one YAML file: sections of scalar values, every key known, and the rules of `claims`.
struct ConfigurationFile {
    /// Section to key to value as text. A list becomes its items.
    private(set) var sections: [String: [String: [String]]] = [:]
    /// What the control plane adds to tokens.
    private(set) var claims = ClaimRules.none

    /// Largest configuration file that is read.
    static let maximumBytes = 1 << 20

    static let empty = ConfigurationFile()

    private init() {}

    /// - Throws: `CommandFailure` naming the file and the key.
    init(path: String) throws {
        let bytes = try LocalFile.read(path, limit: Self.maximumBytes)
        let document: Node?
        do {
            document = try Yams.compose(yaml: String(decoding: bytes, as: UTF8.self))
        } catch {
            throw CommandFailure("`\(path)` is not YAML: \(error)")
        }
        guard let document else { return }
        guard let root = document.mapping else {
            throw CommandFailure("`\(path)`: expected sections such as `server:`")
        }
        for (name, section) in root {
            let title = name.string ?? ""
            if title == "claims" {
                claims = try ClaimsSection.rules(section, path: path)
                continue
            }
            guard let known = ConfigurationKey.known[title] else {
                throw CommandFailure(
                    "`\(path)`: unknown section `\(title)` (known: \((ConfigurationKey.known.keys + ["claims"]).sorted().joined(separator: ", ")))"
                )
            }
            guard let settings = section.mapping else {
                throw CommandFailure("`\(path)`: `\(title)` holds no settings")
            }
            for (key, value) in settings {
                let key = key.string ?? ""
                guard known.contains(key) else { throw CommandFailure("`\(path)`: unknown key `\(title).\(key)`") }
                if let text = value.scalar?.string {
                    sections[title, default: [:]][key] = [text]
                } else if let items = value.sequence {
                    sections[title, default: [:]][key] = try items.map { item in
                        guard let text = item.scalar?.string else {
                            throw CommandFailure("`\(path)`: `\(title).\(key)` holds something that is not a value")
                        }
                        return text
                    }
                } else {
                    throw CommandFailure("`\(path)`: `\(title).\(key)` is neither a value nor a list")
                }
            }
        }
    }
}

/// Every key that a configuration file may have, by section. The names are SPIRE's where SPIRE has the setting.
enum ConfigurationKey {
    static let known: [String: Set<String>] = [
        "server": [
            "trust_domain", "data_dir", "bind_address", "bind_port", "https_port", "socket_path", "ca_ttl",
            "default_x509_svid_ttl", "default_jwt_svid_ttl", "default_wit_svid_ttl", "agent_ttl", "jwt_issuer",
            "public_url", "trusted_issuers", "grant_issuers", "client_at", "signal_issuers", "socket_approvers",
            "approver_issuers",
            "oidc_domains",
            "oidc_set_key_use",
            "web_certificates", "client_ca_path", "federates_with", "federation_web_roots", "require_parent",
            "dns_names",
            "x509pop_mode", "x509pop_ca_bundle_paths", "x509pop_svid_prefix",
            "upstream_cert_file_path", "upstream_key_file_path", "upstream_bundle_file_path",
            "ratelimit_attestation", "ratelimit_signing", "ratelimit_status", "ratelimit_tokens", "max_connections",
            "max_connections_per_source", "log_level", "log_format", "ready_file",
        ],
        "agent": [
            "trust_domain", "data_dir", "server_address", "server_port", "socket_path", "admin_socket_path",
            "join_token",
            "join_token_file",
            "trust_bundle_path", "insecure_bootstrap", "discover_workload_path", "discover_systemd_unit",
            "workload_size_limit", "sync_interval", "allow_unauthenticated_verifiers", "allowed_foreign_jwt_claims",
            "calls_per_second", "sds_default_svid_name", "sds_default_bundle_name", "sds_default_all_bundles_name",
            "sds_disable_spiffe_cert_validation",
            "x509pop_private_key_path", "x509pop_certificate_path", "x509pop_intermediates_path", "rebootstrap_mode",
            "rebootstrap_delay", "log_level", "log_format", "ready_file",
        ],
    ]
}
