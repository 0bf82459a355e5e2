package import NIOCore
import NIOSSL
import NIOTLS
package import SPIFFE

/// Holds the verified peer of one connection and closes the connection when the handshake ends without a proof it needs.
///
/// Confined to the connection's event loop, as every channel handler is.
package final class TLSPeerHandler: ChannelInboundHandler, RemovableChannelHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer

    /// How long a peer may take for the handshake.
    package static let handshakeTimeout = TimeAmount.seconds(10)

    private let verifier: PeerVerifier
    private let isPeerRequired: Bool
    private let box: Box
    private let completed: @Sendable (VerifiedX509SVID?) -> Void
    private var deadline: Scheduled<Void>?

    /// The state shared with the verification callback; touched on the event loop only.
    package final class Box: @unchecked Sendable {
        fileprivate var verified: VerifiedX509SVID?
        /// Why the callback said no; the TLS library reports no more than that the handshake failed.
        fileprivate var refusal: PeerVerifier.Refusal?
    }

    /// - Parameter completed: called once on the event loop when the handshake has ended well.
    package init(
        verifier: PeerVerifier, isPeerRequired: Bool, box: Box,
        completed: @escaping @Sendable (VerifiedX509SVID?) -> Void
    ) {
        self.verifier = verifier
        self.isPeerRequired = isPeerRequired
        self.box = box
        self.completed = completed
    }

    /// The peer's identity once the handshake has ended; `nil` for a peer without a certificate.
    package var peer: VerifiedX509SVID? { box.verified }

    package func handlerAdded(context: ChannelHandlerContext) {
        let channel = context.channel
        deadline = context.eventLoop.scheduleTask(in: Self.handshakeTimeout) {
            // A peer that connects and says nothing must not hold the connection.
            channel.close(promise: nil)
        }
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        deadline?.cancel()
    }

    package func channelInactive(context: ChannelHandlerContext) {
        deadline?.cancel()
        context.fireChannelInactive()
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The refusal says more than the TLS library's error that it has led to, and is told once.
        guard let refusal = box.refusal else {
            context.fireErrorCaught(error)
            return
        }
        box.refusal = nil
        context.fireErrorCaught(refusal)
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted = event as? TLSUserEvent {
            deadline?.cancel()
            do {
                try settle(context)
            } catch {
                context.fireErrorCaught(error)
                context.close(promise: nil)
                return
            }
            completed(box.verified)
        }
        context.fireUserInboundEventTriggered(event)
    }

    private func settle(_ context: ChannelHandlerContext) throws {
        if box.verified == nil, let leaf = try context.channel.pipeline.syncOperations.nioSSL_peerCertificate() {
            // INVARIANT: a certificate without a run of the callback means a resumed session.
            box.verified = try verifier.verifyResumed(leaf: leaf)
        }
        guard let peer = box.verified else {
            if isPeerRequired { throw MissingPeer() }
            return
        }
        try verifier.keep(context.channel, with: ProvenPeer(peer))
    }

    /// The peer showed no certificate where one is required.
    package struct MissingPeer: Error {}
}

extension Channel {
    /// Puts TLS of a server at the front of this connection's pipeline.
    ///
    /// - Parameter completed: called on the event loop after the handshake with the peer's identity, if it has one.
    package func addServerTLS(
        _ identity: LiveIdentity, clientCertificate: LiveIdentity.ClientCertificate, verifier: PeerVerifier,
        completed: @escaping @Sendable (VerifiedX509SVID?) -> Void = { _ in }
    ) throws {
        let box = TLSPeerHandler.Box()
        let tls = NIOSSLServerHandler(
            context: try identity.serverContext(clientCertificate: clientCertificate),
            customVerificationCallback: verificationCallback(verifier, box), configuration: .init())
        try pipeline.syncOperations.addHandlers([
            tls,
            TLSPeerHandler(
                verifier: verifier, isPeerRequired: clientCertificate == .required, box: box, completed: completed),
        ])
    }

    /// Puts TLS of a client at the front of this connection's pipeline; the server always has to prove itself.
    package func addClientTLS(
        _ identity: LiveIdentity, http2: Bool, verifier: PeerVerifier,
        completed: @escaping @Sendable (VerifiedX509SVID?) -> Void = { _ in }
    ) throws {
        let box = TLSPeerHandler.Box()
        let tls = try NIOSSLClientHandler(
            context: try identity.clientContext(http2: http2), serverHostname: nil,
            customVerificationCallback: verificationCallback(verifier, box))
        try pipeline.syncOperations.addHandlers([
            tls, TLSPeerHandler(verifier: verifier, isPeerRequired: true, box: box, completed: completed),
        ])
    }
}

/// The callback that NIOSSL runs in place of its own verification, on the event loop.
private func verificationCallback(
    _ verifier: PeerVerifier, _ box: TLSPeerHandler.Box
) -> @Sendable ([NIOSSLCertificate], EventLoopPromise<NIOSSLVerificationResult>) -> Void {
    { certificates, promise in
        do throws(PeerVerifier.Refusal) {
            box.verified = try verifier.verify(certificates)
            promise.succeed(.certificateVerified)
        } catch {
            box.refusal = error
            promise.succeed(.failed)
        }
    }
}
