import SPIFFE

/// What the names of a request mean to one caller.
struct SecretSelection: Equatable {
    /// One secret and the name that it is sent under.
    enum Item: Equatable {
        case identity(position: Int, name: String)
        case bundle(TrustDomain, name: String)
        case allBundles(name: String)
    }

    let items: [Item]

    /// Names that mean nothing, or nothing that the caller may have.
    struct UnknownNames: Error, Equatable {
        let names: [String]
    }

    /// Everything that the caller may have when no name is given, as SPIRE does.
    init(
        names: Set<String>, ids: [SPIFFEID], bundles: some Collection<TrustDomain>, own: TrustDomain,
        settings: SecretNames
    ) throws(UnknownNames) {
        var positions: [SPIFFEID: Int] = [:]
        // One ID may come by several entries: the first of them counts.
        for (position, id) in ids.enumerated() where positions[id] == nil { positions[id] = position }
        let domains = Set(bundles)
        guard !names.isEmpty else {
            items =
                domains.sorted { ($0 != own ? 1 : 0, $0.name) < ($1 != own ? 1 : 0, $1.name) }
                .map { .bundle($0, name: $0.id.string) }
                + ids.enumerated().filter { positions[$0.element] == $0.offset }
                .map { .identity(position: $0.offset, name: $0.element.string) }
            return
        }
        var items: [Item] = []
        var unknown: [String] = []
        for name in names.sorted() {
            if name == settings.identity, !ids.isEmpty {
                items.append(.identity(position: 0, name: name))
            } else if name == settings.bundle, domains.contains(own) {
                items.append(.bundle(own, name: name))
            } else if name == settings.allBundles {
                items.append(.allBundles(name: name))
            } else if let id = try? SPIFFEID(name), let position = positions[id] {
                items.append(.identity(position: position, name: name))
            } else if let domain = Self.trustDomain(name), domains.contains(domain) {
                items.append(.bundle(domain, name: name))
            } else {
                unknown.append(name)
            }
        }
        guard unknown.isEmpty else { throw UnknownNames(names: unknown) }
        self.items = items
    }

    /// The identities whose keys are needed, each once.
    var positions: [Int] {
        var positions: [Int] = []
        for case .identity(let position, _) in items where !positions.contains(position) { positions.append(position) }
        return positions
    }

    /// A trust domain by its ID; its bare name is no name of a secret.
    private static func trustDomain(_ name: String) -> TrustDomain? {
        guard let id = try? SPIFFEID(name), id.path.isEmpty else { return nil }
        return id.trustDomain
    }
}
