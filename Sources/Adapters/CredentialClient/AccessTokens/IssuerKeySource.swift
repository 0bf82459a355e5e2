package import Authentication
package import JOSE
import OAuth

/// The keys of an issuer as a resource server needs them: a keyring of one, which asks over the transport of the issuer's
/// authorization server and nowhere else.
package struct IssuerKeySource: Sendable {
    private let keyring: IssuerKeyring
    private let issuer: TrustedIssuer

    /// Read again after five minutes, and for the sake of an unknown key at most every half minute. For an hour keys count
    /// when the server is away: a key that it has withdrawn counts as long, unless it is revoked.
    package static let times: IssuerKeyTimes = {
        var times = IssuerKeyTimes()
        times.defaultLifetime = 300
        times.shortestLifetime = 300
        times.longestLifetime = 300
        times.maximumAge = 3600
        times.floor = 30
        return times
    }()

    package init(server: AuthorizationServer, environment: SourceEnvironment) throws(TokenClientError) {
        do {
            issuer = try TrustedIssuer(issuer: server.issuer)
            keyring = try IssuerKeyring(
                [issuer], times: Self.times, now: environment.now, observe: { _ in },
                fetch: { request throws(IssuerDocumentError) in
                    IssuerDocument(bytes: try await server.issuerDocument(request.url))
                })
        } catch {
            throw .badMetadata("\(error)")
        }
    }

    /// The key with this ID that may have signed by this algorithm.
    package func key(
        _ keyID: String, _ algorithm: JWSAlgorithm
    ) async throws(AccessTokenRefusal) -> JWSVerificationKey {
        let keys: [JWSVerificationKey]
        do {
            keys = try await keyring.keys(of: issuer, keyID: keyID, algorithm: algorithm)
        } catch {
            switch error {
            case .noSuchKey, .keyIDRequired, .badKeyID, .algorithmNotAllowed, .unknownIssuer: throw .unknownKey
            default: throw .keysUnavailable
            }
        }
        // Two keys of one ID are none: nobody can tell which of them was meant.
        guard keys.count == 1, let key = keys.first else { throw .unknownKey }
        return key
    }
}
