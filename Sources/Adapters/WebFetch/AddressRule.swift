package import NIOCore

/// The addresses that a fetch may reach.
package enum AddressRule: Sendable, Equatable {
    /// All of them, unlooked at: whoever named the host may reach what this machine reaches.
    case any
    /// Those that everybody in the internet can reach.
    case global
    /// Those of this machine too.
    case globalOrLoopback
    /// Those of private networks and of this machine too.
    case globalOrPrivate
    /// Those of this machine alone.
    case loopback

    package func allows(_ kind: AddressKind) -> Bool {
        switch self {
        case .any: true
        case .global: kind == .global
        case .globalOrLoopback: kind == .global || kind == .loopback
        case .globalOrPrivate: kind == .global || kind == .privateUse || kind == .loopback
        case .loopback: kind == .loopback
        }
    }
}

/// What an IP address is for, after IANA's registries of special-purpose addresses (RFC 6890).
package enum AddressKind: Sendable, Equatable {
    case global
    /// Private networks, shared address space and unique local addresses.
    case privateUse
    case loopback
    /// Never the address of a server that one would ask for a document: link-local with the metadata services of
    /// clouds, multicast, unspecified, documentation, and what is reserved or carries other addresses.
    case refused

    /// Judges the address that a connection would go to, in whatever form its text was.
    package init(_ address: SocketAddress) {
        switch address {
        case .v4(let address): self.init(ipv4: withUnsafeBytes(of: address.address.sin_addr) { Array($0) })
        case .v6(let address): self.init(ipv6: withUnsafeBytes(of: address.address.sin6_addr) { Array($0) })
        case .unixDomainSocket: self = .refused
        }
    }

    private init(ipv4 bytes: [UInt8]) {
        self = Self.ipv4.first { $0.contains(bytes) }?.kind ?? .global
    }

    private init(ipv6 bytes: [UInt8]) {
        // An address that carries an IPv4 address leads to where that one leads.
        for carrier in Self.carriers where carrier.block.contains(bytes) {
            self.init(ipv4: Array(bytes[carrier.offset..<carrier.offset + 4]))
            return
        }
        self = Self.ipv6.first { $0.contains(bytes) }?.kind ?? .refused
    }

    private struct Block: Sendable {
        let prefix: [UInt8]
        let bits: Int
        let kind: AddressKind

        init(_ prefix: [UInt8], _ bits: Int, _ kind: AddressKind) {
            self.prefix = prefix
            self.bits = bits
            self.kind = kind
        }

        func contains(_ address: [UInt8]) -> Bool {
            let whole = bits / 8
            guard address.prefix(whole).elementsEqual(prefix.prefix(whole)) else { return false }
            guard bits % 8 != 0 else { return true }
            return (address[whole] ^ prefix[whole]) >> (8 - bits % 8) == 0
        }
    }

    // The first block that contains an address decides.
    private static let ipv4: [Block] = [
        // Alibaba's metadata service, Azure's platform endpoint.
        Block([100, 100, 100, 200], 32, .refused), Block([168, 63, 129, 16], 32, .refused),
        Block([0], 8, .refused), Block([10], 8, .privateUse), Block([100, 64], 10, .privateUse),
        Block([127], 8, .loopback), Block([169, 254], 16, .refused), Block([172, 16], 12, .privateUse),
        Block([192, 0, 0], 24, .refused), Block([192, 0, 2], 24, .refused), Block([192, 88, 99], 24, .refused),
        Block([192, 168], 16, .privateUse), Block([198, 18], 15, .refused), Block([198, 51, 100], 24, .refused),
        Block([203, 0, 113], 24, .refused),
        // Multicast, and what is reserved up to the broadcast address.
        Block([224], 3, .refused),
    ]

    private static let ipv6: [Block] = [
        Block([UInt8](repeating: 0, count: 15) + [1], 128, .loopback),
        // The metadata service of AWS.
        Block([0xfd, 0x00, 0x0e, 0xc2], 32, .refused), Block([0xfc], 7, .privateUse),
        // Teredo, ORCHID and their like; documentation.
        Block([0x20, 0x01, 0x00], 23, .refused), Block([0x20, 0x01, 0x0d, 0xb8], 32, .refused),
        Block([0x3f, 0xff, 0x00], 20, .refused),
        // The only block that global addresses come from; everything outside it is refused.
        Block([0x20], 3, .global),
    ]

    /// IPv4-mapped (RFC 4291 §2.5.5.2), NAT64 (RFC 6052 §2.1), 6to4 (RFC 3056 §2).
    private static let carriers: [(block: Block, offset: Int)] = [
        (Block([UInt8](repeating: 0, count: 10) + [0xff, 0xff], 96, .refused), 12),
        (Block([0x00, 0x64, 0xff, 0x9b] + [UInt8](repeating: 0, count: 8), 96, .refused), 12),
        (Block([0x20, 0x02], 16, .refused), 2),
    ]
}
