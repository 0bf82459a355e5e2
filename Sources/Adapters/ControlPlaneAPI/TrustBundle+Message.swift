package import SPIFFE
import SwiftProtobuf

extension TrustBundle {
    /// Reads a bundle from the wire. No key ID may occur twice, whatever the keys are for.
    package init(_ message: Spire_Api_Types_Bundle) throws(BundleMessageError) {
        let trustDomain: TrustDomain
        do {
            trustDomain = try TrustDomain(message.trustDomain)
        } catch {
            throw .trustDomain(error)
        }
        guard message.x509Authorities.count <= X509Bundle.maximumAuthorities,
            message.jwtAuthorities.count <= TrustBundle.maximumKeys,
            message.witAuthorities.count <= TrustBundle.maximumKeys
        else { throw .bundle(.tooManyKeys) }
        guard message.refreshHint >= 0 else { throw .bundle(.badNumber("refresh_hint")) }
        var x509Authorities: [X509Authority] = []
        for authority in message.x509Authorities {
            do {
                x509Authorities.append(try X509Authority(der: Array(authority.asn1), isTainted: authority.tainted))
            } catch {
                throw .bundle(.certificate(error))
            }
        }
        var jwtAuthorities: [JWTAuthority] = []
        var keyIDs: Set<[UInt8]> = []
        for key in message.jwtAuthorities {
            guard keyIDs.insert(Array(key.keyID.utf8)).inserted else { throw .bundle(.duplicateKeyID(key.keyID)) }
            do {
                jwtAuthorities.append(try JWTAuthority(key))
            } catch {
                throw .bundle(error)
            }
        }
        var witAuthorities: [WITAuthority] = []
        for key in message.witAuthorities {
            guard keyIDs.insert(Array(key.keyID.utf8)).inserted else { throw .bundle(.duplicateKeyID(key.keyID)) }
            do {
                witAuthorities.append(try WITAuthority(key))
            } catch {
                throw .bundle(error)
            }
        }
        self.init(
            trustDomain: trustDomain, x509Authorities: x509Authorities, jwtAuthorities: jwtAuthorities,
            witAuthorities: witAuthorities, refreshHint: message.refreshHint > 0 ? message.refreshHint : nil,
            sequenceNumber: message.sequenceNumber)
    }
}

extension JWTAuthority {
    /// Reads one key from the wire.
    package init(_ message: Spire_Api_Types_JWTKey) throws(BundleError) {
        try self.init(
            keyID: message.keyID, derSPKI: Array(message.publicKey),
            expiresAt: message.expiresAt > 0 ? UnixTime(seconds: message.expiresAt) : nil, isTainted: message.tainted)
    }
}

extension WITAuthority {
    /// Reads one key from the wire.
    package init(_ message: Spire_Api_Types_WITKey) throws(BundleError) {
        try self.init(
            keyID: message.keyID, derSPKI: Array(message.publicKey),
            expiresAt: message.expiresAt > 0 ? UnixTime(seconds: message.expiresAt) : nil, isTainted: message.tainted)
    }
}

extension Spire_Api_Types_Bundle {
    /// The wire form of a bundle.
    package init(_ bundle: TrustBundle) {
        self.init()
        trustDomain = bundle.trustDomain.name
        x509Authorities = bundle.x509Authorities.map { authority in
            .with {
                $0.asn1 = .init(authority.der)
                $0.tainted = authority.isTainted
            }
        }
        jwtAuthorities = bundle.jwtAuthorities.map(Spire_Api_Types_JWTKey.init)
        witAuthorities = bundle.witAuthorities.map(Spire_Api_Types_WITKey.init)
        refreshHint = bundle.refreshHint ?? 0
        sequenceNumber = bundle.sequenceNumber
    }
}

extension Spire_Api_Types_JWTKey {
    /// The wire form of a key.
    package init(_ authority: JWTAuthority) {
        self.init()
        publicKey = .init(authority.derSPKI)
        keyID = authority.keyID
        expiresAt = authority.expiresAt?.seconds ?? 0
        tainted = authority.isTainted
    }
}

extension Spire_Api_Types_WITKey {
    /// The wire form of a key.
    package init(_ authority: WITAuthority) {
        self.init()
        publicKey = .init(authority.derSPKI)
        keyID = authority.keyID
        expiresAt = authority.expiresAt?.seconds ?? 0
        tainted = authority.isTainted
    }
}

/// Why a bundle from the wire was refused.
package enum BundleMessageError: Error, Equatable, CustomStringConvertible {
    case trustDomain(SPIFFEIDError)
    case bundle(BundleError)

    package var description: String {
        switch self {
        case .trustDomain(let error): error.description
        case .bundle(let error): error.description
        }
    }
}
