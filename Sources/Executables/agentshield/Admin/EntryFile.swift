import ControlPlaneAPI
import Glibc
import JOSE

/// `-data FILE`: entries in SPIRE's older JSON shape, `{"entries": [{"spiffe_id": "spiffe://…", "selectors": […]}]}`.
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

    private static let known: Set<String> = [
        "entry_id", "spiffe_id", "parent_id", "selectors", "x509_svid_ttl", "jwt_svid_ttl", "ttl", "federates_with",
        "admin",
        "downstream", "entry_expiry", "dns_names", "hint", "store_svid",
    ]

    private static func entry(_ object: JSONObject, place: String) throws -> Spire_Api_Types_Entry {
        if let unknown = object.members.first(where: { !known.contains($0.0) }) {
            throw CommandFailure("\(place): unknown member `\(unknown.0)`")
        }
        var entry = Spire_Api_Types_Entry()
        entry.id = try string(object, "entry_id", place) ?? ""
        guard let id = try string(object, "spiffe_id", place) else { throw CommandFailure("\(place): no `spiffe_id`") }
        entry.spiffeID = try parseID(id, flag: "\(place).spiffe_id").message
        if let parent = try string(object, "parent_id", place), !parent.isEmpty {
            entry.parentID = try parseID(parent, flag: "\(place).parent_id").message
        }
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
        if let expiry = object["entry_expiry"] {
            guard let seconds = expiry.int64Value else {
                throw CommandFailure("\(place).entry_expiry is not a whole number")
            }
            entry.expiresAt = seconds
        }
        return entry
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
