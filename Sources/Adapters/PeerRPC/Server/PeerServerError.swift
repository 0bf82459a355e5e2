/// Why a server cannot run, or closed a connection.
package enum PeerServerError: Error, Equatable, CustomStringConvertible {
    /// The kernel does not say who connected.
    case unknownPeer
    /// The connection limit is reached.
    case tooManyConnections
    /// The chain or key for TLS cannot be used.
    case unusableIdentity(String)
    /// The server ran before.
    case alreadyRan

    package var description: String {
        switch self {
        case .unknownPeer: "the kernel does not say who connected"
        case .tooManyConnections: "too many connections"
        case .unusableIdentity(let reason): "cannot use the certificate and key: \(reason)"
        case .alreadyRan: "a server runs only once"
        }
    }
}
