import Testing
import WorkloadAPI

struct WorkloadEndpointTests {
    @Test(arguments: [
        ("unix:/run/a.sock", WorkloadEndpoint.unix(path: "/run/a.sock")),
        ("unix:///run/a.sock", .unix(path: "/run/a.sock")),
        ("UNIX:///run/a.sock", .unix(path: "/run/a.sock")),
        ("unix:///run/a%20b%2520.sock", .unix(path: "/run/a b%20.sock")),
        ("tcp://127.0.0.1:8000", .tcp(address: "127.0.0.1", port: 8000)),
        ("tcp://[::1]:65535", .tcp(address: "::1", port: 65535)),
    ])
    func `an address of the standard is read`(_ text: String, _ endpoint: WorkloadEndpoint) throws {
        #expect(try WorkloadEndpoint(text) == endpoint)
        let environment = [WorkloadEndpoint.environmentVariable: text]
        #expect(try WorkloadEndpoint(environment: environment) == endpoint)
    }

    @Test(arguments: [
        ("", WorkloadEndpointError.missingScheme),
        ("/run/a.sock", .missingScheme),
        ("http://127.0.0.1:80", .unknownScheme),
        ("unix:", .pathNotAbsolute),
        ("unix:relative", .pathNotAbsolute),
        ("unix:///", .pathNotAbsolute),
        ("unix://", .pathNotAbsolute),
        ("unix://host/run/a.sock", .authorityInUnixAddress),
        ("unix://run/a.sock", .authorityInUnixAddress),
        ("unix:///run/a.sock?x", .queryOrFragment),
        ("unix:///run/a.sock#x", .queryOrFragment),
        ("unix:///run/%zz", .malformed),
        ("unix:///run/%0", .malformed),
        ("unix:///run/%00", .malformed),
        ("unix:///run/%ff", .malformed),
        ("unix:///run/a b", .malformed),
        ("unix:///" + String(repeating: "x", count: 107), .pathTooLong),
        ("tcp:127.0.0.1:80", .malformed),
        ("tcp://127.0.0.1", .notAddressAndPort),
        ("tcp://localhost:80", .notAddressAndPort),
        ("tcp://127.0.0.1:0", .notAddressAndPort),
        ("tcp://127.0.0.1:65536", .notAddressAndPort),
        ("tcp://127.0.0.1:+80", .notAddressAndPort),
        ("tcp://127.0.0.1:80/", .notAddressAndPort),
        ("tcp://127.0.0.1:80/path", .notAddressAndPort),
        ("tcp://user@127.0.0.1:80", .notAddressAndPort),
        ("tcp://::1:80", .notAddressAndPort),
        ("tcp://[::1:80", .notAddressAndPort),
        ("tcp://127.0.0.1:80?x", .queryOrFragment),
    ])
    func `any other address is refused by its rule`(_ text: String, _ error: WorkloadEndpointError) {
        #expect(throws: error) { try WorkloadEndpoint(text) }
    }

    @Test(arguments: [[:], ["SPIFFE_ENDPOINT_SOCKET": ""]])
    func `an environment without the variable is refused`(_ environment: [String: String]) {
        #expect(throws: WorkloadEndpointError.notSet) { try WorkloadEndpoint(environment: environment) }
    }
}
