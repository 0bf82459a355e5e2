package import NIOCore
package import SPIFFE
import Synchronization

/// What a verifier asks at every handshake beside the chain: whether this peer is revoked.
///
/// Called on event loops, so it must answer at once.
package protocol PeerRevocations: Sendable {
    /// Why a verified peer is refused; `nil` lets it in.
    func refusal(of peer: ProvenPeer) -> PeerVerifier.Refusal?

    /// Where connections with verified peers are kept, for the day that one is revoked.
    var connections: PeerConnections { get }
}

/// Whom a handshake has proved: what a revocation can name.
package struct ProvenPeer: Hashable, Sendable {
    package let id: SPIFFEID
    package let serial: SerialNumber
    package let key: SubjectPublicKey

    /// The holder of a certificate with this ID.
    package init(id: SPIFFEID, leaf: ParsedCertificate) {
        self.id = id
        serial = leaf.serialNumber
        key = leaf.publicKey
    }

    package init(_ svid: VerifiedX509SVID) {
        self.init(id: svid.id, leaf: svid.leaf)
    }
}

/// The connections whose peers have proved themselves.
package final class PeerConnections: Sendable {
    private struct Connection {
        let channel: any Channel
        let peer: ProvenPeer
    }

    // Guards the connections by their channel; each leaves when it ends.
    private let open = Mutex<[ObjectIdentifier: Connection]>([:])

    package init() {}

    /// How many there are.
    package var count: Int { open.withLock { $0.count } }

    /// Closes every connection whose peer is refused now.
    /// - Returns: the peers that were cut off.
    @discardableResult
    package func cut(where isRefused: (ProvenPeer) -> Bool) -> [ProvenPeer] {
        let refused = open.withLock { open in open.values.filter { isRefused($0.peer) } }
        for connection in refused { connection.channel.close(mode: .all, promise: nil) }
        return refused.map(\.peer)
    }

    func add(_ channel: any Channel, _ peer: ProvenPeer) {
        let name = ObjectIdentifier(channel)
        open.withLock { $0[name] = Connection(channel: channel, peer: peer) }
        channel.closeFuture.whenComplete { _ in
            _ = self.open.withLock { $0.removeValue(forKey: name) }
        }
    }
}

extension PeerVerifier {
    /// Keeps a connection whose peer has proved itself, to cut it when that peer is revoked.
    ///
    /// The peer is judged once more after that, so that a revocation which arrives meanwhile is not missed.
    package func keep(_ channel: any Channel, with peer: ProvenPeer) throws(Refusal) {
        guard let revocations else { return }
        revocations.connections.add(channel, peer)
        if let refusal = revocations.refusal(of: peer) { throw refusal }
    }
}
