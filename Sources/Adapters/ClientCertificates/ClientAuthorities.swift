import FoundationEssentials
package import SPIFFE
import Synchronization
@_spi(FixedExpiryValidationTime) import X509

/// The authorities outside whose client certificates an operator trusts, and the search for a way to one of them.
///
/// What it vouches for is a name in a certificate. SPIFFE IDs are none of its business: certificates that name one are
/// refused wherever on the way they stand.
package final class ClientAuthorities: Sendable {
    /// Why a certificate is not vouched for, for the log.
    package struct Refusal: Error, Sendable, CustomStringConvertible {
        package let description: String
    }

    /// Most authorities of a list.
    package static let maximumCount = 256

    /// Intermediates remembered for resumed sessions, where the TLS library gives back the leaf alone. Only those on a way to
    /// an authority are, so nobody else can fill the memory; all clients of an authority share them.
    private static let rememberedIntermediates = 128

    // Guards the authorities; held only to copy or swap them.
    private let roots: Mutex<CertificateStore>
    // Guards the intermediates, the oldest first.
    private let remembered = Mutex<[Certificate]>([])

    /// Reads a list of authorities in PEM.
    package init(pem: [UInt8]) throws(ClientAuthoritiesError) {
        roots = Mutex(try Self.read(pem))
    }

    /// Makes these the ones from now on.
    package func replace(pem: [UInt8]) throws(ClientAuthoritiesError) {
        let store = try Self.read(pem)
        roots.withLock { $0 = store }
    }

    /// Leads a certificate to an authority (RFC 5280 §6), and gives the earliest end of validity on the way.
    package func verify(_ presented: PresentedCertificate, at time: UnixTime) async throws(Refusal) -> UnixTime {
        let leaf = try Self.certificate(presented.chain[0])
        var between = try Self.intermediates(presented)
        if between.isEmpty { between = remembered.withLock(\.self) }
        let now = Date(timeIntervalSince1970: Double(time.milliseconds) / 1000)
        var verifier = Verifier(rootCertificates: roots.withLock { $0 }) {
            RFC5280Policy(fixedExpiryValidationTime: now)
            ClientCertificatePolicy()
        }
        switch await verifier.validate(leaf: leaf, intermediates: CertificateStore(between)) {
        case .validCertificate(let way):
            remember(way.dropFirst().dropLast())
            return way.map { UnixTime(seconds: $0.notValidAfter.wholeSeconds) }.min() ?? presented.leaf.notAfter
        case .couldNotValidate(let failures):
            let reason = failures.first.map { "\($0.policyFailureReason)" } ?? "there is no way to an authority"
            throw Refusal(description: reason)
        }
    }

    /// The certificates between leaf and authority. No name may come twice: so there is one way up at most, and a chain costs
    /// no more signatures than it has certificates.
    private static func intermediates(_ presented: PresentedCertificate) throws(Refusal) -> [Certificate] {
        var names: Set<[UInt8]> = []
        var certificates: [Certificate] = []
        for der in presented.chain.dropFirst() {
            let parsed: ParsedCertificate
            // What the rest of the product does not take as a certificate is none here: weak keys and old algorithms.
            do {
                parsed = try ParsedCertificate(der: der)
            } catch {
                throw Refusal(description: error.description)
            }
            guard !parsed.namesSPIFFEID else { throw Refusal(description: "an intermediate names a spiffe id") }
            guard names.insert(parsed.subject).inserted else {
                throw Refusal(description: "two intermediates have one name")
            }
            certificates.append(try certificate(der))
        }
        return certificates
    }

    private static func certificate(_ der: [UInt8]) throws(Refusal) -> Certificate {
        do {
            return try Certificate(derEncoded: der)
        } catch {
            throw Refusal(description: "a certificate cannot be read")
        }
    }

    private func remember(_ intermediates: some Sequence<Certificate>) {
        remembered.withLock { memory in
            for certificate in intermediates where !memory.contains(certificate) {
                if memory.count >= Self.rememberedIntermediates { memory.removeFirst() }
                memory.append(certificate)
            }
        }
    }

    private static func read(_ pem: [UInt8]) throws(ClientAuthoritiesError) -> CertificateStore {
        let ders: [[UInt8]]
        do {
            ders = try PEM.decodeAll(
                String(decoding: pem, as: UTF8.self), label: PEM.certificateLabel, limit: maximumCount)
        } catch {
            throw .pem(error)
        }
        var store = CertificateStore()
        for (index, der) in ders.enumerated() {
            let parsed: ParsedCertificate
            do {
                parsed = try ParsedCertificate(der: der)
            } catch {
                throw .certificate(index: index, error)
            }
            guard parsed.isCA else { throw .notAnAuthority(index: index) }
            guard !parsed.namesSPIFFEID else { throw .ofTrustDomain(index: index) }
            guard let certificate = try? Certificate(derEncoded: der) else {
                throw .certificate(index: index, .malformed(.badValue))
            }
            store.append(certificate)
        }
        return store
    }
}

extension Date {
    /// Rounded down; certificates have no other times.
    fileprivate var wholeSeconds: Int64 { Int64(exactly: timeIntervalSince1970.rounded(.down)) ?? 0 }
}
