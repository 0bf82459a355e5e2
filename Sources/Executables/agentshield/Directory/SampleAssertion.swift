import JOSE
import OAuth
import SPIFFE

/// A token that somebody tries, taken apart as far as it goes. Nothing in it is believed.
struct SampleAssertion {
    /// The header as it is, whether or not anybody would accept it.
    let header: JSONObject
    let claims: JSONObject
    private let text: String

    /// Longest token that is read, in bytes.
    static let maximumLength = 64 << 10

    /// Who has signed a token, as far as this trust domain can tell.
    enum Signature {
        /// Another issuer, whose keys are not here.
        case elsewhere
        case valid
        case invalid(String)
    }

    init(_ text: String) throws {
        // The token endpoint takes white space away too: stock clients send files as they are.
        self.text = String(text.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
        let parts = self.text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3 else {
            throw CommandFailure("-assertion: a token has three parts with dots between them, this has \(parts.count)")
        }
        header = try Self.object(parts[0], "header")
        claims = try Self.object(parts[1], "payload")
    }

    private static func object(_ part: Substring.UTF8View, _ name: String) throws -> JSONObject {
        guard let bytes = try? Base64URL.decode(part) else {
            throw CommandFailure("-assertion: the token's \(name) is not base64url")
        }
        let value: JSONValue
        do {
            value = try JSONValue(parsing: bytes)
        } catch {
            throw CommandFailure("-assertion: the token's \(name): \(error)")
        }
        guard let object = value.objectValue else {
            throw CommandFailure("-assertion: the token's \(name) is not an object")
        }
        return object
    }

    /// Why the token endpoint would not even read it.
    var formFinding: String? {
        // An SVID needs no `iss`.
        if (try? UnverifiedJWTSVID(parsing: text)) != nil { return nil }
        do throws(ClientAssertionError) {
            _ = try UnverifiedClientAssertion(parsing: SecretText(text))
            return nil
        } catch {
            return error.description
        }
    }

    /// Why its `typ` belongs to another kind of token.
    var typeFinding: String? {
        guard let value = header["typ"] else { return nil }
        guard let type = value.stringValue else { return "is not a text" }
        return ClientAssertionPolicy.Kind.federated.takes(type: type)
            ? nil : "\(shown(type)) is another kind of token"
    }

    /// Why it does not count now. The end gets no leeway, beginnings a minute.
    func timesFinding(now: UnixTime) -> String? {
        do throws(JWTError) {
            let claims = try JWTClaims(json: claims)
            guard let end = claims.expiration else { return "claim `exp` is missing" }
            guard now.seconds < end else { return "expired at \(UnixTime(seconds: end).rfc3339)" }
            try claims.checkTime(now: now.seconds, leeway: JWTSVID.clockSkewTolerance)
            return nil
        } catch {
            return error.description
        }
    }

    /// Checks the signature where the subject is of the bundle's trust domain.
    func signature(by bundle: TrustBundle) -> Signature {
        guard let subject = claims["sub"]?.stringValue, let id = try? SPIFFEID(subject),
            id.isMember(of: bundle.trustDomain)
        else { return .elsewhere }
        do {
            let jws = try CompactJWS(parsing: text)
            guard let keyID = jws.header.keyID,
                let authority = bundle.jwtAuthorities.first(where: { $0.keyID.hasSameBytes(as: keyID) })
            else { return .invalid("no key of this trust domain has the token's `kid`") }
            try jws.verify(with: authority.publicKey)
            return .valid
        } catch {
            return .invalid("\(error)")
        }
    }
}
