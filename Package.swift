// swift-tools-version: 6.2
// Targets stand floor by floor; imports point only downward (docs/architecture.md, scripts/check-imports).
import PackageDescription

/// Set by scripts/fuzz: our own targets count coverage for libFuzzer, and the fuzzers become products.
let isFuzzing = Context.environment["AGENTSHIELD_FUZZ"] != nil

let houseSettings: [SwiftSetting] =
    [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .treatAllWarnings(as: .error),
    ] + (isFuzzing ? [.unsafeFlags(["-sanitize=fuzzer"])] : [])

// One name per outside product, so that a target's list of dependencies reads as words.
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let cryptoExtras = Target.Dependency.product(name: "CryptoExtras", package: "swift-crypto")
let asn1 = Target.Dependency.product(name: "SwiftASN1", package: "swift-asn1")
let x509 = Target.Dependency.product(name: "X509", package: "swift-certificates")
let hashTrees = Target.Dependency.product(name: "HashTreeCollections", package: "swift-collections")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let unixSignals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioTLS = Target.Dependency.product(name: "NIOTLS", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let nioHTTP2 = Target.Dependency.product(name: "NIOHTTP2", package: "swift-nio-http2")
let nioHPACK = Target.Dependency.product(name: "NIOHPACK", package: "swift-nio-http2")
let grpcCore = Target.Dependency.product(name: "GRPCCore", package: "grpc-swift-2")
let grpcTransport = Target.Dependency.product(
    name: "GRPCNIOTransportHTTP2Posix", package: "grpc-swift-nio-transport")
let grpcProtobuf = Target.Dependency.product(name: "GRPCProtobuf", package: "grpc-swift-protobuf")
let protobuf = Target.Dependency.product(name: "SwiftProtobuf", package: "swift-protobuf")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let hummingbirdCore = Target.Dependency.product(name: "HummingbirdCore", package: "hummingbird")
let hummingbirdTLS = Target.Dependency.product(name: "HummingbirdTLS", package: "hummingbird")
let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let httpClient = Target.Dependency.product(name: "AsyncHTTPClient", package: "async-http-client")
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let subprocess = Target.Dependency.product(name: "Subprocess", package: "swift-subprocess")
let system = Target.Dependency.product(name: "SystemPackage", package: "swift-system")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")

/// A library target on its floor: `Sources/<floor>/<name>`.
func library(_ floor: String, _ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(
        name: name, dependencies: dependencies, path: "Sources/\(floor)/\(name)",
        swiftSettings: houseSettings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
    .testTarget(
        name: name, dependencies: dependencies, path: "Tests/\(name)", resources: resources,
        swiftSettings: houseSettings)
}

let standards: [Target] = [
    library("Standards", "JOSE", [crypto, cryptoExtras]),
    library("Standards", "TransparencyLog", [crypto]),
    library("Standards", "WIMSE", ["JOSE", crypto]),
    library("Standards", "SPIFFE", ["JOSE", "WIMSE", crypto, cryptoExtras]),
    library("Standards", "OAuth", ["JOSE", crypto]),
    library("Standards", "A2A", ["JOSE", "SPIFFE", crypto]),
]

let domain: [Target] = [
    library("Domain", "Attestation", ["SPIFFE", "JOSE", crypto, cryptoExtras]),
    library("Domain", "Revocation", ["SPIFFE", "JOSE"]),
    library("Domain", "AuditTrail", ["TransparencyLog", "SPIFFE", "JOSE", crypto]),
    library("Domain", "Registry", ["SPIFFE", "Attestation", "AuditTrail", crypto, hashTrees]),
    library(
        "Domain", "AgentDirectory",
        ["JOSE", "OAuth", "SPIFFE", "AuditTrail", "Registry", crypto, hashTrees]),
    library("Domain", "Authentication", ["JOSE", "OAuth", "Revocation", "SPIFFE", "WIMSE", crypto]),
    library(
        "Domain", "Approvals",
        ["JOSE", "OAuth", "SPIFFE", "AgentDirectory", "AuditTrail", "Registry", crypto]),
    library(
        "Domain", "AgentRegistry",
        ["A2A", "JOSE", "OAuth", "SPIFFE", "AgentDirectory", "AuditTrail", "Registry", crypto, hashTrees]),
    library("Domain", "PolicyEngine", ["JOSE", "OAuth", "SPIFFE", crypto]),
    library(
        "Domain", "TokenService",
        [
            "SPIFFE", "JOSE", "OAuth", "AgentDirectory", "Approvals", "Authentication", "PolicyEngine", "AuditTrail",
            "Issuance", "Revocation", crypto,
        ]),
    library("Domain", "AgentTasks", ["A2A", "JOSE", "SPIFFE", crypto]),
    library(
        "Domain", "Issuance",
        ["A2A", "SPIFFE", "JOSE", "AuditTrail", "Registry", "Revocation", crypto, cryptoExtras]),
]

let adapters: [Target] = [
    library("Adapters", "SQLiteFile", ["SPIFFE", grdb]),
    library("Adapters", "TaskStorage", ["A2A", "AgentTasks", "JOSE", "SPIFFE", "SQLiteFile", grdb]),
    library(
        "Adapters", "SQLiteStorage",
        [
            "SQLiteFile",
            "SPIFFE", "Attestation", "AuditTrail", "TransparencyLog", "Registry", "AgentDirectory", "Issuance",
            "Approvals", "AgentRegistry", "Revocation", "JOSE", grdb,
        ]),
    library("Adapters", "PeerTLS", ["SPIFFE", crypto, nioCore, nioSSL, nioTLS]),
    library("Adapters", "PeerHTTP", ["SPIFFE", "PeerTLS", hummingbirdCore, logging, nioCore, nioPosix]),
    library("Adapters", "ClientCertificates", ["SPIFFE", x509, asn1]),
    library("Adapters", "WebFetch", ["JOSE", "OAuth", "Authentication", nioCore, nioPosix, nioSSL, nioHTTP1]),
    library("Adapters", "BundleEndpointClient", ["SPIFFE", "PeerTLS", "WebFetch"]),
    library(
        "Adapters", "PeerRPC",
        [
            "JOSE", nioCore, nioPosix, nioSSL, nioTLS, nioHTTP2, nioHPACK, grpcCore, grpcProtobuf, protobuf,
        ]),
    library(
        "Adapters", "WorkloadAPI", ["SPIFFE", "JOSE", "PeerRPC", grpcCore, grpcProtobuf, protobuf]),
    library(
        "Adapters", "SecretDiscovery",
        ["SPIFFE", "PeerRPC", "WorkloadAPI", grpcCore, grpcProtobuf, protobuf, logging]),
    library(
        "Adapters", "A2ATransport",
        [
            "A2A", "AgentTasks", "JOSE", "SPIFFE", "PeerRPC", grpcCore, grpcProtobuf, protobuf, hummingbird,
            httpTypes, httpClient, nioCore, nioPosix, nioHTTP1, nioSSL, crypto, "OAuth", "WebFetch",
        ]),
    library(
        "Adapters", "ControlPlaneAPI", ["SPIFFE", "PeerRPC", grpcCore, grpcProtobuf, protobuf, logging]),
    library(
        "Adapters", "CredentialClient",
        [
            "JOSE", "OAuth", "SPIFFE", "Authentication", "Revocation", "PeerTLS", "WorkloadAPI", logging, lifecycle,
        ]),
    library("Adapters", "Observability", ["SPIFFE", logging]),
]

let applications: [Target] = [
    library(
        "Applications", "ControlPlane",
        [
            "SPIFFE", "JOSE", "OAuth", "TransparencyLog", "Attestation", "Authentication", "AuditTrail", "Registry",
            "AgentDirectory", "Approvals", "Issuance", "TokenService", "Revocation", "SQLiteFile", "SQLiteStorage",
            "A2A", "AgentRegistry", "PeerTLS", "PeerRPC", "PeerHTTP", "BundleEndpointClient", "WebFetch",
            "ControlPlaneAPI", "Observability", "ClientCertificates", logging, lifecycle, grpcCore, grpcProtobuf,
            protobuf, hummingbird, httpTypes, nioCore, nioSSL, crypto,
        ]),
    library(
        "Applications", "NodeAgent",
        [
            "SPIFFE", "JOSE", "Attestation", "AuditTrail", "Revocation", "PeerRPC", "WorkloadAPI", "SecretDiscovery",
            "ControlPlaneAPI", "Observability", logging, grpcCore,
            protobuf, nioPosix, crypto,
        ]),
    library(
        "Applications", "AgentShield",
        [
            "A2A", "JOSE", "OAuth", "SPIFFE", "AgentTasks", "Authentication", "A2ATransport", "PeerTLS", "PeerHTTP",
            "CredentialClient", "SQLiteFile", "TaskStorage", "WorkloadAPI", nioCore, nioPosix, nioSSL, nioHTTP1,
            hummingbird, hummingbirdCore, hummingbirdTLS, httpClient, httpTypes, logging, "WIMSE", lifecycle, crypto,
            "PeerRPC", grpcCore, grpcTransport,
        ]),
    library(
        "Applications", "AgentShieldTesting",
        [
            "A2A", "SPIFFE", "AgentTasks", "AuditTrail", "TransparencyLog", "Registry", "AgentDirectory",
            "Approvals", "AgentRegistry", "Issuance", crypto,
        ]),
]

let executables: [Target] = [
    // The system calls of `agentshield run` that Swift cannot make, in C.
    .target(name: "LaunchSystem", path: "Sources/Executables/LaunchSystem"),
    .executableTarget(
        name: "AgentShieldCommand",
        dependencies: [
            "LaunchSystem", "A2A", "AgentShield", "AgentTasks", "JOSE", "SPIFFE", "OAuth", "Attestation",
            "Authentication", "TransparencyLog", "Registry", "AgentDirectory", "Issuance", "PeerRPC", "WorkloadAPI",
            "SecretDiscovery", "ControlPlaneAPI", "Observability", "ControlPlane", "NodeAgent", argumentParser, yams,
            subprocess, system, logging, lifecycle, unixSignals, grpcCore, protobuf, nioSSL, crypto, "A2ATransport",
            httpClient,
        ],
        path: "Sources/Executables/agentshield", swiftSettings: houseSettings),
    .executableTarget(
        name: "DemoAgent",
        dependencies: [
            "A2A", "AgentShield", "AgentTasks", argumentParser, hummingbird, lifecycle, logging, unixSignals, nioCore,
        ],
        path: "Examples/swift/DemoAgent", swiftSettings: houseSettings),
]

let benchmarkTargets: [Target] = [
    .executableTarget(
        name: "IssuanceBenchmark",
        dependencies: [
            "SPIFFE", "JOSE", "OAuth", "Authentication", "TransparencyLog", "AuditTrail", "Registry", "Issuance",
            "SQLiteStorage", crypto,
        ],
        path: "Benchmarks/IssuanceBenchmark", swiftSettings: houseSettings),
    // Searches in a registry of 100,000 agents.
    .executableTarget(
        name: "AgentRegistryBenchmark",
        dependencies: [
            "A2A", "SPIFFE", "AgentDirectory", "AgentRegistry", "AuditTrail", "Registry", "TransparencyLog", crypto,
        ],
        path: "Benchmarks/AgentRegistryBenchmark", swiftSettings: houseSettings),
    // Many node agents in one process, for measurements and tests.
    .executableTarget(
        name: "AgentSwarm",
        dependencies: ["JOSE", "SPIFFE", "Observability", "NodeAgent", argumentParser, logging, unixSignals],
        path: "Benchmarks/AgentSwarm", swiftSettings: houseSettings),
]

let testTargets: [Target] = [
    // What several of them need to run other programs.
    .target(name: "TestPrograms", path: "Tests/TestPrograms", swiftSettings: houseSettings),
    tests("AgentTasksTests", ["A2A", "AgentTasks", "AgentShieldTesting", "JOSE", "SPIFFE"]),
    tests("A2ATests", ["A2A", "JOSE", "SPIFFE", crypto]),
    tests(
        "A2ATransportTests",
        [
            "AgentShieldTesting", "PeerRPC", grpcCore, "A2ATransport", "A2A", "AgentTasks", "JOSE", "SPIFFE",
            "WebFetch", protobuf, crypto, hummingbird, httpTypes, nioCore, nioPosix, nioHTTP1, nioSSL,
        ]),
    tests("WIMSETests", ["JOSE", "WIMSE", crypto]),
    tests("OAuthTests", ["JOSE", "OAuth", crypto, cryptoExtras]),
    tests(
        "SQLiteStorageTests",
        [
            "SQLiteFile", "SQLiteStorage", "AgentShieldTesting", "AuditTrail", "TransparencyLog", "Registry",
            "Issuance", "Attestation", "AgentDirectory", "OAuth", "AgentRegistry", "SPIFFE", crypto, grdb,
        ]),
    tests(
        "TaskStorageTests",
        ["A2A", "AgentTasks", "AgentShieldTesting", "JOSE", "SPIFFE", "SQLiteFile", "TaskStorage"]),
    tests(
        "AuthenticationTests",
        [
            "Authentication", "AgentShieldTesting", "JOSE", "OAuth", "Revocation", "SPIFFE", "WIMSE", crypto,
            cryptoExtras,
        ]),
    tests(
        "WebFetchTests",
        ["WebFetch", "Authentication", "OAuth", "SPIFFE", nioCore, nioPosix, nioSSL, crypto]),
    tests(
        "BundleEndpointClientTests",
        ["BundleEndpointClient", "AgentShieldTesting", "SPIFFE", nioCore, nioPosix, nioSSL]),
    tests(
        "ControlPlaneTests",
        [
            "ControlPlane", "ControlPlaneAPI", "Observability", "PeerRPC", "SPIFFE", logging, grpcCore,
            crypto, "AgentDirectory", "AgentShieldTesting", "AuditTrail", "Authentication", "Issuance", "JOSE", "OAuth",
            "Registry", "TokenService", "TransparencyLog",
        ]),
    tests(
        "NodeAgentTests",
        [
            "NodeAgent", "ControlPlane", "ControlPlaneAPI", "Observability", "WorkloadAPI", "SPIFFE", "JOSE",
            "Attestation", "AuditTrail", logging, grpcCore, grpcProtobuf, protobuf, crypto,
        ]),
    tests("AuditTrailTests", ["AuditTrail", "AgentShieldTesting", "TransparencyLog", "SPIFFE", "JOSE", crypto]),
    tests(
        "IssuanceTests",
        [
            "A2A", "Issuance", "Registry", "Revocation", "Attestation", "AuditTrail", "TransparencyLog", "SPIFFE",
            "JOSE",
            "TestPrograms", x509, asn1, crypto, cryptoExtras,
        ]),
    tests("PolicyEngineTests", ["PolicyEngine", "SPIFFE"]),
    tests(
        "TokenServiceTests",
        [
            "TokenService", "AgentDirectory", "Approvals", "AgentShieldTesting", "AuditTrail", "Authentication",
            "Issuance", "JOSE",
            "OAuth",
            "Registry",
            "Revocation", "SPIFFE", "TransparencyLog", "TestPKI", x509, crypto,
        ]),
    tests("RevocationTests", ["Revocation", "AgentShieldTesting", "SPIFFE", "JOSE", crypto]),
    tests(
        "TrustMatrixTests",
        [
            "Attestation", "AuditTrail", "ControlPlane", "Issuance", "NodeAgent", "Registry", "Revocation", "SPIFFE",
            "JOSE", "OAuth", "TokenService", "TransparencyLog", "WIMSE", "AgentShieldTesting", crypto, "A2A",
        ]),
    tests("AttestationTests", ["Attestation", "SPIFFE", "JOSE", crypto]),
    tests("RegistryTests", ["Registry", "Attestation", "AuditTrail", "TransparencyLog", "SPIFFE", "JOSE", crypto]),
    tests(
        "AgentDirectoryTests",
        [
            "AgentDirectory", "AgentShieldTesting", "Registry", "AuditTrail", "TransparencyLog", "OAuth", "SPIFFE",
            "JOSE", crypto, cryptoExtras,
        ]),
    tests(
        "AgentRegistryTests",
        [
            "AgentRegistry", "AgentDirectory", "AgentShieldTesting", "AuditTrail", "TransparencyLog", "Registry", "A2A",
            "SPIFFE", "JOSE", crypto,
        ]),
    tests("JOSETests", ["JOSE", crypto, cryptoExtras]),
    tests("SPIFFETests", ["SPIFFE", "JOSE", "TestPrograms", crypto, x509, asn1]),
    tests("TransparencyLogTests", ["TransparencyLog", crypto]),
    // What several of them need of a PKI that is not ours.
    .target(
        name: "TestPKI", dependencies: ["SPIFFE", x509, asn1, crypto], path: "Tests/TestPKI",
        swiftSettings: houseSettings),
    tests("ClientCertificatesTests", ["ClientCertificates", "SPIFFE", "AgentShieldTesting", "TestPKI", x509]),
    tests(
        "PeerTLSTests",
        ["PeerTLS", "AgentShieldTesting", "TestPrograms", "TestPKI", "SPIFFE", nioCore, nioPosix, nioSSL]),
    tests(
        "PeerHTTPTests",
        [
            "PeerHTTP", "PeerTLS", "AgentShieldTesting", "TestPKI", "SPIFFE", hummingbird, nioCore, nioPosix, nioSSL,
            logging,
        ]),
    tests(
        "AgentShieldTests",
        [
            "A2A", "A2ATransport", "AgentShield", "AgentShieldTesting", "AgentTasks", "CredentialClient", "WorkloadAPI",
            "PeerRPC", "SPIFFE", "Revocation",
            "JOSE", "OAuth", "PeerHTTP", hummingbird, httpClient, httpTypes, nioCore, nioPosix, nioSSL, crypto,
        ]),
    tests(
        "PeerRPCTests",
        [
            "PeerRPC", "TestPrograms", nioCore, nioPosix, nioHTTP2, nioHPACK, nioSSL, grpcCore, grpcTransport, x509,
            asn1,
            crypto,
        ]),
    tests("SecretDiscoveryTests", ["SecretDiscovery", "SPIFFE", protobuf]),
    tests("WorkloadAPITests", ["WorkloadAPI", "PeerRPC", "SPIFFE", "JOSE", grpcCore, grpcTransport]),
    tests(
        "ControlPlaneAPITests",
        ["ControlPlaneAPI", "PeerRPC", "SPIFFE", grpcCore, grpcProtobuf, protobuf, logging, x509, asn1, crypto]),
]

// The fuzzers stand in the package so that they see `package` declarations, and only when asked for: libFuzzer brings
// `main`, which no SwiftPM product can link, so scripts/fuzz links these archives itself.
let fuzzed = isFuzzing ? ["A2A", "JOSE", "OAuth", "SPIFFE", "TransparencyLog", "WIMSE"] : []
let fuzzTargets: [Target] = fuzzed.map {
    .target(
        name: "Fuzz\($0)", dependencies: [.byName(name: $0)], path: "Fuzz/Sources/Fuzz\($0)",
        swiftSettings: houseSettings)
}

let package = Package(
    name: "AgentShield",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "AgentShield", targets: ["AgentShield"]),
        .library(name: "AgentShieldTesting", targets: ["AgentShieldTesting"]),
        .executable(name: "agentshield", targets: ["AgentShieldCommand"]),
        .executable(name: "demo-agent", targets: ["DemoAgent"]),
    ] + fuzzed.map { .library(name: "Fuzz\($0)", type: .static, targets: ["Fuzz\($0)"]) },
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-asn1", from: "1.7.4"),
        .package(url: "https://github.com/apple/swift-certificates", from: "1.21.1"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-http2", from: "1.46.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0", traits: []),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/grpc/grpc-swift-2", from: "2.4.3"),
        .package(url: "https://github.com/grpc/grpc-swift-nio-transport", from: "2.9.2"),
        .package(url: "https://github.com/grpc/grpc-swift-protobuf", from: "2.4.1"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2", traits: []),
    ],
    targets: standards + domain + adapters + applications + executables + benchmarkTargets + testTargets + fuzzTargets
)
