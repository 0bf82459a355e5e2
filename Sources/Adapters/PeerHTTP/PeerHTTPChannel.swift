package import HummingbirdCore
package import Logging
package import NIOCore
package import PeerTLS

/// An HTTP/1.1 connection under TLS with a live identity: every handshake uses the newest one.
package struct PeerHTTPChannel: ServerChildChannel {
    /// The plain HTTP connection inside, and what the handshake found out.
    package struct Value: ServerChildChannelValue {
        let base: HTTP1Channel.Value
        let box: HTTPPeer.Box

        package var channel: any Channel { base.channel }
    }

    private let base: HTTP1Channel
    private let identity: LiveIdentity
    private let clientCertificate: LiveIdentity.ClientCertificate
    private let verifier: PeerVerifier
    private let admitsUnverified: Bool
    private let handlesOnEventLoop: Bool

    package init(
        _ base: HTTP1Channel, identity: LiveIdentity, clientCertificate: LiveIdentity.ClientCertificate,
        verifier: PeerVerifier, admitsUnverified: Bool = false, handlesOnEventLoop: Bool = false
    ) {
        self.base = base
        self.identity = identity
        self.clientCertificate = clientCertificate
        self.verifier = verifier
        self.admitsUnverified = admitsUnverified
        self.handlesOnEventLoop = handlesOnEventLoop
    }

    package func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        let box = HTTPPeer.Box()
        let unverified = admitsUnverified ? UnverifiedPeers { box.set(unverified: $0) } : nil
        return channel.eventLoop.makeCompletedFuture {
            try channel.addServerTLS(
                identity, clientCertificate: clientCertificate, verifier: verifier,
                unverified: unverified, completed: { box.set($0) })
        }.flatMap {
            base.setup(channel: channel, logger: logger).map { base in
                let value = Value(base: base, box: box)
                // A server that ends drops connections that it has accepted and not begun to serve. NIO traps when the writer of
                // one is gone before its channel has closed, so the channel keeps it till then.
                channel.closeFuture.whenComplete { _ in
                    channel.eventLoop.execute { withExtendedLifetime(value) {} }
                }
                return value
            }
        }
    }

    package func handle(value: Value, logger: Logger) async {
        await HTTPPeer.$box.withValue(value.box) {
            let executor = handlesOnEventLoop ? EventLoopExecutor(value.channel.eventLoop) : nil
            await withTaskExecutorPreference(executor) {
                await base.handle(value: value.base, logger: logger)
            }
        }
    }
}

extension HTTPServerBuilder {
    /// HTTP/1.1 over TLS 1.3 with a live identity; the peer is in ``HTTPPeer/current``.
    ///
    /// - Parameters:
    ///   - admitsUnverified: whether clients may show certificates that are no SVIDs. Those are in
    ///     ``HTTPPeer/unverifiedCertificate``, and nowhere else.
    ///   - handlesOnEventLoop: whether requests are handled on the event loop of their connection: for handlers that never
    ///     block, since all connections of the loop would wait for one that does.
    package static func peerTLS(
        _ identity: LiveIdentity, clientCertificate: LiveIdentity.ClientCertificate, verifier: PeerVerifier,
        admitsUnverified: Bool = false, handlesOnEventLoop: Bool = false,
        configuration: HTTP1Channel.Configuration = HTTP1Channel.Configuration(idleTimeout: .seconds(60))
    ) -> HTTPServerBuilder {
        HTTPServerBuilder { responder in
            PeerHTTPChannel(
                HTTP1Channel(responder: responder, configuration: configuration), identity: identity,
                clientCertificate: clientCertificate, verifier: verifier, admitsUnverified: admitsUnverified,
                handlesOnEventLoop: handlesOnEventLoop)
        }
    }
}
