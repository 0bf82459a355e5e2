/// How long a server lets its answer be kept (RFC 9111 §5.2.2).
enum CacheLifetime {
    /// The seconds of `max-age`; 0 where the answer is not to be stored or used unasked; nil where nothing is said.
    static func seconds(cacheControl: String) -> Int64? {
        var shortest: Int64?
        for directive in cacheControl.utf8.prefix(4096).split(separator: UInt8(ascii: ",")) {
            guard let seconds = seconds(ofDirective: directive) else { continue }
            shortest = min(shortest ?? seconds, seconds)
        }
        return shortest
    }

    private static func seconds(ofDirective directive: some Collection<UInt8>) -> Int64? {
        let isSpace = { (byte: UInt8) in byte == 0x20 || byte == 0x09 }
        let text = String(decoding: directive.filter { !isSpace($0) }, as: UTF8.self).lowercased()
        if text == "no-store" || text == "no-cache" { return 0 }
        let name = "max-age="
        guard text.hasPrefix(name) else { return nil }
        let digits = text.dropFirst(name.count).filter { $0 != "\"" }
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return Int64(digits) ?? .max
    }
}
