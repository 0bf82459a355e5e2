package import GRPCCore
import Glibc
import NIOCore
import NIOPosix
import NIOSSL

/// Why an attempt to connect failed.
enum ConnectFailure: Error, Equatable {
    /// The server closed the connection before it spoke HTTP/2.
    case closed
    /// The server answered, but did not begin to speak HTTP/2 in time.
    case timeout
    /// TLS agreed on another protocol than `h2`.
    case wrongProtocol
    /// The client is closed meanwhile.
    case ended

    /// In words for a person.
    static func describe(_ error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError:
            if let first = error.connectionErrors.first {
                describe(first.error)
            } else {
                "`\(error.host)` is not known"
            }
        case let error as IOError: String(cString: strerror(error.errnoCode))
        case ChannelError.connectTimeout, ConnectFailure.timeout: "no answer in time"
        case ConnectFailure.closed: "the server closed the connection"
        case ConnectFailure.wrongProtocol: "the server does not speak HTTP/2"
        case ConnectFailure.ended: "the client is closed"
        case NIOSSLError.handshakeFailed: "the TLS handshake failed"
        default: String(describing: error)
        }
    }
}

extension RPCError {
    static let cannotConnect = "cannot connect to "

    /// Whether there was no connection for the call, so that nothing of it has left. No server can say so: its errors have no
    /// cause here.
    package var isConnectFailure: Bool {
        code == .unavailable && cause != nil && message.hasPrefix(Self.cannotConnect)
    }
}
