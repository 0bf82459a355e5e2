import Crypto
import JOSE
import OAuth
import SPIFFE

/// The settings that a decision rests on, as one SHA-256: the log tells by it which decisions rest on the same settings.
///
/// The time, the scopes asked for and the binding are facts of the call, not settings, and stay out.
enum PolicyHash {
    static func of(_ question: PolicyQuestion, defaultActorDepth: Int) -> String {
        var writer = Writer()
        let agent = question.agent
        writer.add(agent.id)
        writer.add("\(agent.isEnabled) \(agent.isRevoked) \(agent.expiresAt?.milliseconds ?? -1) \(defaultActorDepth)")
        switch agent.template {
        case .none: writer.add("none")
        case .missing: writer.add("missing")
        case .blueprint(let blueprint):
            writer.add(blueprint.id)
            writer.add(
                "\(blueprint.isEnabled) \(blueprint.maximumTokenLifetime) \(blueprint.maximumActorDepth)")
            writer.add(blueprint.scopes)
            writer.add(blueprint.audiences)
            writer.add(blueprint.credentialKinds.sorted())
        }
        if let resource = question.resource {
            writer.add(resource.id)
            writer.add("\(resource.tokenLifetime) \(resource.demandsBinding)")
            writer.add(resource.scopes)
            writer.add(resource.approvedScopes)
            writer.add(resource.approvedTypes)
        }
        for grant in question.grants where grant.resourceID == question.resource?.id {
            writer.add(grant.id)
            writer.add(grant.scopes)
            writer.add(
                "\(grant.allowsDelegation) \(grant.allowsImpersonation) \(grant.expiresAt?.milliseconds ?? -1) "
                    + (grant.standing == .always ? "always" : "approved"))
            writer.add(grant.details.map { String(decoding: $0.json.canonicalBytes, as: UTF8.self) })
        }
        return writer.hexadecimal
    }

    /// Every text with its length before it, so that no two lists have the same bytes.
    private struct Writer {
        private var bytes: [UInt8] = []

        mutating func add(_ text: String) {
            var count = UInt32(truncatingIfNeeded: text.utf8.count)
            for _ in 0..<4 {
                bytes.append(UInt8(truncatingIfNeeded: count))
                count >>= 8
            }
            bytes.append(contentsOf: text.utf8)
        }

        mutating func add(_ texts: [String]) {
            add(String(texts.count))
            for text in texts { add(text) }
        }

        var hexadecimal: String { HexText.encode(SHA256.hash(bytes: bytes)) }
    }
}
