import Foundation
import JOSE
import SPIFFE
import Testing

@Suite struct `Identifier vectors` {
    let vectors: JSONObject

    init() throws {
        let file = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../Vectors/identifiers.json")
        vectors = try #require(try JSONValue(parsing: [UInt8](Data(contentsOf: file))).objectValue)
    }

    @Test func `SPIFFE IDs of the accept list are read, others refused`() throws {
        var count = 0
        for entry in try #require(vectors["accept"]?.arrayValue) {
            let entry = try #require(entry.objectValue)
            let text = try #require(entry["id"]?.stringValue)
            guard text.hasPrefix("spiffe:") else {
                #expect(throws: SPIFFEIDError.wrongScheme) { try SPIFFEID(text) }
                continue
            }
            let id = try SPIFFEID(text)
            #expect(id.trustDomain.name == entry["trust_domain"]?.stringValue)
            #expect(id.path == entry["path"]?.stringValue)
            count += 1
        }
        #expect(count >= 4)
    }

    @Test func `nothing of the reject list is read`() throws {
        let entries = try #require(vectors["reject"]?.arrayValue)
        #expect(entries.count >= 25)
        for entry in entries {
            let text = try #require(entry.objectValue?["id"]?.stringValue)
            #expect(throws: SPIFFEIDError.self) { try SPIFFEID(text) }
        }
    }
}
