import Glibc
package import NIOCore

/// What a host stands for, as the operating system resolves it.
package enum HostAddresses {
    package typealias Resolve = @Sendable (_ host: String, _ port: Int) throws -> [SocketAddress]

    /// All addresses of a name, or the one of an address in any form that the system reads; blocks.
    @Sendable package static func resolve(_ host: String, port: Int) throws -> [SocketAddress] {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_NUMERICSERV
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, String(port), &hints, &list)
        guard code == 0 else {
            throw WebFetchError.unreachable("the host has no address: \(String(cString: gai_strerror(code)))")
        }
        defer { freeaddrinfo(list) }
        var addresses: [SocketAddress] = []
        var next = list
        while let info = next?.pointee {
            next = info.ai_next
            guard let address = info.ai_addr.map({ UnsafeRawPointer($0) }) else { continue }
            switch info.ai_family {
            case AF_INET: addresses.append(SocketAddress(address.loadUnaligned(as: sockaddr_in.self)))
            case AF_INET6: addresses.append(SocketAddress(address.loadUnaligned(as: sockaddr_in6.self)))
            default: continue
            }
        }
        return addresses
    }
}
