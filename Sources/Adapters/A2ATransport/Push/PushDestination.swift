import A2A
import OAuth
import WebFetch

/// Where notifications of a configuration go, and the header fields that they carry: what a client wrote, found fit for a request.
struct PushDestination {
    let target: FetchTarget
    let isSecure: Bool
    let headers: [(name: String, value: String)]

    static let tokenName = "X-A2A-Notification-Token"
    private static let maximumLength = 4096

    /// - Parameter allowsLoopback: whether the URL may begin with `http://`, which leads to this machine alone.
    init(_ config: PushNotificationConfig, allowsLoopback: Bool) throws(FieldViolation) {
        let url: WebURL
        do {
            url = try WebURL(config.url)
        } catch {
            throw FieldViolation("url", "must be an https URL without user information, of at most 2048 bytes")
        }
        guard url.isSecure || allowsLoopback else { throw FieldViolation("url", "must begin with https://") }
        guard !url.hasFragment else { throw FieldViolation("url", "must not have a fragment") }
        isSecure = url.isSecure
        target = FetchTarget(url)
        var headers: [(name: String, value: String)] = []
        if let token = config.token {
            guard Self.isFieldValue(token) else {
                throw FieldViolation("token", "must be printable ASCII of at most 4096 bytes")
            }
            headers.append((Self.tokenName, token))
        }
        if let authentication = config.authentication {
            guard Self.isToken(authentication.scheme) else {
                throw FieldViolation("authentication.scheme", "must be the name of an HTTP authentication scheme")
            }
            if let credentials = authentication.credentials {
                guard Self.isFieldValue(credentials) else {
                    throw FieldViolation(
                        "authentication.credentials", "must be printable ASCII of at most 4096 bytes")
                }
                headers.append(("Authorization", "\(authentication.scheme) \(credentials)"))
            } else {
                headers.append(("Authorization", authentication.scheme))
            }
        }
        self.headers = headers
    }

    /// A value that every receiver reads as it was written (RFC 9110 §5.5), without spaces at its ends.
    private static func isFieldValue(_ text: String) -> Bool {
        let bytes = text.utf8
        return (1...maximumLength).contains(bytes.count) && bytes.allSatisfy { (0x20...0x7e).contains($0) }
            && bytes.first != 0x20 && bytes.last != 0x20
    }

    /// RFC 9110 §5.6.2.
    private static func isToken(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                    || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
                    || "!#$%&'*+-.^_`|~".utf8.contains(byte)
            }
    }
}
