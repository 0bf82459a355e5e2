/// The name of a claim that an operator may give a meaning of their own.
///
/// What is refused, and why, is in `docs/standards/spiffe.md`: names by which a verifier would learn something else than
/// an attribute that its own operator agreed on with ours.
package struct ClaimName: Sendable, Hashable {
    package let text: String

    package init(_ text: String) throws(ClaimProblem) {
        guard !text.isEmpty else { throw .emptyName }
        guard text.utf8.count <= ClaimLimits.nameBytes else { throw .nameTooLong }
        // No white space, so that a list of names is one text; ASCII, so that no name looks like another.
        guard text.utf8.allSatisfy({ (0x21...0x7e).contains($0) && $0 != 0x22 && $0 != 0x5c }) else {
            throw .badName
        }
        // Readers that ignore case (Go's encoding/json) take `Sub` for `sub`.
        let folded = text.lowercased()
        guard !Self.reserved.contains(folded), !Self.reservedPrefixes.contains(where: folded.hasPrefix) else {
            throw .reserved
        }
        self.text = text
    }

    private static let reserved: Set<String> = [
        // RFC 7519 §4.1: whom the token is about and for, by whom, and when it holds.
        "iss", "sub", "aud", "exp", "nbf", "iat", "jti",
        // RFC 7800: the key that a WIT-SVID is bound to. RFC 9449 and WIMSE: what is in a proof.
        "cnf", "htm", "htu", "htn", "ath", "wth", "tth", "oth",
        // RFC 8693 §4, RFC 9068 §2.2, RFC 9396: who acts for whom, and what was granted.
        "act", "may_act", "client_id", "scope", "scp", "authorization_details",
        // OpenID Connect Core §2, §5.1 and the logout specifications: for which client and which login, and by whom.
        "azp", "nonce", "auth_time", "acr", "amr", "at_hash", "c_hash", "s_hash", "sid", "sub_jwk",
        // RFC 8417, RFC 9493: an event about somebody, and other names of a subject.
        "events", "txn", "toe", "sub_id", "sub_ids",
        // Names of persons by which relying parties pick an account (OpenID Connect Core §5.1).
        "email", "email_verified", "phone_number", "phone_number_verified", "preferred_username", "upn", "unique_name",
        // Microsoft Entra: tenant, object and application that a token speaks for.
        "tid", "oid", "appid", "appidacr", "azpacr", "idtyp", "idp", "puid", "wids", "ver",
        // Transaction tokens: the context and the requester of a chain of calls.
        "tctx", "rctx", "purp", "req_wl", "azd",
        // Token status lists, SD-JWT, credentials, OpenID Federation: where to look for a token's own state and keys.
        "status", "vct", "vc", "vp", "...", "crit", "jwks", "jwks_uri", "trust_chain", "trust_marks", "metadata",
    ]

    /// SPIFFE's, ours and those of SD-JWT, whatever follows.
    private static let reservedPrefixes = ["spiffe", "agentshield", "_sd"]
}
