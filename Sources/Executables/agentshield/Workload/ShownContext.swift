import FoundationEssentials
import JOSE
import SPIFFE
import WorkloadAPI

/// An answer of the Workload API, checked and ready to be shown or written.
struct ShownContext {
    private struct Identity {
        let svid: X509SVID
        let hint: String
        let bundle: X509Bundle
    }

    private let identities: [Identity]
    private let federated: [X509Bundle]

    /// - Throws: `CommandFailure` when the answer holds what no Workload API may send.
    init(_ context: WorkloadX509Context) throws {
        do {
            identities = try context.svids.map { svid in
                Identity(
                    svid: try X509SVID(chainConcatenated: svid.chain, pkcs8: svid.privateKey), hint: svid.hint,
                    bundle: try X509Bundle(trustDomain: svid.id.trustDomain, derConcatenated: svid.bundle))
            }
            federated = try context.federatedBundles.sorted { $0.key < $1.key }.map {
                try X509Bundle(trustDomain: $0.key, derConcatenated: $0.value)
            }
        } catch {
            throw CommandFailure("the Workload API sent a malformed identity: \(error)")
        }
    }

    var pretty: String {
        var lines = PrettyLines()
        for identity in identities {
            let leaf = identity.svid.leaf
            lines.line("SPIFFE ID", identity.svid.id)
            if !identity.hint.isEmpty { lines.line("Hint", identity.hint) }
            lines.line("SVID Valid After", leaf.notBefore.rfc3339)
            lines.line("SVID Valid Until", leaf.notAfter.rfc3339)
            lines.line("SVID Serial", leaf.serialNumber.decimal)
            for (number, authority) in identity.bundle.authorities.enumerated() {
                lines.line("CA #\(number + 1) Valid After", authority.certificate.notBefore.rfc3339)
                lines.line("CA #\(number + 1) Valid Until", authority.certificate.notAfter.rfc3339)
            }
            lines.blank()
        }
        for bundle in federated { lines.line("Federated with", bundle.trustDomain.name) }
        return "Received \(counted(identities.count, "svid", "svids"))\n\n" + lines.text
    }

    var json: JSONValue {
        [
            "svids": .array(
                identities.map { identity in
                    [
                        "spiffe_id": .string(identity.svid.id.string),
                        "x509_svid": .string(Self.base64(identity.svid.chainConcatenated)),
                        "x509_svid_key": .string(Self.base64(identity.svid.pkcs8)),
                        "bundle": .string(Self.base64(identity.bundle.derConcatenated)),
                        "hint": .string(identity.hint),
                        "serial_number": .string(identity.svid.leaf.serialNumber.decimal),
                        "expires_at": .string("\(identity.svid.leaf.notAfter.seconds)"),
                    ]
                }),
            "federated_bundles": .object(
                JSONObject(federated.map { ($0.trustDomain.id.string, .string(Self.base64($0.derConcatenated))) })),
        ]
    }

    /// `svid.N.pem`, `svid.N.key`, `bundle.N.pem` and `federated_bundle.N.M.pem`, each replaced whole.
    func write(to directory: String) throws {
        try LocalFile.checkDirectory(directory, flag: "-write")
        for (number, identity) in identities.enumerated() {
            let svid = identity.svid
            try put("\(directory)/svid.\(number).pem", svid.chain, 0o644)
            try LocalFile.write(
                Array(PEM.encode(label: "PRIVATE KEY", der: svid.pkcs8).utf8), to: "\(directory)/svid.\(number).key",
                mode: 0o600)
            try put("\(directory)/bundle.\(number).pem", identity.bundle.authorities.map(\.der), 0o644)
            for (other, bundle) in federated.enumerated() {
                try put("\(directory)/federated_bundle.\(number).\(other).pem", bundle.authorities.map(\.der), 0o644)
            }
        }
    }

    private func put(_ path: String, _ certificates: [[UInt8]], _ mode: UInt32) throws {
        let text = certificates.map { PEM.encode(label: "CERTIFICATE", der: $0) }.joined()
        try LocalFile.write(Array(text.utf8), to: path, mode: mode)
    }

    private static func base64(_ bytes: [UInt8]) -> String { Base64.encode(bytes) }
}
