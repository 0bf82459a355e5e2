import ControlPlaneAPI
import Glibc
import JOSE

/// `-data FILE`: `{"entries": […]}` in either of SPIRE's two JSON shapes.
///
/// The one of its `entry create -data` has IDs as URIs and `entry_id`, `entry_expiry`. The one of its `entry show -output json`
/// has IDs as `{"trust_domain": …, "path": …}` and `id`, `expires_at`, `additional_attributes`, so that the entries of a
/// SPIRE server can be taken over as they are; what the server itself sets (`created_at`, `revision_number`) is passed over.
enum EntryFile {
    /// Files larger than this are refused.
    static let maximumBytes = 16 << 20

    /// Reads `path`, or standard input for `-`.
    static func read(_ path: String) throws -> [Spire_Api_Types_Entry] {
        let bytes = try LocalFile.read(path, limit: maximumBytes)
        let document: JSONValue
        do throws(JSONParseError) {
            document = try JSONValue(
                parsing: bytes,
                limits: JSONLimits(maximumBytes: maximumBytes, maximumDepth: JSONLimits.default.maximumDepth))
        } catch {
            throw CommandFailure("-data `\(path)` is not JSON: \(error)")
        }
        guard let items = document.objectValue?["entries"]?.arrayValue else {
            throw CommandFailure("-data `\(path)` has no array `entries`")
        }
        return try items.enumerated().map { index, item in
            guard let object = item.objectValue else { throw CommandFailure("entries[\(index)] is not an object") }
            return try entry(object, place: "entries[\(index)]")
        }
    }

    /// `entries` in pieces that one call carries.
    static func batches(_ entries: [Spire_Api_Types_Entry]) -> [[Spire_Api_Types_Entry]] {
        stride(from: 0, to: entries.count, by: batchSize).map {
            Array(entries[$0..<min($0 + batchSize, entries.count)])
        }
    }

    /// Well below the control plane's 1000 for a batch, so that entries of some KiB fit into one message too.
    private static let batchSize = 500

    private static let known: Set<String> = [
        "entry_id", "id", "spiffe_id", "parent_id", "selectors", "x509_svid_ttl", "jwt_svid_ttl", "ttl",
        "federates_with",
        "admin", "downstream", "entry_expiry", "expires_at", "dns_names", "hint", "store_svid", "additional_attributes",
        "created_at", "revision_number",
    ]

    private static func entry(_ object: JSONObject, place: String) throws -> Spire_Api_Types_Entry {
        if let unknown = object.members.first(where: { !known.contains($0.0) }) {
            throw CommandFailure("\(place): unknown member `\(unknown.0)`")
        }
        var entry = Spire_Api_Types_Entry()
        entry.id = try string(object, "entry_id", place) ?? string(object, "id", place) ?? ""
        guard let id = try spiffeID(object, "spiffe_id", place) else {
            throw CommandFailure("\(place): no `spiffe_id`")
        }
        entry.spiffeID = id
        if let parent = try spiffeID(object, "parent_id", place) { entry.parentID = parent }
        for item in object["selectors"]?.arrayValue ?? [] {
            var selector = Spire_Api_Types_Selector()
            selector.type = item.objectValue?["type"]?.stringValue ?? ""
            selector.value = item.objectValue?["value"]?.stringValue ?? ""
            guard !selector.type.isEmpty, !selector.value.isEmpty else {
                throw CommandFailure("\(place): a selector needs `type` and `value`")
            }
            entry.selectors.append(selector)
        }
        let both = try integer(object, "ttl", place)
        entry.x509SvidTtl = try integer(object, "x509_svid_ttl", place) ?? both ?? 0
        entry.jwtSvidTtl = try integer(object, "jwt_svid_ttl", place) ?? both ?? 0
        entry.federatesWith = try strings(object, "federates_with", place)
        entry.dnsNames = try strings(object, "dns_names", place)
        entry.admin = try flag(object, "admin", place)
        entry.downstream = try flag(object, "downstream", place)
        entry.storeSvid = try flag(object, "store_svid", place)
        entry.hint = try string(object, "hint", place) ?? ""
        entry.expiresAt = try seconds(object, "entry_expiry", place) ?? seconds(object, "expires_at", place) ?? 0
        try addAttributes(object, to: &entry, place)
        return entry
    }

    private static func addAttributes(_ object: JSONObject, to entry: inout Spire_Api_Types_Entry, _ place: String)
        throws
    {
        guard let value = object["additional_attributes"], value != .null else { return }
        let inner = "\(place).additional_attributes"
        guard let attributes = value.objectValue else { throw CommandFailure("\(inner) is not an object") }
        let names: Set<String> = ["disable_x509_svid_prefetch", "jwt_svid_include_jti"]
        if let unknown = attributes.members.first(where: { !names.contains($0.0) }) {
            throw CommandFailure("\(inner): unknown member `\(unknown.0)`")
        }
        entry.additionalAttributes.disableX509SvidPrefetch = try flag(attributes, "disable_x509_svid_prefetch", inner)
        entry.additionalAttributes.jwtSvidIncludeJti = try flag(attributes, "jwt_svid_include_jti", inner)
    }

    /// An ID as a URI or as an object. Nil if it is absent or empty.
    private static func spiffeID(_ object: JSONObject, _ name: String, _ place: String) throws
        -> Spire_Api_Types_SPIFFEID?
    {
        guard let value = object[name], value != .null else { return nil }
        let text: String
        if let parts = value.objectValue {
            let domain = try string(parts, "trust_domain", "\(place).\(name)") ?? ""
            let path = try string(parts, "path", "\(place).\(name)") ?? ""
            if domain.isEmpty, path.isEmpty { return nil }
            guard path.isEmpty || path.hasPrefix("/") else {
                throw CommandFailure("\(place).\(name).path does not begin with `/`")
            }
            text = "spiffe://\(domain)\(path)"
        } else {
            text = try string(object, name, place) ?? ""
            if text.isEmpty { return nil }
        }
        return try parseID(text, flag: "\(place).\(name)").message
    }

    /// Seconds since 1970 as a number or, as protobuf's JSON mapping writes 64-bit numbers, as a string.
    private static func seconds(_ object: JSONObject, _ name: String, _ place: String) throws -> Int64? {
        guard let value = object[name] else { return nil }
        guard let seconds = value.int64Value ?? value.stringValue.flatMap({ Int64($0) }) else {
            throw CommandFailure("\(place).\(name) is not a whole number")
        }
        return seconds
    }

    private static func string(_ object: JSONObject, _ name: String, _ place: String) throws -> String? {
        guard let value = object[name] else { return nil }
        guard let text = value.stringValue else { throw CommandFailure("\(place).\(name) is not a string") }
        return text
    }

    private static func strings(_ object: JSONObject, _ name: String, _ place: String) throws -> [String] {
        guard let value = object[name] else { return [] }
        guard let items = value.arrayValue else { throw CommandFailure("\(place).\(name) is not an array") }
        return try items.map { item in
            guard let text = item.stringValue else {
                throw CommandFailure("\(place).\(name) holds something not a string")
            }
            return text
        }
    }

    private static func integer(_ object: JSONObject, _ name: String, _ place: String) throws -> Int32? {
        guard let value = object[name] else { return nil }
        guard let number = value.int64Value, let small = Int32(exactly: number) else {
            throw CommandFailure("\(place).\(name) is not a whole number in range")
        }
        return small
    }

    private static func flag(_ object: JSONObject, _ name: String, _ place: String) throws -> Bool {
        guard let value = object[name] else { return false }
        guard let flag = value.boolValue else { throw CommandFailure("\(place).\(name) is neither true nor false") }
        return flag
    }
}
