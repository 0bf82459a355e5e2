import Synchronization

/// Where the listeners are, once they listen.
package final class Addresses: Sendable {
    private struct State {
        var nodeAPI: String?
        var https: (host: String, port: Int)?
    }

    // Guards the addresses; each is written once, when its listener is bound.
    private let state = Mutex(State())

    package init() {}

    /// `host:port` of the node API.
    package var nodeAPI: String? { state.withLock { $0.nodeAPI } }
    /// `host:port` of HTTPS.
    package var https: String? { state.withLock { state in state.https.map { "\($0.host):\($0.port)" } } }
    /// The port of HTTPS.
    var httpsPort: Int? { state.withLock { $0.https?.port } }

    func setNodeAPI(_ address: String) { state.withLock { $0.nodeAPI = address } }
    func setHTTPS(host: String, port: Int) { state.withLock { $0.https = (host, port) } }
}
