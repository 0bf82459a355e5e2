import JOSE
import OAuth
import Testing

@Suite("Patterns of authorization details")
struct AuthorizationDetailPatternTests {
    static let payment = #"""
        {"type":"payment","actions":["transfer","refund"],"currency":["EUR","USD"],"amount":{"minimum":1,"maximum":100},
         "creditor":{"name":{},"bank":"B1"},"urgent":false,"note":{}}
        """#

    private func object(_ text: String) throws -> JSONObject {
        try #require(try JSONValue(parsing: text).objectValue)
    }

    private func detail(_ text: String) throws -> AuthorizationDetails.Detail {
        try #require(try AuthorizationDetails(parsing: "[\(text)]").details.first)
    }

    @Test(
        "a detail fits when every member does and none is left over",
        arguments: [
            (
                #"{"type":"payment","actions":["transfer"],"currency":"EUR","amount":100,"creditor":{"name":"x","bank":"B1"},"urgent":false}"#,
                true
            ),
            (
                #"{"type":"payment","actions":"refund","currency":["EUR"],"amount":1,"creditor":{"bank":"B1"},"urgent":false,"note":"n"}"#,
                true
            ),
            (
                #"{"type":"payment","actions":["transfer","refund"],"currency":["USD","EUR"],"amount":55.5,"creditor":{"bank":"B1"},"urgent":false}"#,
                true
            ),
            // Left out means everything.
            (#"{"type":"payment","currency":"EUR","amount":100,"creditor":{"bank":"B1"},"urgent":false}"#, false),
            (
                #"{"type":"payment","actions":[],"currency":"EUR","amount":100,"creditor":{"bank":"B1"},"urgent":false}"#,
                false
            ),
            // Nobody has named it.
            (
                #"{"type":"payment","actions":["transfer"],"currency":"EUR","amount":100,"creditor":{"bank":"B1"},"urgent":false,"privileges":["admin"]}"#,
                false
            ),
            (
                #"{"type":"payment","actions":["transfer"],"currency":"EUR","amount":100,"creditor":{"bank":"B1","iban":"x"},"urgent":false}"#,
                false
            ),
            // Other values.
            (
                #"{"type":"payment","actions":["transfer","close"],"currency":"EUR","amount":100,"creditor":{"bank":"B1"},"urgent":false}"#,
                false
            ),
            (
                #"{"type":"payment","actions":["transfer"],"currency":"GBP","amount":100,"creditor":{"bank":"B1"},"urgent":false}"#,
                false
            ),
            (
                #"{"type":"payment","actions":["transfer"],"currency":"EUR","amount":100.01,"creditor":{"bank":"B1"},"urgent":false}"#,
                false
            ),
            (
                #"{"type":"payment","actions":["transfer"],"currency":"EUR","amount":0,"creditor":{"bank":"B1"},"urgent":false}"#,
                false
            ),
            (
                #"{"type":"payment","actions":["transfer"],"currency":"EUR","amount":"100","creditor":{"bank":"B1"},"urgent":false}"#,
                false
            ),
            (
                #"{"type":"payment","actions":["transfer"],"currency":"EUR","amount":100,"creditor":"B1","urgent":false}"#,
                false
            ),
            (
                #"{"type":"payment","actions":["transfer"],"currency":"EUR","amount":100,"creditor":{"bank":"B1"},"urgent":true}"#,
                false
            ),
            (
                #"{"type":"payment","actions":["transfer"],"currency":"EUR","amount":100,"creditor":{"bank":"B1"},"urgent":null}"#,
                false
            ),
            (
                #"{"type":"Payment","actions":["transfer"],"currency":"EUR","amount":100,"creditor":{"bank":"B1"},"urgent":false}"#,
                false
            ),
        ])
    func covers(text: String, fits: Bool) throws {
        let pattern = try AuthorizationDetailPattern(object(Self.payment))
        #expect(try pattern.covers(detail(text)) == fits)
    }

    @Test("a member `*` allows members of other names, and takes nothing back from those that are named")
    func wildcard() throws {
        let pattern = try AuthorizationDetailPattern(object(#"{"type":"t","actions":["read"],"*":{}}"#))
        #expect(pattern.covers(try detail(#"{"type":"t","actions":["read"],"more":[1,{"x":2}]}"#)))
        #expect(!pattern.covers(try detail(#"{"type":"t","actions":["write"],"more":1}"#)))
        #expect(!pattern.covers(try detail(#"{"type":"t","more":1}"#)))
    }

    @Test(
        "patterns that mean nothing are refused",
        arguments: [
            (#"{"actions":["read"]}"#, AuthorizationDetailPatternError.missingType),
            (#"{"type":7}"#, .missingType),
            (#"{"type":"t","actions":[]}"#, .emptyArray),
            (#"{"type":"t","actions":[["read"]]}"#, .nestedArray),
            (#"{"type":"t","actions":[{"minimum":1}]}"#, .nestedArray),
            (#"{"type":"t","amount":{"minimum":"1"}}"#, .badBounds),
            (#"{"type":"t","amount":{"minimum":1,"step":2}}"#, .badBounds),
            (#"{"type":"t","*":1}"#, .badWildcard),
            (#"{"type":"t","n":9007199254740993}"#, .unsafeNumber),
            (#"{"type":"t","n":{"maximum":9007199254740994}}"#, .unsafeNumber),
            (#"{"type":"t","n":[1,-9007199254740994]}"#, .unsafeNumber),
            (#"{"type":"t","a":{"b":{"c":{"d":{"e":{"f":{"g":{"h":{}}}}}}}}}"#, .tooDeep),
        ])
    func malformed(text: String, error: AuthorizationDetailPatternError) throws {
        let json = try object(text)
        #expect(throws: error) { try AuthorizationDetailPattern(json) }
    }
}
