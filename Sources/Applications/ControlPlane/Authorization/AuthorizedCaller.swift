package import AuditTrail
import GRPCCore
import PeerRPC
package import SPIFFE

/// A caller that the authorization table lets call this RPC; made by `Authorizer` alone, so an unchecked one does not exist.
package struct AuthorizedCaller: Sendable {
    /// Who it turned out to be.
    package enum Identity: Sendable {
        /// Nobody in particular: an RPC that anyone may call.
        case anyone
        /// A process on the administration socket.
        case localSocket
        /// An admin workload.
        case admin(SPIFFEID)
        /// A live node agent, with the serial number that it showed.
        case liveAgent(SPIFFEID, serial: SerialNumber)
        /// A downstream control plane.
        case downstream(SPIFFEID)
    }

    package let identity: Identity
    /// The caller as the audit log names it.
    package let audit: AuditEvent.AgentField
    /// Ties the events of this request together.
    package let requestID: String
    /// Host of a network peer, by which refusals are counted.
    package let source: String

    init(identity: Identity, audit: AuditEvent.AgentField, requestID: String, source: String) {
        self.identity = identity
        self.audit = audit
        self.requestID = requestID
        self.source = source
    }

    /// The SPIFFE ID that the caller proved, if it proved one.
    package var id: SPIFFEID? {
        switch identity {
        case .anyone, .localSocket: nil
        case .admin(let id), .liveAgent(let id, _), .downstream(let id): id
        }
    }
}

/// Carries the caller from the interceptor to the handler.
struct CallerContext: ServerContext.TransportSpecific {
    let caller: AuthorizedCaller
    let refusals: RequestRefusals
    let limits: RateLimits
}

extension ServerContext {
    /// The authorized caller of this RPC. Fails closed: without one the handler answers PermissionDenied.
    var caller: AuthorizedCaller {
        get throws(RPCError) {
            guard let context = transportSpecific as? CallerContext else {
                throw RPCError(code: .permissionDenied, message: "the caller was not authorized")
            }
            return context.caller
        }
    }

    /// Where the items of a batch that are refused are noted; what ends the whole call is noted without this.
    var refusals: RequestRefusals {
        get throws(RPCError) {
            guard let context = transportSpecific as? CallerContext else {
                throw RPCError(code: .permissionDenied, message: "the caller was not authorized")
            }
            return context.refusals
        }
    }

    /// The caller as a node agent.
    var liveAgent: (id: SPIFFEID, serial: SerialNumber, caller: AuthorizedCaller) {
        get throws(RPCError) {
            let caller = try caller
            guard case .liveAgent(let id, let serial) = caller.identity else {
                throw RPCError(code: .permissionDenied, message: "the caller is not a node agent")
            }
            return (id, serial, caller)
        }
    }
}
