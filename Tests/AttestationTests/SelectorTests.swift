import Testing

@testable import Attestation

@Suite struct SelectorTests {
    @Test(
        "a selector is cut at the first colon",
        arguments: [
            ("unix:uid:1000", "unix", "uid:1000"), ("a:b", "a", "b"), ("docker:env:K=V:W", "docker", "env:K=V:W"),
            ("x::", "x", ":"), ("unknown-type:v", "unknown-type", "v"), ("t: v", "t", " v"),
        ])
    func parses(text: String, type: String, value: String) throws {
        let selector = try Selector(parsing: text)
        #expect(selector.type == type)
        #expect(selector.value == value)
        #expect(selector.description == text)
        #expect(try Selector(type: type, value: value) == selector)
    }

    @Test(
        "a text that breaks a rule is refused",
        arguments: [
            ("", SelectorError.missingColon), ("unix", .missingColon), (":value", .emptyType), ("unix:", .emptyValue),
            (":", .emptyType),
        ])
    func refuses(text: String, error: SelectorError) {
        #expect(throws: error) { try Selector(parsing: text) }
    }

    @Test("the parts of a selector follow the same rules")
    func parts() throws {
        #expect(throws: SelectorError.emptyType) { try Selector(type: "", value: "v") }
        #expect(throws: SelectorError.emptyValue) { try Selector(type: "t", value: "") }
        #expect(throws: SelectorError.colonInType) { try Selector(type: "a:b", value: "v") }
        let longest = try Selector(type: "t", value: String(repeating: "v", count: 4094))
        #expect(longest.description.utf8.count == Selector.maximumLength)
        let tooLong = String(repeating: "v", count: 4095)
        #expect(throws: SelectorError.tooLong) { try Selector(type: "t", value: tooLong) }
        #expect(throws: SelectorError.tooLong) { try Selector(parsing: "t:" + tooLong) }
    }

    @Test("selectors sort by type, then value")
    func order() throws {
        let sorted = try ["b:1", "a:2", "a:1", "aa:0"].map { try Selector(parsing: $0) }.sorted()
        #expect(sorted.map(\.description) == ["a:1", "a:2", "aa:0", "b:1"])
    }

    @Test(
        "sets match as in SPIRE's lists",
        arguments: [
            // item, query, exact, subset, superset, any
            ([1, 2], [1, 2], true, true, true, true),
            ([1], [1, 2], false, true, false, true),
            ([1, 2, 3], [1, 2], false, false, true, true),
            ([1, 3], [1, 2], false, false, false, true),
            ([3], [1, 2], false, false, false, false),
            ([1], [], false, false, true, false),
            ([], [], true, true, true, false),
        ] as [([Int], [Int], Bool, Bool, Bool, Bool)])
    func matches(item: [Int], query: [Int], exact: Bool, subset: Bool, superset: Bool, any: Bool) {
        let expected: [SelectorMatch: Bool] = [.exact: exact, .subset: subset, .superset: superset, .any: any]
        for match in SelectorMatch.allCases {
            #expect(match.matches(entry: Set(item), query: Set(query)) == expected[match], "\(match)")
        }
    }
}
