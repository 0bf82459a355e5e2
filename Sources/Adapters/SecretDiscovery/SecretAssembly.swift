import SPIFFE
import WorkloadAPI

/// Makes the secrets that a request asks for.
struct SecretAssembly: Sendable {
    let names: SecretNames

    /// How many unknown names a refusal repeats.
    private static let shownNames = 5
    /// How much of each, in characters.
    private static let shownName = 100

    /// All of them, or an error: InvalidArgument when the caller may not have one of them.
    func resources(
        names wanted: Set<String>, node: Envoy_Config_Core_V3_Node, view: any SecretView
    ) async throws -> [SecretResource] {
        let selection: SecretSelection
        do throws(SecretSelection.UnknownNames) {
            selection = try SecretSelection(
                names: wanted, ids: view.ids, bundles: view.bundles.keys, own: view.trustDomain, settings: names)
        } catch {
            let shown = error.names.prefix(Self.shownNames).map { "\"\($0.prefix(Self.shownName))\"" }
            throw WorkloadAPIError.invalidArgument(
                "workload is not authorized for the requested identities [\(shown.joined(separator: " "))]")
        }
        let validation = EnvoyValidation(node, names)
        if validation == .authorities, selection.items.contains(where: \.isAllBundles) {
            throw WorkloadAPIError.invalidArgument(
                "`\(names.allBundles)` needs Envoy's SPIFFE validator (Envoy 1.18 or later, not switched off)")
        }
        let positions = selection.positions
        var svids: [Int: WorkloadX509SVID] = [:]
        if !positions.isEmpty {
            for (position, svid) in zip(positions, try await view.identities(at: positions)) { svids[position] = svid }
        }
        return try selection.items.compactMap { item in
            switch item {
            case .identity(let position, let name):
                try svids[position].map { try SecretResource(Secret($0, name: name)) }
            case .bundle(let domain, let name):
                try view.bundles[domain].map { try SecretResource(Secret($0, name: name, validation: validation)) }
            case .allBundles(let name):
                try SecretResource(Secret(view.bundles.values, name: name))
            }
        }
    }

    static func hex(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}

extension SecretSelection.Item {
    fileprivate var isAllBundles: Bool {
        if case .allBundles = self { true } else { false }
    }
}
