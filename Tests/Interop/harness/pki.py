"""A PKI of a test's own for clients: authorities, and certificates of any shape that they or nobody issues."""

import datetime
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional, Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wire.keys import new_key, pkcs8_pem

CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


@dataclass
class Holder:
    """A certificate with its key, and what stands above it."""

    certificate: x509.Certificate
    key: object
    above: list["Holder"] = field(default_factory=list)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def write(self, folder: Path, name: str, chain: bool = True) -> tuple[Path, Path]:
        """Chain, leaf first and without its root, and key in two files."""
        certificates, key = folder / f"{name}.pem", folder / f"{name}-key.pem"
        certificates.write_bytes(self.pem + b"".join(one.pem for one in self.above[:-1] if chain))
        key.write_bytes(pkcs8_pem(self.key))
        key.chmod(0o600)
        return certificates, key


def make(
    issuer: Optional[Holder] = None, *, name: str = "client", dns: Sequence[str] = (), uris: Sequence[str] = (),
    ca: bool = False, purposes: Optional[Sequence[x509.ObjectIdentifier]] = None, begins: float = -60, ends: float = 3600, key=None,
) -> Holder:
    """A certificate, signed by itself where there is no issuer; `begins` and `ends` are seconds from now."""
    key = key or new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject).issuer_name(issuer.certificate.subject if issuer else subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(seconds=begins)).not_valid_after(now + datetime.timedelta(seconds=ends))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(usage(ca), critical=True)
    )  # fmt: skip
    sans = [x509.DNSName(one) for one in dns] + [x509.UniformResourceIdentifier(one) for one in uris]
    if sans:
        builder = builder.add_extension(x509.SubjectAlternativeName(sans), critical=False)
    if purposes is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    certificate = builder.sign((issuer.key if issuer else key), hashes.SHA256())
    return Holder(certificate, key, [issuer, *issuer.above] if issuer else [])


def usage(signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=signs, crl_sign=signs, encipher_only=False, decipher_only=False,
    )  # fmt: skip
