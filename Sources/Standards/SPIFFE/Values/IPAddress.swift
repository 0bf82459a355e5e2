/// An IP address as certificates carry it: 4 octets of IPv4 or 16 of IPv6, in network order (RFC 5280 §4.2.1.6).
package struct IPAddress: Hashable, Sendable {
    package let octets: [UInt8]

    /// Takes 4 or 16 octets; nil for any other number.
    package init?(octets: some Collection<UInt8>) {
        guard octets.count == 4 || octets.count == 16 else { return nil }
        self.octets = Array(octets)
    }

    /// Reads `127.0.0.1` or `::1` (RFC 4291 §2.2); nil for what is neither, and for zones and leading zeros in IPv4.
    package init?(_ text: String) {
        let bytes = Array(text.utf8.prefix(Self.maximumLength + 1))
        guard bytes.count <= Self.maximumLength else { return nil }
        guard let octets = bytes.contains(UInt8(ascii: ":")) ? Self.version6(bytes[...]) : Self.version4(bytes[...])
        else { return nil }
        self.octets = octets
    }

    /// Longest text: eight groups, the last two in IPv4's form.
    private static let maximumLength = 45

    private static func version4(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var octets: [UInt8] = []
        for part in parts {
            guard (1...3).contains(part.count), part.allSatisfy({ (0x30...0x39).contains($0) }),
                part.count == 1 || part.first != 0x30, let octet = UInt8(String(decoding: part, as: UTF8.self))
            else { return nil }
            octets.append(octet)
        }
        return octets
    }

    private static func version6(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        let colon = UInt8(ascii: ":")
        guard let gap = text.indices.dropLast().first(where: { text[$0] == colon && text[$0 + 1] == colon }) else {
            guard let all = groups(text), all.count == 16 else { return nil }
            return all
        }
        let left = text[..<gap]
        let right = text[(gap + 2)...]
        guard let head = left.isEmpty ? [] : groups(left, mayEndInVersion4: false),
            let tail = right.isEmpty ? [] : groups(right), head.count + tail.count <= 14
        else { return nil }
        return head + [UInt8](repeating: 0, count: 16 - head.count - tail.count) + tail
    }

    /// Groups of up to four hexadecimal digits between colons; the last may have IPv4's form.
    private static func groups(_ text: ArraySlice<UInt8>, mayEndInVersion4: Bool = true) -> [UInt8]? {
        let parts = text.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard parts.count <= 8 else { return nil }
        var octets: [UInt8] = []
        for (position, part) in parts.enumerated() {
            if mayEndInVersion4, position == parts.count - 1, part.contains(UInt8(ascii: ".")) {
                guard let last = version4(part) else { return nil }
                octets += last
                continue
            }
            guard (1...4).contains(part.count), part.first != UInt8(ascii: "+"), part.first != UInt8(ascii: "-"),
                let group = UInt16(String(decoding: part, as: UTF8.self), radix: 16)
            else { return nil }
            octets += [UInt8(group >> 8), UInt8(group & 0xff)]
        }
        return octets
    }
}
