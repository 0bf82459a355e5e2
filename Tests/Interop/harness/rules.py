"""SPIFFE's rules for what is handed out, checked with `cryptography` and not with any SPIFFE library.

Section numbers are those of the X509-SVID and JWT-SVID standards where they name one.
"""

import base64
import datetime
import json
from typing import Optional

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from wire.keys import uri_sans
from wire.spire_agent import public_bytes


def split_der(blob: bytes) -> list[bytes]:
    """Concatenated DER values, each checked to end where its length says."""
    parts = []
    while blob:
        assert blob[0] == 0x30, "a certificate is a SEQUENCE"
        length, header = blob[1], 2
        if length & 0x80:
            count = length & 0x7F
            header += count
            length = int.from_bytes(blob[2 : 2 + count], "big")
        assert len(blob) >= header + length, "the last certificate is cut off"
        parts.append(blob[: header + length])
        blob = blob[header + length :]
    return parts


def extension(certificate: x509.Certificate, kind):
    try:
        return certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def check_leaf(leaf: x509.Certificate, id: str) -> None:
    """The leaf profile that every known client takes (X509-SVID §§3 to 5, and the union of their checks)."""
    assert leaf.version == x509.Version.v3
    assert uri_sans(leaf) == [id], "exactly one URI SAN, the SPIFFE ID"
    assert id.count("/") > 2, "a leaf's ID has a path"

    basic = extension(leaf, x509.BasicConstraints)
    assert basic is not None and basic.critical and not basic.value.ca

    usage = extension(leaf, x509.KeyUsage)
    assert usage is not None and usage.critical and usage.value.digital_signature
    assert not usage.value.key_cert_sign and not usage.value.crl_sign

    purposes = extension(leaf, x509.ExtendedKeyUsage)
    assert purposes is not None
    assert {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH} <= set(purposes.value)

    san = extension(leaf, x509.SubjectAlternativeName)
    assert len(leaf.subject) > 0 or san.critical, "an empty subject needs a critical SAN"
    assert extension(leaf, x509.AuthorityKeyIdentifier) is not None

    key = leaf.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    assert 0 < leaf.serial_number < 1 << 159, "RFC 5280 §4.1.2.2: positive, at most 20 bytes"


def check_authority(root: x509.Certificate, trust_domain: str) -> None:
    """A CA certificate in a bundle (X509-SVID §§3, 4)."""
    basic = extension(root, x509.BasicConstraints)
    assert basic is not None and basic.critical and basic.value.ca
    usage = extension(root, x509.KeyUsage)
    assert usage is not None and usage.critical and usage.value.key_cert_sign and usage.value.crl_sign
    assert not usage.value.digital_signature
    assert uri_sans(root) == [f"spiffe://{trust_domain}"], "the trust domain's ID, without path"


def check_signed_by(leaf: x509.Certificate, roots: list[x509.Certificate]) -> x509.Certificate:
    """The root that signed the leaf directly."""
    for root in roots:
        try:
            leaf.verify_directly_issued_by(root)
        except (ValueError, TypeError, InvalidSignature):
            continue
        ski = extension(root, x509.SubjectKeyIdentifier)
        aki = extension(leaf, x509.AuthorityKeyIdentifier)
        assert ski.value.digest == aki.value.key_identifier, "AKI of the leaf is SKI of its issuer"
        return root
    raise AssertionError("no root of the bundle signed the leaf")


def check_x509_svid(svid, trust_domain: str, id: Optional[str] = None) -> x509.Certificate:
    """One X509SVID message of the Workload API; returns its leaf."""
    chain = [x509.load_der_x509_certificate(der) for der in split_der(svid.x509_svid)]
    roots = [x509.load_der_x509_certificate(der) for der in split_der(svid.bundle)]
    assert chain and roots, "neither the chain nor the bundle is ever empty"
    leaf = chain[0]
    check_leaf(leaf, id or svid.spiffe_id)
    assert svid.spiffe_id == uri_sans(leaf)[0], "the message and the leaf say the same ID"
    for root in roots:
        check_authority(root, trust_domain)
    assert not any(certificate in roots for certificate in chain), "the root is never sent in the chain"
    for below, above in zip(chain, chain[1:]):
        below.verify_directly_issued_by(above)
    check_signed_by(chain[-1], roots)

    key = serialization.load_der_private_key(svid.x509_svid_key, password=None)
    (whole,) = split_der(svid.x509_svid_key)
    # PKCS#8 begins SEQUENCE { INTEGER 0, SEQUENCE AlgorithmIdentifier … }; SEC1 has INTEGER 1 and an OCTET STRING.
    assert b"\x02\x01\x00\x30" in whole[:8], "PKCS#8, not SEC1"
    assert public_bytes(key.public_key()) == public_bytes(leaf.public_key()), "the key belongs to the leaf"

    now = datetime.datetime.now(datetime.timezone.utc)
    assert leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc
    return leaf


def lifetime(certificate: x509.Certificate) -> int:
    """Seconds from notBefore to notAfter; the product puts notBefore 10 s back."""
    return int((certificate.not_valid_after_utc - certificate.not_valid_before_utc).total_seconds())


def b64url(text: str) -> bytes:
    assert "=" not in text, "base64url without padding"
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def jwt_parts(token: str) -> tuple[dict, dict]:
    """Header and claims of a compact token, unverified."""
    header, claims, _ = token.split(".")
    return json.loads(b64url(header)), json.loads(b64url(claims))


def check_jwt_bundle(document: bytes) -> dict[str, dict]:
    """A JWKS of the Workload API: only JWT-SVID keys, each with its kid, nothing of the SPIFFE bundle format (§8.2)."""
    jwks = json.loads(document)
    assert set(jwks) == {"keys"}, "no spiffe_ members in the Workload API's JWKS"
    assert jwks["keys"], "a trust domain that issues tokens has a key"
    keys = {}
    for jwk in jwks["keys"]:
        assert jwk.get("kid"), "every key has a kid"
        assert jwk["kid"] not in keys, "a kid names one key"
        assert jwk.get("use", "jwt-svid") == "jwt-svid" and "x5c" not in jwk, "neither X.509 nor WIT keys"
        assert "d" not in jwk, "no private key"
        assert (jwk["kty"], jwk["crv"]) == ("EC", "P-256")
        keys[jwk["kid"]] = jwk
    return keys
