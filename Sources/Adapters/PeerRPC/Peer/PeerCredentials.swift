import NIOCore

/// Asks the kernel who connected to a Unix socket.
enum PeerCredentials {
    /// `SO_PEERCRED`: the credentials of the process that called `connect()`.
    private static let peerCredentialsOption = NIOBSDSocket.Option(rawValue: 17)
    /// `SO_PEERPIDFD`: a pidfd of that process (Linux 6.5).
    private static let peerPIDFDOption = NIOBSDSocket.Option(rawValue: 77)

    /// `struct ucred`.
    private struct Credentials: Sendable {
        var pid: Int32 = 0
        var uid: UInt32 = .max
        var gid: UInt32 = .max
    }

    /// The peer of an accepted connection, pinned. Fails when the kernel does not say who it is.
    static func peer(of channel: any Channel) -> EventLoopFuture<ConnectionPeer> {
        guard let provider = channel as? any SocketOptionProvider else {
            return channel.eventLoop.makeFailedFuture(PeerServerError.unknownPeer)
        }
        let credentials: EventLoopFuture<Credentials> = provider.unsafeGetSocketOption(
            level: .socket, name: peerCredentialsOption)
        return credentials.flatMap { credentials in
            let pidfd: EventLoopFuture<Int32> = provider.unsafeGetSocketOption(level: .socket, name: peerPIDFDOption)
            return pidfd.map { $0 >= 0 ? $0 : nil }
                // An older kernel: the start time alone pins the process.
                .flatMapErrorThrowing { _ in nil }
                .map { pidfd in
                    let handle = ProcessHandle.open(pid: credentials.pid, pidfd: pidfd)
                    let process = ProcessPeer(
                        pid: credentials.pid, uid: credentials.uid, gid: credentials.gid, handle: handle)
                    return ConnectionPeer(identity: .process(process), remoteAddress: "unix")
                }
        }
    }
}
