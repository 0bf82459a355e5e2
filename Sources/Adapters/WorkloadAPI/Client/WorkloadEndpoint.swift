import Glibc

/// Where a Workload API is (SPIFFE Workload Endpoint §4).
package enum WorkloadEndpoint: Sendable, Hashable, CustomStringConvertible {
    /// A Unix socket by its absolute path.
    case unix(path: String)
    /// A TCP port by IP address, without brackets. For places where the source address authenticates the caller.
    case tcp(address: String, port: Int)

    /// The variable that holds the address, if nothing else gives it.
    package static let environmentVariable = "SPIFFE_ENDPOINT_SOCKET"

    /// Reads the address in the environment.
    package init(environment: [String: String]) throws(WorkloadEndpointError) {
        guard let text = environment[Self.environmentVariable], !text.isEmpty else { throw .notSet }
        try self.init(text)
    }

    /// Reads `unix:/path`, `unix:///path` or `tcp://address:port`.
    package init(_ text: String) throws(WorkloadEndpointError) {
        guard text.utf8.count <= Self.maximumLength, !text.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7f }) else {
            throw .malformed
        }
        guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")) else { throw .missingScheme }
        let rest = text[text.utf8.index(after: colon)...]
        switch text[..<colon].lowercased() {
        case "unix": self = try Self.unix(rest)
        case "tcp": self = try Self.tcp(rest)
        default: throw .unknownScheme
        }
    }

    package var description: String {
        switch self {
        case .unix(let path): "unix://\(path)"
        case .tcp(let address, let port):
            address.utf8.contains(UInt8(ascii: ":")) ? "tcp://[\(address)]:\(port)" : "tcp://\(address):\(port)"
        }
    }

    /// Longest address, in bytes.
    private static let maximumLength = 4096
    /// Longest path that fits a Unix socket's address.
    private static let maximumPathLength = 107

    private static func unix(_ rest: Substring) throws(WorkloadEndpointError) -> WorkloadEndpoint {
        guard !rest.utf8.contains(where: { $0 == UInt8(ascii: "?") || $0 == UInt8(ascii: "#") }) else {
            throw .queryOrFragment
        }
        var path = rest
        if path.utf8.starts(with: "//".utf8) {
            path = path.dropFirst(2)
            // What stands between the second slash and the third is an authority.
            guard path.isEmpty || path.utf8.first == UInt8(ascii: "/") else { throw .authorityInUnixAddress }
        }
        guard let decoded = percentDecoded(path) else { throw .malformed }
        guard decoded.utf8.first == UInt8(ascii: "/"), decoded.utf8.count > 1 else { throw .pathNotAbsolute }
        guard decoded.utf8.count <= maximumPathLength else { throw .pathTooLong }
        return .unix(path: decoded)
    }

    private static func tcp(_ rest: Substring) throws(WorkloadEndpointError) -> WorkloadEndpoint {
        guard !rest.utf8.contains(where: { $0 == UInt8(ascii: "?") || $0 == UInt8(ascii: "#") }) else {
            throw .queryOrFragment
        }
        guard rest.utf8.starts(with: "//".utf8) else { throw .malformed }
        let place = rest.dropFirst(2)
        guard !place.utf8.contains(UInt8(ascii: "/")), !place.utf8.contains(UInt8(ascii: "@")) else {
            throw .notAddressAndPort
        }
        guard let colon = place.utf8.lastIndex(of: UInt8(ascii: ":")) else { throw .notAddressAndPort }
        let digits = place[place.utf8.index(after: colon)...]
        guard !digits.isEmpty, digits.utf8.count <= 5,
            digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            let port = Int(digits), (1...65535).contains(port)
        else { throw .notAddressAndPort }
        let host = place[..<colon]
        var room = in6_addr()
        if host.utf8.first == UInt8(ascii: "["), host.utf8.last == UInt8(ascii: "]") {
            let address = String(host.dropFirst().dropLast())
            guard inet_pton(AF_INET6, address, &room) == 1 else { throw .notAddressAndPort }
            return .tcp(address: address, port: port)
        }
        guard inet_pton(AF_INET, String(host), &room) == 1 else { throw .notAddressAndPort }
        return .tcp(address: String(host), port: port)
    }

    /// `nil` for a broken escape, a zero byte, or bytes that are not UTF-8.
    private static func percentDecoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(hexValue), let low = rest.popFirst().flatMap(hexValue),
                high | low != 0
            else { return nil }
            bytes.append(high << 4 | low)
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func hexValue(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}

/// Why an address of a Workload API was refused.
package enum WorkloadEndpointError: Error, Equatable, CustomStringConvertible {
    case notSet
    case malformed
    case missingScheme
    case unknownScheme
    case authorityInUnixAddress
    case pathNotAbsolute
    case pathTooLong
    case queryOrFragment
    case notAddressAndPort

    package var description: String {
        switch self {
        case .notSet: "`\(WorkloadEndpoint.environmentVariable)` is not set"
        case .malformed: "the Workload API's address is malformed"
        case .missingScheme: "the Workload API's address has no scheme; it begins with `unix:` or `tcp:`"
        case .unknownScheme: "the Workload API's address begins with neither `unix:` nor `tcp:`"
        case .authorityInUnixAddress: "an address with `unix:` has no host; write `unix:///path`"
        case .pathNotAbsolute: "an address with `unix:` needs an absolute path"
        case .pathTooLong: "the path of the Workload API's socket is too long"
        case .queryOrFragment: "the Workload API's address has neither query nor fragment"
        case .notAddressAndPort: "an address with `tcp:` is an IP address and a port, `tcp://127.0.0.1:8000`"
        }
    }
}
