import JOSE
import OAuth
import SPIFFE

/// How a subject of another authorization server is called here, so that no two issuers' subjects, and none of theirs and of
/// ours, can be taken for each other.
///
/// - A SPIFFE ID stays what it is, if it lies in the one trust domain that the operator lets the issuer speak for. That is never
///   our own.
/// - Everybody else is `ISSUER#SUBJECT`: an issuer's name has no `#`, so the first one ends it.
struct ForeignSubject: Sendable {
    let name: String

    /// Longest subject that is read, in bytes: with the issuer's name it is no longer than readers of tokens take.
    private static let maximumBytes = 512

    init(
        _ subject: String, of issuer: String, speakingFor trustDomain: TrustDomain?
    ) throws(TokenRefusal) {
        guard subject.utf8.count <= Self.maximumBytes, subject.unicodeScalars.allSatisfy(\.isShownAsItIs) else {
            throw TokenRefusal(silently: .invalidGrant, "the grant's subject is too long, or not printable")
        }
        guard !Self.isSPIFFE(subject) else {
            guard let id = try? SPIFFEID(subject), let trustDomain, id.isMember(of: trustDomain), !id.path.isEmpty
            else {
                throw TokenRefusal(
                    silently: .invalidGrant, "the grant's subject is not of the trust domain that its issuer speaks for"
                )
            }
            name = id.string
            return
        }
        name = "\(issuer)#\(subject)"
    }

    /// Whoever reads names loosely may take these for SPIFFE IDs too.
    static func isSPIFFE(_ name: String) -> Bool {
        name.utf8.prefix(7).elementsEqual("spiffe:".utf8) { $0 | 0x20 == $1 | 0x20 }
    }
}
