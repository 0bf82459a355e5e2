import Hummingbird
import NIOCore

/// What handlers of the HTTPS listener know of a request beside its bytes.
struct HTTPContext: RequestContext, RemoteAddressRequestContext {
    var coreContext: CoreRequestContextStorage
    let remoteAddress: SocketAddress?

    init(source: Source) {
        coreContext = CoreRequestContextStorage(source: source)
        remoteAddress = source.channel.remoteAddress
    }

    /// The peer's address without its port, by which it is counted.
    var host: String { remoteAddress?.ipAddress ?? "" }
}
