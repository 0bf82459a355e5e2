import ControlPlaneAPI
import JOSE
import SPIFFE

/// A text as a terminal may show it: whatever moves the cursor, reorders letters or breaks lines is written out.
func printable(_ text: String) -> String {
    var output = ""
    for scalar in text.unicodeScalars {
        if scalar.isShownAsItIs {
            output.unicodeScalars.append(scalar)
        } else {
            output += "\\u{" + String(scalar.value, radix: 16) + "}"
        }
    }
    return output
}

/// Lines of `Label : value`, the colon in column 25, as scripts written for SPIRE expect them.
struct PrettyLines {
    private(set) var text = ""

    mutating func line(_ label: String, _ value: some CustomStringConvertible) {
        let gap = String(repeating: " ", count: max(1, 24 - label.utf8.count))
        text += label + gap + ": \(printable(value.description))\n"
    }

    mutating func blank() {
        text += "\n"
    }
}

extension Spire_Api_Types_Entry {
    var pretty: String {
        var lines = PrettyLines()
        lines.line("Entry ID", id)
        lines.line("SPIFFE ID", spiffeID.uri)
        lines.line("Parent ID", parentID.uri)
        lines.line("Revision", revisionNumber)
        if downstream { lines.line("Downstream", "true") }
        lines.line("X509-SVID TTL", x509SvidTtl == 0 ? "default" : "\(x509SvidTtl)")
        lines.line("JWT-SVID TTL", jwtSvidTtl == 0 ? "default" : "\(jwtSvidTtl)")
        if expiresAt != 0 { lines.line("Expiration time", UnixTime(seconds: expiresAt).rfc3339) }
        for selector in selectors { lines.line("Selector", "\(selector.type):\(selector.value)") }
        for domain in federatesWith { lines.line("FederatesWith", domain) }
        for name in dnsNames { lines.line("DNS name", name) }
        if admin { lines.line("Admin", "true") }
        if storeSvid { lines.line("StoreSvid", "true") }
        if !hint.isEmpty { lines.line("Hint", hint) }
        if additionalAttributes.disableX509SvidPrefetch { lines.line("X509-SVID prefetch", "disabled") }
        if additionalAttributes.jwtSvidIncludeJti { lines.line("JWT-SVID jti", "included") }
        return lines.text
    }
}

extension Spire_Api_Types_Agent {
    var pretty: String {
        var lines = PrettyLines()
        lines.line("SPIFFE ID", id.uri)
        lines.line("Attestation type", attestationType)
        lines.line("Expiration time", UnixTime(seconds: x509SvidExpiresAt).rfc3339)
        if banned {
            lines.line("Banned", "true")
        } else {
            lines.line("Serial number", x509SvidSerialNumber)
        }
        lines.line("Can re-attest", canReattest)
        if !agentVersion.isEmpty { lines.line("Agent version", agentVersion) }
        for selector in selectors { lines.line("Selector", "\(selector.type):\(selector.value)") }
        return lines.text
    }
}

/// `1 entry`, `2 entries`.
func counted(_ count: Int, _ one: String, _ many: String) -> String {
    "\(count) \(count == 1 ? one : many)"
}
