import JOSE
package import SPIFFE

/// What can be revoked: an agent with everything that it has, or one credential, chain or key.
package enum RevokedSubject: Hashable, Sendable {
    /// An agent: every credential with this SPIFFE ID, those still to be issued included.
    case agent(SPIFFEID)
    /// One X.509 certificate.
    case serial(SerialNumber)
    /// One token, by its `jti`.
    case jwtID(String)
    /// An access token and every one that was exchanged for it, by the first one's `jti`.
    case chainRoot(String)
    /// A key with everything that it holds or has signed, by its RFC 7638 thumbprint (SHA-256, base64url).
    case key(String)

    /// The kinds, as storage, wire and command line name them.
    package enum Kind: String, Sendable, Hashable, CaseIterable {
        case agent = "spiffe_id"
        case serial
        case jwtID = "jti"
        case chainRoot = "chain_root"
        case key
    }

    /// Bytes of a key's thumbprint.
    private static let thumbprintLength = 32

    /// Longest `jti` or chain root, in bytes.
    package static let maximumTextLength = 256

    /// Reads a value of a kind; a serial number is hexadecimal.
    package init(kind: Kind, value: String) throws(RevokedSubjectError) {
        switch kind {
        case .agent:
            do {
                self = .agent(try SPIFFEID(value))
            } catch {
                throw .badSPIFFEID(error)
            }
        case .serial:
            do {
                self = .serial(try SerialNumber(hex: value.utf8.count.isMultiple(of: 2) ? value : "0" + value))
            } catch {
                throw .badSerialNumber(error)
            }
        case .jwtID: self = .jwtID(try Self.checked(value))
        case .chainRoot: self = .chainRoot(try Self.checked(value))
        case .key:
            // Another spelling would never match what verifiers work out.
            guard let digest = try? Base64URL.decode(value), digest.count == Self.thumbprintLength else {
                throw .badThumbprint
            }
            self = .key(value)
        }
    }

    /// Which kind it is.
    package var kind: Kind {
        switch self {
        case .agent: .agent
        case .serial: .serial
        case .jwtID: .jwtID
        case .chainRoot: .chainRoot
        case .key: .key
        }
    }

    /// The value as text; a serial number in lower-case hexadecimal.
    package var value: String {
        switch self {
        case .agent(let id): id.string
        case .serial(let serial): serial.hex
        case .jwtID(let text), .chainRoot(let text), .key(let text): text
        }
    }

    private static func checked(_ text: String) throws(RevokedSubjectError) -> String {
        guard !text.isEmpty else { throw .empty }
        guard text.utf8.count <= maximumTextLength else { throw .tooLong }
        guard text.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else { throw .badCharacter }
        return text
    }
}

/// Why something cannot be revoked by this name.
package enum RevokedSubjectError: Error, Equatable, Sendable, CustomStringConvertible {
    case badSPIFFEID(SPIFFEIDError)
    case badSerialNumber(SerialNumberError)
    /// Not the SHA-256 thumbprint of a key.
    case badThumbprint
    case empty
    /// More than 256 bytes.
    case tooLong
    /// Something else than visible ASCII.
    case badCharacter

    package var description: String {
        switch self {
        case .badSPIFFEID(let error): error.description
        case .badSerialNumber(let error): error.description
        case .badThumbprint: "a key is named by its RFC 7638 thumbprint: SHA-256 in base64url, 43 characters"
        case .empty: "an identifier is needed"
        case .tooLong: "an identifier has at most \(RevokedSubject.maximumTextLength) bytes"
        case .badCharacter: "an identifier consists of visible ASCII characters"
        }
    }
}
