/// Media types of the protocol (A2A 1.0.1 §14).
package enum MediaType {
    /// Requests and answers of HTTP+JSON, bodies of push notifications.
    package static let a2a = "application/a2a+json"
    /// Requests and answers of JSON-RPC.
    package static let json = "application/json"
    /// Streams.
    package static let events = "text/event-stream"

    /// Whether a `Content-Type` is one of these, whatever its parameters.
    package static func isJSON(_ contentType: String?) -> Bool {
        guard let contentType else { return false }
        let type = essence(contentType)
        return type == json || type == a2a
    }

    /// Whether a media type falls under a range such as `text/*` (RFC 9110 §12.5.1); parameters do not count.
    package static func matches(_ type: String, _ range: String) -> Bool {
        let (type, range) = (essence(type), essence(range))
        if range == "*/*" || range == "*" || range == type { return true }
        return range.hasSuffix("/*") && type.hasPrefix(range.dropLast())
    }

    /// Type and subtype, in lower case.
    private static func essence(_ type: String) -> String { type.prefix { $0 != ";" }.trimmingSpaces.lowercased() }
}
