import Foundation
import Testing
import WIMSE

@Suite struct `Pinned revisions` {
    @Test func `the page on WIMSE has those of the code and no others`() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let page = try String(contentsOf: root.appending(path: "docs/standards/wimse.md"), encoding: .utf8)
        let rows = page.split(separator: "\n").filter { $0.hasPrefix("| draft-ietf-wimse-") }.map { row in
            row.split(separator: "|").prefix(2).map { $0.trimmingCharacters(in: .whitespaces) }.joined(separator: "-")
        }
        #expect(rows == WIMSERevision.allCases.map(\.rawValue))
    }
}
