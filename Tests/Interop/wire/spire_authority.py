"""The authorities of the stand-in for SPIRE's server: certificates and tokens in the shape that SPIRE gives them (§2.4, §2.5)."""

import hashlib
import os
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Iterable, Optional

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wire import messages as m

KEYS = {
    "ec-p256": (lambda: ec.generate_private_key(ec.SECP256R1()), "ES256"),
    "ec-p384": (lambda: ec.generate_private_key(ec.SECP384R1()), "ES384"),
    "rsa-2048": (lambda: rsa.generate_private_key(65537, 2048), "RS256"),
}
"""SPIRE's names of key types, with the algorithm of tokens signed by one."""

BACKDATE = timedelta(seconds=10)


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def public_der(key) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _usage(**uses: bool) -> x509.KeyUsage:
    names = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: uses.get(name, False) for name in names})


@dataclass
class X509Authority:
    """A certificate authority; below `issuer` it is an intermediate, as with an upstream authority."""

    trust_domain: str
    kind: str = "ec-p256"
    ttl: timedelta = timedelta(hours=24)
    issuer: Optional["X509Authority"] = None
    tainted: bool = False
    key: object = field(init=False)
    certificate: x509.Certificate = field(init=False)

    def __post_init__(self) -> None:
        self.key = KEYS[self.kind][0]()
        subject = x509.Name([
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "SPIFFE"),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, str(int.from_bytes(os.urandom(16), "big"))),
        ])  # fmt: skip
        above = self.issuer or self
        now = datetime.now(timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.issuer.certificate.subject if self.issuer else subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATE)
            .not_valid_after(now + self.ttl)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{self.trust_domain}")]),
                critical=False,
            )
        )
        if self.issuer:
            builder = builder.add_extension(self.issuer.key_identifier, critical=False)
        self.certificate = builder.sign(above.key, hashes.SHA256())

    @property
    def key_identifier(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())

    @property
    def root(self) -> "X509Authority":
        return self.issuer.root if self.issuer else self

    @property
    def upstream_chain(self) -> list[bytes]:
        """What follows a leaf: every intermediate, never the root."""
        return [der(self.certificate), *self.issuer.upstream_chain] if self.issuer else []

    def issue(self, public_key, spiffe_id: str, ttl: timedelta, dns: Iterable[str] = ()) -> list[bytes]:
        """A chain, leaf first."""
        names = [*dns]
        subject = [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "SPIRE"),
        ]
        if names:
            subject.append(x509.NameAttribute(NameOID.COMMON_NAME, names[0]))
        now = datetime.now(timezone.utc)
        leaf = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(subject))
            .issuer_name(self.certificate.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATE)
            .not_valid_after(min(now + ttl, self.certificate.not_valid_after_utc))
            .add_extension(
                _usage(
                    digital_signature=True,
                    key_encipherment=True,
                    key_agreement=isinstance(public_key, ec.EllipticCurvePublicKey),
                ),
                critical=True,
            )
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(self.key_identifier, critical=False)
            .add_extension(
                x509.SubjectAlternativeName(
                    [x509.UniformResourceIdentifier(spiffe_id), *(x509.DNSName(name) for name in names)]
                ),
                critical=False,
            )
            .sign(self.key, hashes.SHA256())
        )
        return [der(leaf), *self.upstream_chain]


@dataclass
class JWTAuthority:
    """A key for tokens."""

    kind: str = "ec-p256"
    ttl: timedelta = timedelta(hours=24)
    tainted: bool = False
    key: object = field(init=False)
    key_id: str = field(init=False)
    expires_at: int = field(init=False)

    def __post_init__(self) -> None:
        self.key = KEYS[self.kind][0]()
        self.key_id = hashlib.sha256(public_der(self.key.public_key())).hexdigest()[:32]
        self.expires_at = int(time.time() + self.ttl.total_seconds())

    def message(self):
        return m.types.JWTKey(
            public_key=public_der(self.key.public_key()), key_id=self.key_id, expires_at=self.expires_at,
            tainted=self.tainted,
        )  # fmt: skip

    def sign(self, spiffe_id: str, audience: list[str], ttl: int):
        """A token with the claims that SPIRE gives: no nbf, no iss, aud always a list."""
        now = int(time.time())
        claims = {"aud": audience, "exp": min(now + ttl, self.expires_at), "iat": now, "sub": spiffe_id}
        token = jwt.encode(claims, self.key, algorithm=KEYS[self.kind][1], headers={"kid": self.key_id, "typ": "JWT"})
        return token, claims
