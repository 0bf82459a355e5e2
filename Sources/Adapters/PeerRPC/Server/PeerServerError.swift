import Glibc
import NIOCore

/// Why a server cannot run, or closed a connection.
package enum PeerServerError: Error, Equatable, CustomStringConvertible {
    /// The kernel does not say who connected.
    case unknownPeer
    /// The connection limit is reached.
    case tooManyConnections
    /// The chain or key for TLS cannot be used.
    case unusableIdentity(String)
    /// The address cannot be listened on.
    case cannotListen(address: String, reason: String)
    /// The server ran before.
    case alreadyRan
    /// The server is ending.
    case ending

    package var description: String {
        switch self {
        case .unknownPeer: "the kernel does not say who connected"
        case .tooManyConnections: "too many connections"
        case .unusableIdentity(let reason): "cannot use the certificate and key: \(reason)"
        case .cannotListen(let address, let reason): "cannot listen on \(address): \(reason)"
        case .alreadyRan: "a server runs only once"
        case .ending: "the server is ending"
        }
    }
}

extension PeerServerError {
    /// What `bind` said, with the address that it was about; nil for an error of another kind.
    package init?(binding address: String, port: Int, _ error: any Error) {
        let place = address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)"
        switch error {
        case let error as IOError:
            let text = strerror(error.errnoCode).map { String(cString: $0) } ?? "error \(error.errnoCode)"
            self = .cannotListen(address: place, reason: text.prefix(1).lowercased() + text.dropFirst())
        case is SocketAddressError, is SocketAddressError.UnknownHost:
            self = .cannotListen(address: place, reason: "no such host")
        default: return nil
        }
    }
}
