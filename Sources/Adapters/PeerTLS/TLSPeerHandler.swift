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
    /// Who takes certificates that are no SVIDs; `nil` where they end the handshake.
    private let unverified: UnverifiedPeers?
    private var deadline: Scheduled<Void>?

    /// The state shared with the verification callback; touched on the event loop only.
    package final class Box: @unchecked Sendable {
        fileprivate var verified: VerifiedX509SVID?
        /// What the peer shows instead. TLS proves the key only after the callback has run: nobody may see it before the
        /// handshake has ended well.
        fileprivate var presented: PresentedCertificate?
        /// Why the callback said no; the TLS library reports no more than that the handshake failed.
        fileprivate var refusal: PeerVerifier.Refusal?
    }

    /// - Parameters:
    ///   - completed: called once on the event loop when the handshake has ended well.
    ///   - unverified: who is told before that where the peer has shown a certificate that is no SVID.
    package init(
        verifier: PeerVerifier, isPeerRequired: Bool, box: Box, unverified: UnverifiedPeers? = nil,
        completed: @escaping @Sendable (VerifiedX509SVID?) -> Void
    ) {
        self.verifier = verifier
        self.isPeerRequired = isPeerRequired
        self.box = box
        self.completed = completed
        self.unverified = unverified
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
            if let certificate = box.presented { unverified?.take(certificate) }
            completed(box.verified)
        }
        context.fireUserInboundEventTriggered(event)
    }

    private func settle(_ context: ChannelHandlerContext) throws {
        if box.verified == nil, box.presented == nil,
            let leaf = try context.channel.pipeline.syncOperations.nioSSL_peerCertificate()
        {
            // INVARIANT: a certificate without a run of the callback means a resumed session.
            try box.judge([leaf], admitsOthers: unverified != nil) { _ throws(PeerVerifier.Refusal) in
                try verifier.verifyResumed(leaf: leaf)
            }
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

extension TLSPeerHandler.Box {
    /// Takes a chain as what it proves: an SVID, or, where others are admitted, a certificate that nobody has verified.
    fileprivate func judge(
        _ certificates: [NIOSSLCertificate], admitsOthers: Bool,
        _ verify: ([NIOSSLCertificate]) throws(PeerVerifier.Refusal) -> VerifiedX509SVID
    ) throws(PeerVerifier.Refusal) {
        do throws(PeerVerifier.Refusal) {
            verified = try verify(certificates)
        } catch {
            // A revoked SVID, or one that is not allowed here, does not become something else.
            guard admitsOthers, case .unverified = error,
                let certificate = try? PresentedCertificate(unverified: PeerVerifier.der(of: certificates))
            else { throw error }
            presented = certificate
        }
    }
}

extension Channel {
    /// Puts TLS of a server at the front of this connection's pipeline.
    ///
    /// - Parameters:
    ///   - unverified: who takes a certificate that is no SVID; the peer has no identity then. Without it such a certificate
    ///     ends the handshake.
    ///   - completed: called on the event loop after the handshake with the peer's identity, if it has one.
    package func addServerTLS(
        _ identity: LiveIdentity, clientCertificate: LiveIdentity.ClientCertificate, verifier: PeerVerifier,
        unverified: UnverifiedPeers? = nil,
        completed: @escaping @Sendable (VerifiedX509SVID?) -> Void = { _ in }
    ) throws {
        let box = TLSPeerHandler.Box()
        let tls = NIOSSLServerHandler(
            context: try identity.serverContext(clientCertificate: clientCertificate),
            customVerificationCallback: verificationCallback(verifier, box, admitsOthers: unverified != nil),
            configuration: .init())
        try pipeline.syncOperations.addHandlers([
            tls,
            TLSPeerHandler(
                verifier: verifier, isPeerRequired: clientCertificate == .required, box: box, unverified: unverified,
                completed: completed),
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
            customVerificationCallback: verificationCallback(verifier, box, admitsOthers: false))
        try pipeline.syncOperations.addHandlers([
            tls, TLSPeerHandler(verifier: verifier, isPeerRequired: true, box: box, completed: completed),
        ])
    }
}

/// The callback that NIOSSL runs in place of its own verification, on the event loop.
private func verificationCallback(
    _ verifier: PeerVerifier, _ box: TLSPeerHandler.Box, admitsOthers: Bool
) -> @Sendable ([NIOSSLCertificate], EventLoopPromise<NIOSSLVerificationResult>) -> Void {
    { certificates, promise in
        do throws(PeerVerifier.Refusal) {
            try box.judge(certificates, admitsOthers: admitsOthers) { chain throws(PeerVerifier.Refusal) in
                try verifier.verify(chain)
            }
            // For a certificate that nobody has verified, this says no more than: go on, and let the peer prove its key.
            promise.succeed(.certificateVerified)
        } catch {
            box.refusal = error
            promise.succeed(.failed)
        }
    }
}
