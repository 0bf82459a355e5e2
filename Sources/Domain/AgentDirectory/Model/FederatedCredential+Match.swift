package import JOSE
package import SPIFFE

/// What a federated credential says to a token's claims: one check for each thing that it demands.
///
/// The one rule of federated credentials: the token endpoint and `agentshield federated-credential test` both ask here.
/// It says nothing of signature, times and type of the token.
package struct FederatedCredentialMatch: Sendable, Equatable {
    /// Issuer, subject or conditions, audience, in this order.
    package let checks: [Check]

    /// Whether the token counts as the agent's own credential.
    package var isMatch: Bool { checks.allSatisfy { $0.result == .met } }

    /// One thing that is demanded of the claims.
    package struct Check: Sendable, Equatable {
        package let demand: Demand
        package let result: Result
    }

    /// What a check looks at.
    package enum Demand: Sendable, Equatable {
        case issuer(String)
        case subject(String)
        case condition(ClaimsExpression.Condition)
        /// The token's only audience is one of these.
        case audience([String])

        /// The claim that is looked at.
        package var claim: String {
            switch self {
            case .issuer: "iss"
            case .subject: "sub"
            case .condition(let condition): condition.claim
            case .audience: "aud"
            }
        }
    }

    /// What came out.
    package enum Result: Sendable, Equatable {
        case met
        case missing
        /// The claim is no text, or for the audience no list of texts.
        case wrongType
        /// The token has so many audiences, where one alone counts.
        case severalAudiences(Int)
        /// Another value; with how it differs where that looks like a mistake.
        case differs(found: String, nearMiss: NearMiss?)
    }

    /// How a value differs from what is demanded when everything else about it is equal.
    package struct NearMiss: OptionSet, Sendable, Hashable {
        package let rawValue: Int

        package init(rawValue: Int) { self.rawValue = rawValue }

        /// White space at the beginning or the end.
        package static let whitespace = NearMiss(rawValue: 1)
        /// A slash at the end.
        package static let trailingSlash = NearMiss(rawValue: 2)
        /// Upper and lower case.
        package static let letterCase = NearMiss(rawValue: 4)
    }
}

extension FederatedCredential {
    /// Compares claims with this credential, byte by byte.
    package func match(_ claims: JSONObject) -> FederatedCredentialMatch {
        var checks = [Self.check(.issuer(issuer), claims["iss"], against: [issuer])]
        switch subject {
        case .exactly(let text):
            checks.append(Self.check(.subject(text), claims["sub"], against: [text]))
        case .matching(let expression):
            let unmet = Set(expression.unmet(by: claims))
            for condition in expression.conditions {
                let isMet = !unmet.contains(condition)
                checks.append(Self.check(condition, claims[condition.claim], isMet: isMet))
            }
        }
        checks.append(audienceCheck(claims["aud"]))
        return FederatedCredentialMatch(checks: checks)
    }

    /// Whether the credential is about JWT-SVIDs of a trust domain, whatever issuer they name.
    package var namesTrustDomain: Bool { issuer.utf8.starts(with: "spiffe://".utf8) }

    /// Compares the claims of a JWT-SVID: for a credential that names a trust domain, its issuer is the one whose keys have
    /// signed it.
    package func match(_ claims: JSONObject, ofSVIDFrom trustDomain: TrustDomain) -> FederatedCredentialMatch {
        guard namesTrustDomain else { return match(claims) }
        var claims = claims
        claims["iss"] = .string(trustDomain.idString)
        return match(claims)
    }

    /// RFC 7519 §4.1.3 allows a text and a list; a token for several parties is nobody's credential here.
    private func audienceCheck(_ value: JSONValue?) -> FederatedCredentialMatch.Check {
        let demand = FederatedCredentialMatch.Demand.audience(audiences)
        guard let list = value?.arrayValue else { return Self.check(demand, value, against: audiences) }
        guard list.allSatisfy({ $0.stringValue != nil }) else {
            return FederatedCredentialMatch.Check(demand: demand, result: .wrongType)
        }
        guard list.count <= 1 else {
            return FederatedCredentialMatch.Check(demand: demand, result: .severalAudiences(list.count))
        }
        return Self.check(demand, list.first, against: audiences)
    }

    private static func check(
        _ demand: FederatedCredentialMatch.Demand, _ value: JSONValue?, against wanted: [String]
    ) -> FederatedCredentialMatch.Check {
        let result: FederatedCredentialMatch.Result
        if let value {
            if let found = value.stringValue {
                let isMet = wanted.contains { $0.hasSameBytes(as: found) }
                let nearMiss = wanted.lazy.compactMap { NearMissRule.nearMiss(of: found, from: $0) }.first
                result = isMet ? .met : .differs(found: found, nearMiss: nearMiss)
            } else {
                result = .wrongType
            }
        } else {
            result = .missing
        }
        return FederatedCredentialMatch.Check(demand: demand, result: result)
    }

    private static func check(
        _ condition: ClaimsExpression.Condition, _ value: JSONValue?, isMet: Bool
    ) -> FederatedCredentialMatch.Check {
        let demand = FederatedCredentialMatch.Demand.condition(condition)
        guard !isMet else { return FederatedCredentialMatch.Check(demand: demand, result: .met) }
        switch condition.comparison {
        case .equals(let text): return check(demand, value, against: [text])
        // A pattern is not a text to be near to.
        case .matches: return check(demand, value, against: [])
        }
    }
}

private enum NearMissRule {
    /// Takes one difference after the other away until both are equal; nil when they stay different.
    static func nearMiss(of found: String, from wanted: String) -> FederatedCredentialMatch.NearMiss? {
        var (left, right) = (Array(found.utf8)[...], Array(wanted.utf8)[...])
        var differences: FederatedCredentialMatch.NearMiss = []
        for (difference, plain) in steps {
            let (plainLeft, plainRight) = (plain(left), plain(right))
            // What both have is no difference.
            if plainLeft.count - left.count != plainRight.count - right.count || difference == .letterCase {
                differences.insert(difference)
            }
            (left, right) = (plainLeft, plainRight)
            if left == right { return differences }
        }
        return nil
    }

    private typealias Step = @Sendable (ArraySlice<UInt8>) -> ArraySlice<UInt8>

    private static let steps: [(FederatedCredentialMatch.NearMiss, Step)] = [
        (
            .whitespace,
            { bytes in
                let start = bytes.drop(while: isSpace)
                return start.dropLast(start.reversed().prefix(while: isSpace).count)
            }
        ),
        (.trailingSlash, { bytes in bytes.last == UInt8(ascii: "/") ? bytes.dropLast() : bytes }),
        (
            .letterCase,
            { bytes in
                bytes.map { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) ? $0 | 0x20 : $0 }[...]
            }
        ),
    ]

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0d).contains(byte) }
}
