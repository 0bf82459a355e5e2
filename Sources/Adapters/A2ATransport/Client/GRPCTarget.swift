import PeerRPC

/// Where a server of gRPC listens, as cards say it: as a URL, or as host and port alone.
package struct GRPCTarget: Sendable, Equatable {
    package let host: String
    package let port: Int
    /// `nil` when the card does not say.
    package let isTLS: Bool?

    /// Whether it is this machine, by its address or its reserved name.
    package var isLoopback: Bool { host == "localhost" || host == "::1" || host.isLoopbackIPv4 }

    package init(_ url: String) throws(A2AClientError) {
        var rest = Substring(url)
        let failure = A2AClientError.unusableAddress(url.shown(upTo: 256))
        var defaultPort: Int?
        if let end = rest.firstRange(of: "://") {
            switch rest[..<end.lowerBound].lowercased() {
            case "https", "grpcs": (isTLS, defaultPort) = (true, 443)
            case "http", "grpc": (isTLS, defaultPort) = (false, 80)
            default: throw failure
            }
            rest = rest[end.upperBound...]
        } else {
            isTLS = nil
        }
        if rest.hasSuffix("/") { rest = rest.dropLast() }
        let name: Substring
        let portText: Substring?
        if rest.first == "[" {
            guard let close = rest.firstIndex(of: "]") else { throw failure }
            name = rest[rest.index(after: rest.startIndex)..<close]
            let after = rest[rest.index(after: close)...]
            guard after.isEmpty || after.first == ":" else { throw failure }
            portText = after.isEmpty ? nil : after.dropFirst()
        } else {
            let parts = rest.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count <= 2 else { throw failure }
            name = parts[0]
            portText = parts.count == 2 ? parts[1] : nil
        }
        guard !name.isEmpty, name.utf8.count <= 255,
            !name.utf8.contains(where: { $0 <= 0x20 || $0 >= 0x7F || "/?#@%\\".utf8.contains($0) })
        else { throw failure }
        host = String(name)
        if let portText {
            guard let number = UInt16(portText), number > 0, portText.utf8.first != UInt8(ascii: "+") else {
                throw failure
            }
            port = Int(number)
        } else if let defaultPort {
            port = defaultPort
        } else {
            throw failure
        }
    }

    var peerTarget: PeerClientSettings.Target { .host(host, port: port) }
}

extension String {
    /// Whether it is an address of 127.0.0.0/8 in its usual form.
    var isLoopbackIPv4: Bool {
        let parts = split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127"
            && parts.allSatisfy { part in part.utf8.allSatisfy { (0x30...0x39).contains($0) } && UInt8(part) != nil }
    }
}
