import NIOCore
import Testing

@testable import WebFetch

@Suite("What an address is for")
struct AddressRuleTests {
    private func kind(_ text: String) throws -> AddressKind {
        AddressKind(try SocketAddress(ipAddress: text, port: 443))
    }

    @Test(
        "everybody can reach",
        arguments: [
            "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
            "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.0", "192.88.98.255",
            "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "198.51.99.255", "203.0.114.0",
            "223.255.255.255", "2001:200::1", "2001:4860:4860::8888", "2001:db7::1", "2001:db9::1", "2003::1",
            "2a00:1450::1", "3ffe::1", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2002:0101:0101::1",
        ])
    func global(address: String) throws {
        #expect(try kind(address) == .global)
    }

    @Test(
        "is private",
        arguments: [
            "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "172.16.0.0", "172.31.255.255",
            "192.168.0.0",
            "192.168.255.255", "fc00::1", "fdff:ffff::1", "::ffff:10.0.0.1", "64:ff9b::192.168.1.1",
            "2002:0a00:0001::1",
            "2002:c0a8:0101::",
        ])
    func privateUse(address: String) throws {
        #expect(try kind(address) == .privateUse)
    }

    @Test(
        "is this machine",
        arguments: [
            "127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "64:ff9b::127.0.0.1",
            "2002:7f00:0001::",
        ])
    func loopback(address: String) throws {
        #expect(try kind(address) == .loopback)
    }

    @Test(
        "is nobody's whom one would ask",
        arguments: [
            // Link-local and the metadata services of clouds.
            "169.254.0.0", "169.254.169.254", "169.254.255.255", "168.63.129.16", "100.100.100.200", "fe80::1",
            "febf::1",
            "fd00:ec2::254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1",
            // Unspecified, multicast, broadcast, reserved, documentation, protocol assignments, benchmarks.
            "0.0.0.0", "0.255.255.255", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "192.0.0.1",
            "192.0.2.1", "192.88.99.1", "198.18.0.0", "198.19.255.255", "198.51.100.1", "203.0.113.1", "::", "ff02::1",
            "fec0::1", "2001:db8::1", "3fff:fff::1", "100::1", "5f00::1", "4000::1", "::ffff:0.0.0.0",
            // Carriers that are not followed: Teredo, ORCHID, IPv4-compatible, IPv4-translated, NAT64 for local use.
            "2001::1", "2001:0:a9fe:a9fe::1", "2001:1ff:ffff::1", "2001:20::1", "::127.0.0.1", "::10.0.0.1",
            "::ffff:0:127.0.0.1", "64:ff9b:1::10.0.0.1",
        ])
    func refused(address: String) throws {
        #expect(try kind(address) == .refused)
    }

    @Test("decides whether it may be reached")
    func rules() {
        let kinds: [AddressKind] = [.global, .privateUse, .loopback, .refused]
        #expect(kinds.map(AddressRule.any.allows) == [true, true, true, true])
        #expect(kinds.map(AddressRule.global.allows) == [true, false, false, false])
        #expect(kinds.map(AddressRule.globalOrLoopback.allows) == [true, false, true, false])
        #expect(kinds.map(AddressRule.globalOrPrivate.allows) == [true, true, true, false])
        #expect(kinds.map(AddressRule.loopback.allows) == [false, false, true, false])
    }

    @Test(
        "is judged after resolution, so no spelling hides it",
        arguments: [
            "127.0.0.1", "127.1", "0177.0.0.1", "0x7f.0.0.1", "2130706433", "0x7f000001", "017700000001", "::1",
            "::ffff:127.0.0.1", "0:0:0:0:0:ffff:7f00:0001",
        ])
    func spellings(host: String) throws {
        let addresses = try HostAddresses.resolve(host, port: 443)
        #expect(!addresses.isEmpty)
        for address in addresses {
            #expect(AddressKind(address) == .loopback)
            #expect(address.port == 443)
        }
    }
}
