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
        let type = contentType.prefix { $0 != ";" }.trimmingSpaces.lowercased()
        return type == json || type == a2a
    }
}
