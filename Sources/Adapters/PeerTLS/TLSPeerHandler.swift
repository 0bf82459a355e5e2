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

    private let verifier: PeerVerifier
    private let isPeerRequired: Bool
    private let box: Box
    private let completed: @Sendable (VerifiedX509SVID?) -> Void

    /// The state shared with the verification callback; touched on the event loop only.
    package final class Box: @unchecked Sendable {
        fileprivate var verified: VerifiedX509SVID?
    }

    /// - Parameter completed: called once on the event loop when the handshake has ended well.
    package init(
        verifier: PeerVerifier, isPeerRequired: Bool, box: Box, completed: @escaping @Sendable (VerifiedX509SVID?) -> Void
    ) {
        self.verifier = verifier
        self.isPeerRequired = isPeerRequired
        self.box = box
        self.completed = completed
    }

    /// The peer's identity once the handshake has ended; `nil` for a peer without a certificate.
    package var peer: VerifiedX509SVID? { box.verified }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted = event as? TLSUserEvent {
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
        if isPeerRequired, box.verified == nil { throw MissingPeer() }
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
            context: identity.serverContext(clientCertificate: clientCertificate),
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
            context: identity.clientContext(http2: http2), serverHostname: nil,
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
        do {
            box.verified = try verifier.verify(certificates)
            promise.succeed(.certificateVerified)
        } catch {
            promise.succeed(.failed)
        }
    }
}
