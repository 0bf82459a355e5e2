package import JOSE

/// A value of `WWW-Authenticate` (RFC 9110 §11.6.1): what the client should have shown.
package struct Challenge: Sendable, Equatable {
    /// `Basic`, `Bearer` or `DPoP`.
    package let scheme: String
    /// The parameters in their order.
    package let parameters: [Parameter]

    /// A name and its value, which is written as a quoted string.
    package struct Parameter: Sendable, Equatable {
        package let name: String
        package let value: String
    }

    /// What may stand in a challenge beside the error.
    package struct Details: Sendable {
        package var realm: String?
        /// The scope that would do (RFC 6750 §3).
        package var scope: Scope?
        /// Where the resource's metadata are (RFC 9728 §5.1).
        package var resourceMetadata: String?
        /// Authentication context classes, one of which would do (RFC 9470 §3).
        package var acrValues: String?
        /// The highest age of the person's login, in seconds (RFC 9470 §3).
        package var maximumAge: Int64?

        package init(
            realm: String? = nil, scope: Scope? = nil, resourceMetadata: String? = nil, acrValues: String? = nil,
            maximumAge: Int64? = nil
        ) {
            self.realm = realm
            self.scope = scope
            self.resourceMetadata = resourceMetadata
            self.acrValues = acrValues
            self.maximumAge = maximumAge
        }
    }

    private init(scheme: String, parameters: [(String, String?)]) {
        self.scheme = scheme
        self.parameters = parameters.compactMap { name, value in value.map { Parameter(name: name, value: $0) } }
    }

    /// For a client whose `Basic` credentials were refused (RFC 6749 §5.2).
    package static func basic(realm: String) -> Challenge {
        Challenge(scheme: "Basic", parameters: [("realm", realm), ("charset", "UTF-8")])
    }

    /// For bearer tokens (RFC 6750 §3); without an error where the request showed no token at all.
    package static func bearer(_ error: OAuthError? = nil, _ details: Details = Details()) -> Challenge {
        Challenge(scheme: "Bearer", parameters: common(error, details))
    }

    /// For DPoP-bound tokens (RFC 9449 §7.1), with the algorithms that proofs may use.
    package static func dpop(
        _ error: OAuthError? = nil, _ details: Details = Details(), algorithms: [JWSAlgorithm]
    ) -> Challenge {
        let names = algorithms.map(\.rawValue).joined(separator: " ")
        return Challenge(scheme: "DPoP", parameters: common(error, details) + [("algs", names.isEmpty ? nil : names)])
    }

    /// The value of the header field. Characters that a quoted string cannot hold become `?`.
    package var headerValue: String {
        guard !parameters.isEmpty else { return scheme }
        return scheme + " " + parameters.map { "\($0.name)=\"\(Self.quoted($0.value))\"" }.joined(separator: ", ")
    }

    private static func common(_ error: OAuthError?, _ details: Details) -> [(String, String?)] {
        [
            ("realm", details.realm),
            ("error", error?.code.rawValue),
            ("error_description", error?.description),
            ("scope", details.scope?.string),
            ("acr_values", details.acrValues),
            ("max_age", details.maximumAge.map(String.init)),
            ("resource_metadata", details.resourceMetadata),
        ]
    }

    private static func quoted(_ text: String) -> String {
        var output = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": output += "\\" + String(scalar)
            default: output.unicodeScalars.append((0x20...0x7E).contains(scalar.value) ? scalar : "?")
            }
        }
        return output
    }
}
