import A2A
import AgentDirectory
import ControlPlaneAPI
import FoundationEssentials
import GRPCCore
import Issuance
import JOSE
import Registry
import SPIFFE
import TokenService

/// `agentshield.admin.v1.AgentCards`: signs agent cards, for agents that exist and may work.
struct AgentCardService: Agentshield_Admin_V1_AgentCards.SimpleServiceProtocol {
    let registry: Registry
    let directory: AgentDirectory
    let issuer: Issuer
    let names: @Sendable () -> TokenServiceNames?
    let now: @Sendable () -> UnixTime

    func signCard(
        request: Agentshield_Admin_V1_SignCardRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_SignedCard {
        let caller = try context.caller
        let (document, id) = try Self.card(of: request)
        do throws(IssuanceError) {
            let signed = try await issuer.signCard(
                for: caller.issuance, document, of: id, entry: registry.validEntry(of: id), isEnabled: isEnabled(id),
                keySetURL: names()?.cardKeys)
            return .with {
                $0.card = Data(signed.document.jsonBytes)
                $0.spiffeID = signed.id.string
                $0.authorityID = signed.authorityID
                $0.expiresAt = signed.expiresAt.seconds
            }
        } catch {
            throw RPCError(error)
        }
    }

    func getCardKeys(
        request: Agentshield_Admin_V1_GetCardKeysRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_CardKeys {
        let authorities = issuer.authorities
        return .with {
            $0.jwks = Data(JWKSet(keys: authorities.cardKeys).serializedBytes)
            $0.trustDomain = authorities.trustDomain.name
            $0.url = names()?.cardKeys ?? ""
        }
    }

    /// The card, with the identity that the caller names if it has none, and whose it is.
    private static func card(
        of request: Agentshield_Admin_V1_SignCardRequest
    ) throws(RPCError) -> (CardDocument, SPIFFEID) {
        let document: CardDocument
        do {
            document = try CardDocument(parsing: request.card)
        } catch {
            throw RPCError(code: .invalidArgument, message: "card: \(error.description)")
        }
        let claimed: CardIdentity?
        do {
            claimed = try CardIdentity(of: document.card)
        } catch {
            throw RPCError(code: .invalidArgument, message: "card: \(error.description)")
        }
        guard !request.spiffeID.isEmpty else {
            guard let claimed else {
                throw RPCError(code: .invalidArgument, message: "the card does not say whose it is")
            }
            return (document, claimed.spiffeID)
        }
        do {
            let id = try SPIFFEID(request.spiffeID)
            if claimed != nil { return (document, id) }
            return (document.with(identity: try CardIdentity(spiffeID: id)), id)
        } catch let error as SPIFFEIDError {
            throw RPCError(code: .invalidArgument, message: "spiffe_id: \(error.description)")
        } catch {
            throw RPCError(code: .invalidArgument, message: "spiffe_id: a trust domain has no card")
        }
    }

    /// Agents that the directory does not know have their entries alone.
    private func isEnabled(_ id: SPIFFEID) -> Bool {
        let snapshot = directory.snapshot
        guard let agent = snapshot.agent(withSPIFFEID: id) else { return !snapshot.hasRetired(id) }
        return agent.state == .enabled && agent.expiresAt.map { now() < $0 } ?? true
    }
}
