import SPIFFE
import Synchronization

/// Judges the server by the trust bundle of the moment: it has to be `/spire/server` of the own trust domain.
final class ServerTrust: Sendable {
    /// The ID that a control plane shows on its node API.
    let serverID: SPIFFEID

    private struct State {
        var bundle: X509Bundle
        var refusal: String?
        var refusedSince: UnixTime?
    }

    private let now: @Sendable () -> UnixTime
    private let state: Mutex<State>

    init(serverID: SPIFFEID, bundle: TrustBundle, now: @escaping @Sendable () -> UnixTime) {
        self.serverID = serverID
        self.now = now
        state = Mutex(State(bundle: bundle.x509Bundle))
    }

    /// Makes this bundle the one that counts from the next handshake on.
    func replace(_ bundle: TrustBundle) {
        state.withLock { $0.bundle = bundle.x509Bundle }
    }

    /// Why the last handshake was refused; `nil` after a good one.
    var refusal: String? { state.withLock { $0.refusal } }

    /// Since when the server has not been recognized; `nil` after a good handshake.
    var refusedSince: UnixTime? { state.withLock { $0.refusedSince } }

    /// Whether any authority can still verify anything.
    var isAlive: Bool {
        let time = now()
        return state.withLock { $0.bundle }.authorities.contains { $0.certificate.notAfter > time }
    }

    /// Runs on the event loop; does not wait.
    func verify(_ chain: [[UInt8]]) -> Bool {
        let bundle = state.withLock { $0.bundle }
        let time = now()
        let refusal = Self.refusal(of: chain, serverID: serverID, bundle: bundle, at: time)
        state.withLock { state in
            state.refusal = refusal
            state.refusedSince = refusal == nil ? nil : state.refusedSince ?? time
        }
        return refusal == nil
    }

    /// `nil` when the chain proves the server.
    static func refusal(of chain: [[UInt8]], serverID: SPIFFEID, bundle: X509Bundle, at time: UnixTime) -> String? {
        do throws(X509VerificationError) {
            let verified = try X509SVIDVerifier.verify(
                chain: chain, bundle: { $0 == bundle.trustDomain ? bundle : nil }, at: time)
            return verified.id == serverID ? nil : "it is `\(verified.id)`, not `\(serverID)`"
        } catch {
            return error.description
        }
    }
}

/// The chain that a server showed before anything was known to judge it by.
final class FirstContact: Sendable {
    private let seen = Mutex<[[UInt8]]>([])

    /// DER, leaf first.
    var chain: [[UInt8]] { seen.withLock { $0 } }

    /// Accepts every chain, once: the connection is only used to fetch the bundle.
    func accept(_ chain: [[UInt8]]) -> Bool {
        seen.withLock { $0 = chain }
        return true
    }
}
