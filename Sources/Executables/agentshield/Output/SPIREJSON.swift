import ControlPlaneAPI
import FoundationEssentials
import JOSE

// The JSON of `-output json`: the field names of SPIRE's API messages, every field present, 64-bit numbers as
// strings and bytes as base64, as the protobuf JSON mapping writes them.

extension Spire_Api_Types_SPIFFEID {
    var json: JSONValue { ["trust_domain": .string(trustDomain), "path": .string(path)] }
    /// The ID as a URI.
    var uri: String { "spiffe://\(trustDomain)\(path)" }
}

extension Spire_Api_Types_Selector {
    var json: JSONValue { ["type": .string(type), "value": .string(value)] }
}

extension Spire_Api_Types_Status {
    var json: JSONValue { ["code": .number(JSONNumber(Int64(code))), "message": .string(message)] }
}

extension Spire_Api_Types_Entry {
    var json: JSONValue {
        [
            "id": .string(id),
            "spiffe_id": spiffeID.json,
            "parent_id": parentID.json,
            "selectors": .array(selectors.map(\.json)),
            "x509_svid_ttl": .number(JSONNumber(Int64(x509SvidTtl))),
            "federates_with": .array(federatesWith.map { .string($0) }),
            "hint": .string(hint),
            "admin": .bool(admin),
            "created_at": .string("\(createdAt)"),
            "downstream": .bool(downstream),
            "expires_at": .string("\(expiresAt)"),
            "dns_names": .array(dnsNames.map { .string($0) }),
            "revision_number": .string("\(revisionNumber)"),
            "store_svid": .bool(storeSvid),
            "jwt_svid_ttl": .number(JSONNumber(Int64(jwtSvidTtl))),
            "additional_attributes": [
                "disable_x509_svid_prefetch": .bool(additionalAttributes.disableX509SvidPrefetch),
                "jwt_svid_include_jti": .bool(additionalAttributes.jwtSvidIncludeJti),
            ],
        ]
    }
}

extension Spire_Api_Types_Agent {
    var json: JSONValue {
        [
            "id": id.json,
            "attestation_type": .string(attestationType),
            "x509svid_serial_number": .string(x509SvidSerialNumber),
            "x509svid_expires_at": .string("\(x509SvidExpiresAt)"),
            "selectors": .array(selectors.map(\.json)),
            "banned": .bool(banned),
            "can_reattest": .bool(canReattest),
            "agent_version": .string(agentVersion),
        ]
    }
}

extension Spire_Api_Types_Bundle {
    var json: JSONValue {
        [
            "trust_domain": .string(trustDomain),
            "x509_authorities": .array(
                x509Authorities.map { ["asn1": .string($0.asn1.base64EncodedString()), "tainted": .bool($0.tainted)] }),
            "jwt_authorities": .array(
                jwtAuthorities.map {
                    [
                        "public_key": .string($0.publicKey.base64EncodedString()), "key_id": .string($0.keyID),
                        "expires_at": .string("\($0.expiresAt)"), "tainted": .bool($0.tainted),
                    ]
                }),
            "wit_authorities": .array(
                witAuthorities.map {
                    [
                        "public_key": .string($0.publicKey.base64EncodedString()), "key_id": .string($0.keyID),
                        "expires_at": .string("\($0.expiresAt)"), "tainted": .bool($0.tainted),
                    ]
                }),
            "refresh_hint": .string("\(refreshHint)"),
            "sequence_number": .string("\(sequenceNumber)"),
        ]
    }
}

extension Spire_Api_Types_X509SVID {
    var json: JSONValue {
        [
            "cert_chain": .array(certChain.map { .string($0.base64EncodedString()) }),
            "id": id.json,
            "expires_at": .string("\(expiresAt)"),
            "hint": .string(hint),
        ]
    }
}

extension Spire_Api_Types_WITSVID {
    var json: JSONValue {
        [
            "token": .string(token),
            "id": id.json,
            "expires_at": .string("\(expiresAt)"),
            "issued_at": .string("\(issuedAt)"),
            "hint": .string(hint),
        ]
    }
}

extension Spire_Api_Types_JWTSVID {
    var json: JSONValue {
        [
            "token": .string(token),
            "id": id.json,
            "expires_at": .string("\(expiresAt)"),
            "issued_at": .string("\(issuedAt)"),
            "hint": .string(hint),
        ]
    }
}
