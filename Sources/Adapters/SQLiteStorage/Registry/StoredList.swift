import JOSE
import Registry

/// A list of texts in one column, as a JSON array.
enum StoredList {
    static func encode(_ texts: some Sequence<String>) -> String {
        String(decoding: JSONValue.array(texts.map { .string($0) }).serializedBytes, as: UTF8.self)
    }

    static func decode(_ text: String) throws -> [String] {
        // Most lists are empty.
        guard text != "[]" else { return [] }
        // Lists are bounded where they are made; here only a damaged column can be larger.
        let limits = JSONLimits(maximumBytes: 64 << 20)
        guard let texts = try JSONValue(parsing: text, limits: limits).stringArrayValue else {
            throw StoreError.failed("a stored list is damaged")
        }
        return texts
    }
}
