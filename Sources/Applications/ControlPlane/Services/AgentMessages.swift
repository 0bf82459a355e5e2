import Attestation
import ControlPlaneAPI
import FoundationEssentials
import GRPCCore
import Issuance
import Registry
import SPIFFE
import SwiftProtobuf

typealias SwiftProtobufEmpty = Google_Protobuf_Empty

extension Spire_Api_Types_Agent {
    /// The wire form of a node agent, with the fields that `mask` asks for; the ID always.
    init(_ node: NodeRecord, mask: Spire_Api_Types_AgentMask?) {
        self.init()
        id = node.id.message
        let all = mask == nil
        let mask = mask ?? Spire_Api_Types_AgentMask()
        if all || mask.attestationType { attestationType = node.attestationType }
        if all || mask.x509SvidSerialNumber { x509SvidSerialNumber = node.currentSerial?.decimal ?? "" }
        if all || mask.x509SvidExpiresAt { x509SvidExpiresAt = node.currentExpiresAt.seconds }
        if all || mask.selectors { selectors = node.selectors.map { Spire_Api_Types_Selector($0) } }
        if all || mask.banned { banned = node.isBanned }
        if all || mask.canReattest { canReattest = node.canReattest }
        if all || mask.agentVersion { agentVersion = node.agentVersion }
    }
}

extension Spire_Api_Server_Agent_V1_ListAgentsRequest.Filter {
    func parsed() throws(RPCError) -> NodeFilter {
        var filter = NodeFilter()
        if !byAttestationType.isEmpty { filter.attestationType = byAttestationType }
        if hasBySelectorMatch {
            filter.selectors = try bySelectorMatch.parsed()
        }
        if hasByBanned { filter.isBanned = byBanned.value }
        if hasByCanReattest { filter.canReattest = byCanReattest.value }
        if !byExpiresBefore.isEmpty {
            guard let time = UnixTime(rfc3339: byExpiresBefore) else {
                throw RPCError(code: .invalidArgument, message: "by_expires_before is not a time in RFC 3339")
            }
            filter.expiresBefore = time
        }
        return filter
    }
}

extension Spire_Api_Types_X509SVID {
    init(_ issued: IssuedX509SVID) {
        self.init()
        certChain = issued.chain.map { Data($0) }
        id = issued.id.message
        expiresAt = issued.expiresAt.seconds
    }
}

extension AuthorizedCaller {
    /// The caller as flow 1 needs it.
    var issuance: IssuanceCaller {
        IssuanceCaller(agent: audit, requestID: requestID)
    }
}

extension PageRequest {
    /// A page as the wire asks for it; 0 means the server's choice.
    init(wireSize size: Int32, token: String, maximum: Int) throws(RPCError) {
        guard size >= 0 else { throw RPCError(code: .invalidArgument, message: "page_size must not be negative") }
        self.init(size: size == 0 ? maximum : min(Int(size), maximum), token: token)
    }
}
