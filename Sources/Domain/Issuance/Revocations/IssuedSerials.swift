package import SPIFFE
import Synchronization

/// The certificates that this process has issued and that still live, by identity: so that revoking an agent can name
/// its certificates in CRLs. Bounded; what was issued before the last start, or fell out, is not in it.
package final class IssuedSerials: Sendable {
    package struct Certificate: Hashable, Sendable {
        package let serial: SerialNumber
        package let expiresAt: UnixTime
    }

    /// Certificates remembered at most; the oldest go first.
    package static let maximumCertificates = 65_536

    private struct State {
        var byID: [SPIFFEID: [Certificate]] = [:]
        var ends: [SerialNumber: UnixTime] = [:]
        /// In the order of issuance; `first` is where the oldest stands.
        var order: [(id: SPIFFEID, serial: SerialNumber)] = []
        var first = 0
    }

    private let state = Mutex(State())

    package init() {}

    /// Notes a certificate.
    package func note(_ id: SPIFFEID, _ serial: SerialNumber, expiresAt: UnixTime) {
        state.withLock { state in
            state.byID[id, default: []].append(Certificate(serial: serial, expiresAt: expiresAt))
            state.ends[serial] = expiresAt
            state.order.append((id, serial))
            if state.order.count - state.first > Self.maximumCertificates { Self.dropOldest(&state) }
        }
    }

    /// What still lives of an identity's certificates.
    package func living(of id: SPIFFEID, at time: UnixTime) -> [Certificate] {
        state.withLock { ($0.byID[id] ?? []).filter { time < $0.expiresAt } }
    }

    /// When a certificate ends, if it is remembered.
    package func end(of serial: SerialNumber) -> UnixTime? { state.withLock { $0.ends[serial] } }

    /// Forgets what has ended.
    package func prune(at time: UnixTime) {
        state.withLock { state in
            while state.first < state.order.count,
                let end = state.ends[state.order[state.first].serial], end <= time
            {
                Self.dropOldest(&state)
            }
        }
    }

    private static func dropOldest(_ state: inout State) {
        let (id, serial) = state.order[state.first]
        state.first += 1
        state.ends[serial] = nil
        state.byID[id]?.removeAll { $0.serial == serial }
        if state.byID[id]?.isEmpty == true { state.byID[id] = nil }
        guard state.first > 4096, state.first * 2 > state.order.count else { return }
        state.order.removeFirst(state.first)
        state.first = 0
    }
}
