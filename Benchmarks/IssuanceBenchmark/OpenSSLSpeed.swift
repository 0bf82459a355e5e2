#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Raw P-256 operations per second of the `openssl` program on this machine, measured in the same run.
struct OpenSSLSpeed {
    let signs: Double
    let verifies: Double

    /// Nil when there is no `openssl` or it prints something else.
    static func measure() -> OpenSSLSpeed? {
        guard let pipe = popen("openssl speed -seconds 2 -mr ecdsap256 2>/dev/null", "r") else { return nil }
        defer { pclose(pipe) }
        var line = [CChar](repeating: 0, count: 512)
        // Machine-readable: `+F4:<number>:256:<seconds per sign>:<seconds per verify>`.
        while fgets(&line, Int32(line.count), pipe) != nil {
            let text = line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            let fields = String(decoding: text, as: UTF8.self).split(whereSeparator: { $0 == ":" || $0 == "\n" })
            guard fields.first == "+F4", fields.count >= 5, let sign = Double(fields[3]), let verify = Double(fields[4])
            else { continue }
            return OpenSSLSpeed(signs: rate(sign), verifies: rate(verify))
        }
        return nil
    }

    /// Old versions print seconds per operation, new ones operations per second.
    private static func rate(_ value: Double) -> Double { value < 1 ? 1 / value : value }
}
