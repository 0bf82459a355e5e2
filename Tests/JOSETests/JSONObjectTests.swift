import JOSE
import Testing

@Suite struct JSONObjectTests {
    @Test func `setting replaces in place, appends, and removes`() {
        var object: JSONObject = ["a": 1, "b": 2]
        object["a"] = "x"
        object["c"] = nil
        object["d"] = .null
        object["b"] = nil
        #expect(object.members.map(\.name) == ["a", "d"])
        #expect(object["a"] == "x")
        #expect(object["d"]?.isNull == true)
        #expect(object["b"] == nil)
    }

    @Test(arguments: [3, 40])
    func `a repeated name keeps its first place and its last value`(count: Int) {
        let members = (0..<count).map { ("n\($0)", JSONValue.number(JSONNumber(Int64($0)))) }
        let object = JSONObject(members + [("n1", "last")])
        #expect(object.count == count)
        #expect(object.members[1].name == "n1")
        #expect(object["n1"] == "last")
    }

    @Test func `order of members does not matter for equality, order of elements does`() {
        #expect(JSONObject([("a", 1), ("b", [1, 2])]) == JSONObject([("b", [1, 2]), ("a", 1)]))
        #expect(JSONObject([("a", 1), ("b", 2)]) != JSONObject([("b", 1), ("a", 2)]))
        #expect(JSONObject([("a", 1)]) != JSONObject([("a", 1), ("b", 2)]))
        #expect(JSONValue.array([1, 2]) != JSONValue.array([2, 1]))
        #expect(JSONValue.bool(false) != JSONValue.null)
        #expect(JSONValue.string("1") != JSONValue.number(JSONNumber(1)))
    }

    @Test func `the accessors answer for their own type only`() throws {
        let values: [JSONValue] = [nil, true, 7, "s", ["t", "u"], ["k": 1]]
        #expect(values.map(\.boolValue) == [nil, true, nil, nil, nil, nil])
        #expect(values.map(\.int64Value) == [nil, nil, 7, nil, nil, nil])
        #expect(values.map(\.numberValue) == [nil, nil, JSONNumber(7), nil, nil, nil])
        #expect(values.map(\.stringValue) == [nil, nil, nil, "s", nil, nil])
        #expect(values.map(\.stringArrayValue) == [nil, nil, nil, nil, ["t", "u"], nil])
        #expect(values.map { $0.arrayValue?.count } == [nil, nil, nil, nil, 2, nil])
        #expect(values.map { $0.objectValue?.count } == [nil, nil, nil, nil, nil, 1])
        #expect(JSONValue.array(["a", 1]).stringArrayValue == nil)
        #expect(try JSONValue(parsing: "1.5").int64Value == nil)
        #expect(try JSONValue(parsing: "9223372036854775808").int64Value == nil)
    }
}
