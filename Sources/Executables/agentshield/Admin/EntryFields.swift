import ArgumentParser
import ControlPlaneAPI
import SPIFFE

/// The flags that describe a registration entry, shared by `entry create` and `entry update`.
struct EntryFields: ParsableArguments {
    @Option(name: .flag("spiffeID"), help: "SPIFFE ID that the workload gets.")
    var spiffeID: String?

    @Option(name: .flag("parentID"), help: "SPIFFE ID of the node, alias or workload that may serve the entry.")
    var parentID: String?

    @Flag(name: .flag("node"), help: "The entry is a node alias: its parent is the server's ID.")
    var node = false

    @Option(name: .flag("selector"), help: "A selector `type:value` that the workload must have; repeat for more.")
    var selectors: [String] = []

    @Option(name: .flag("x509SVIDTTL"), help: "Lifetime of X.509-SVIDs in seconds (0: the server's default).")
    var x509SVIDTTL: Int32?

    @Option(name: .flag("jwtSVIDTTL"), help: "Lifetime of JWT-SVIDs in seconds (0: the server's default).")
    var jwtSVIDTTL: Int32?

    @Option(name: .flag("ttl"), help: "Both lifetimes in seconds (older spelling).")
    var ttl: Int32?

    @Option(name: .flag("federatesWith"), help: "A trust domain whose bundle the workload gets; repeat for more.")
    var federatesWith: [String] = []

    @Option(name: .flag("dns"), help: "A DNS name in the X.509-SVID; repeat for more.")
    var dnsNames: [String] = []

    @Option(name: .flag("hint"), help: "Free text by which a workload picks one of several identities.")
    var hint: String?

    @Flag(name: .flag("admin"), help: "The workload may administer the control plane.")
    var admin = false

    @Flag(name: .flag("downstream"), help: "The workload is a downstream control plane.")
    var downstream = false

    @Flag(name: .flag("storeSVID"), help: "The SVID is meant for a secret store, not for the Workload API.")
    var storeSVID = false

    @Option(name: .flag("entryExpiry"), help: "When the entry ends, in seconds since 1970 (0: never).")
    var entryExpiry: Int64?

    @Flag(name: .flag("disableX509SVIDPrefetch"), help: "Node agents fetch the X.509-SVID only when asked.")
    var disableX509SVIDPrefetch = false

    @Flag(name: .flag("jwtSVIDIncludeJTI"), help: "JWT-SVIDs carry a `jti` claim.")
    var jwtSVIDIncludeJTI = false

    @Flag(name: .flag("allowAnyLauncher"), help: "Accept launch:name without launch:uid: any user may take the name.")
    var allowAnyLauncher = false

    @Option(name: .flag("data"), help: "Read entries from a JSON file instead (`-`: standard input).")
    var data: String?

    /// The entry these flags describe.
    func entry(id: String) throws -> Spire_Api_Types_Entry {
        guard let spiffeID else { throw CommandFailure("-spiffeID is needed") }
        guard !selectors.isEmpty else { throw CommandFailure("at least one -selector is needed") }
        if node, parentID != nil { throw CommandFailure("-node sets the parent itself: leave out -parentID") }
        if node, !federatesWith.isEmpty {
            throw CommandFailure("a node alias cannot federate: leave out -federatesWith")
        }
        if ttl != nil, x509SVIDTTL != nil || jwtSVIDTTL != nil {
            throw CommandFailure("-ttl sets both lifetimes: use it, or -x509SVIDTTL and -jwtSVIDTTL, not both")
        }
        let subject = try parseID(spiffeID, flag: "-spiffeID")
        var entry = Spire_Api_Types_Entry()
        entry.id = id
        entry.spiffeID = subject.message
        if node {
            entry.parentID.trustDomain = subject.trustDomain.name
            entry.parentID.path = "/spire/server"
        } else if let parentID {
            entry.parentID = try parseID(parentID, flag: "-parentID").message
        }
        entry.selectors = try selectors.map(parseSelector)
        entry.x509SvidTtl = try nonNegative(x509SVIDTTL ?? ttl ?? 0, flag: "-x509SVIDTTL")
        entry.jwtSvidTtl = try nonNegative(jwtSVIDTTL ?? ttl ?? 0, flag: "-jwtSVIDTTL")
        entry.federatesWith = try federatesWith.map { name in
            do {
                return try TrustDomain(idOrName: name).name
            } catch {
                throw CommandFailure("-federatesWith: \(error)")
            }
        }
        entry.dnsNames = dnsNames
        entry.hint = hint ?? ""
        entry.admin = admin
        entry.downstream = downstream
        entry.storeSvid = storeSVID
        entry.expiresAt = entryExpiry ?? 0
        entry.additionalAttributes.disableX509SvidPrefetch = disableX509SVIDPrefetch
        entry.additionalAttributes.jwtSvidIncludeJti = jwtSVIDIncludeJTI
        return entry
    }

    private func nonNegative(_ value: Int32, flag: String) throws -> Int32 {
        guard value >= 0 else { throw CommandFailure("\(flag) must not be negative") }
        return value
    }
}

extension SPIFFEID {
    /// The ID as SPIRE's API carries it.
    var message: Spire_Api_Types_SPIFFEID {
        var message = Spire_Api_Types_SPIFFEID()
        message.trustDomain = trustDomain.name
        message.path = path
        return message
    }
}

/// Parses a SPIFFE ID given on the command line, naming the flag when it is malformed.
func parseID(_ text: String, flag: String) throws -> SPIFFEID {
    do {
        return try SPIFFEID(text)
    } catch {
        throw CommandFailure("\(flag): \(error)")
    }
}

/// Parses `type:value`, cut at the first colon.
func parseSelector(_ text: String) throws -> Spire_Api_Types_Selector {
    guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")) else {
        throw CommandFailure("-selector `\(text)` is not of the form type:value")
    }
    var selector = Spire_Api_Types_Selector()
    selector.type = String(text[..<colon])
    selector.value = String(text[text.index(after: colon)...])
    guard !selector.type.isEmpty, !selector.value.isEmpty else {
        throw CommandFailure("-selector `\(text)` is not of the form type:value")
    }
    return selector
}
