import Authentication
import OAuth
import Synchronization

/// Our own tokens that verified, so that whoever asks for the same one again and again costs no signature each time.
///
/// They count with the keys and under the names that they verified with: a change of either forgets all. Who is revoked,
/// disabled or retired is looked at on every question all the same.
final class GenuineTokens: Sendable {
    /// What a verdict rests on, beside the token and the time.
    struct Basis: Equatable {
        let keysRevision: Int64
        let names: TokenServiceNames
    }

    private struct State {
        var basis: Basis?
        var known = KnownTokens(capacity: GenuineTokens.capacity)
    }

    /// Tokens that are remembered; the eldest give way.
    private static let capacity = 4096

    // Guards the tokens together with what they rest on.
    private let state = Mutex(State())

    /// The token of this SHA-256, while it lasts, if it verified on this basis.
    func token(_ digest: [UInt8], _ basis: Basis, at time: Int64) -> VerifiedAccessToken? {
        state.withLock { state in
            guard state.basis == basis else { return nil }
            return state.known.token(digest, at: time)
        }
    }

    func insert(_ token: VerifiedAccessToken, _ digest: [UInt8], _ basis: Basis, at time: Int64) {
        state.withLock { state in
            if state.basis != basis {
                // Who verified with older keys comes too late.
                if let present = state.basis, basis.keysRevision < present.keysRevision { return }
                state = State(basis: basis)
            }
            state.known.insert(token, digest, at: time)
        }
    }
}
