import Testing

@testable import Attestation

@Suite struct ProcessStatusTests {
    @Test("status gives effective IDs and supplementary groups")
    func status() throws {
        let text = "Name:\tUid:\\n 7\nState:\tS (sleeping)\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t10 20 30 \n"
        let status = try ProcessStatus(parsing: Array(text.utf8))
        #expect(status.effectiveUID == 2)
        #expect(status.effectiveGID == 6)
        #expect(status.groups == [10, 20, 30])
    }

    @Test("status without groups has none")
    func noGroups() throws {
        let status = try ProcessStatus(parsing: Array("Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t \n".utf8))
        #expect(status.groups.isEmpty)
    }

    @Test(
        "malformed status is refused",
        arguments: [
            "", "Uid:\t1\t2\t3\t4\n", "Uid:\t1\t2\t3\nGid:\t5\t6\t7\t8\nGroups:\t\n",
            "Uid:\t1\t2\t3\t4\nGid:\t5\t-6\t7\t8\nGroups:\t\n",
            "Uid:\t1\t4294967296\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t\n",
            "Uid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n", "Uid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\tx\n",
        ])
    func malformedStatus(text: String) {
        #expect(throws: WorkloadAttestationError.procMalformed) { try ProcessStatus(parsing: Array(text.utf8)) }
    }

    @Test("more groups than the limit are refused")
    func groupLimit() throws {
        func text(_ count: Int) -> [UInt8] {
            let groups = (1...count).map(String.init).joined(separator: " ")
            return Array("Uid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t\(groups)\n".utf8)
        }
        #expect(try ProcessStatus(parsing: text(1024)).groups.count == 1024)
        #expect(throws: WorkloadAttestationError.tooManyGroups) { try ProcessStatus(parsing: text(1025)) }
    }

    @Test(
        "stat is read behind the last parenthesis: the name is the process's own choice",
        arguments: ["cat", "a b", ") S 1", "x\n1 (y) R", "((("])
    func stat(name: String) throws {
        let numbers = (4...21).map(String.init).joined(separator: " ")
        let stat = try ProcessStat(parsing: Array("77 (\(name)) Z \(numbers) 987654 23 24\n".utf8))
        #expect(stat.startTime == 987654)
        #expect(stat.parentPID == 4)
        #expect(stat.state == UInt8(ascii: "Z"))
        #expect(!stat.isRunning)
    }

    @Test(
        "malformed stat is refused",
        arguments: ["", "1 (x", "1 (x) S 1 2 3", "1 (x) SS 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22"])
    func malformedStat(text: String) {
        #expect(throws: WorkloadAttestationError.procMalformed) { try ProcessStat(parsing: Array(text.utf8)) }
    }

    @Test("a number of digits only, within range")
    func digits() {
        func parse(_ text: String) -> UInt32? { UInt32(decimalDigits: Array(text.utf8)[...]) }
        #expect(parse("4294967295") == UInt32.max)
        for text in ["", "4294967296", "+1", "-1", " 1", "1 ", "0x1"] { #expect(parse(text) == nil, "\(text)") }
    }
}
