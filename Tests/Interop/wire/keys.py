"""Keys, certificate requests and SPIFFE IDs for the stand-ins."""

import os
import ssl
from typing import Iterable, Optional

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from wire import messages as m


def new_key(curve: Optional[ec.EllipticCurve] = None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve or ec.SECP256R1())


def pkcs8_pem(key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def csr(key, uri: Optional[str] = None, dns: Iterable[str] = (), common_name: Optional[str] = None) -> bytes:
    """A DER request; a SPIRE agent sends one without URI, because the server takes only the key (§3.2, step 2)."""
    names = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
    sans = [x509.DNSName(name) for name in dns]
    if uri:
        sans.append(x509.UniformResourceIdentifier(uri))
    if sans:
        builder = builder.add_extension(x509.SubjectAlternativeName(sans), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def broken_csr(key) -> bytes:
    """A request whose last signature byte is flipped: parses, but does not verify."""
    good = bytearray(csr(key))
    good[-1] ^= 0x01
    return bytes(good)


def uri_sans(certificate: x509.Certificate) -> list[str]:
    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return san.value.get_values_for_type(x509.UniformResourceIdentifier)


def spiffe_id(text: str):
    """`spiffe://td/path` as the message with its two fields."""
    rest = text.removeprefix("spiffe://")
    domain, slash, path = rest.partition("/")
    return m.types.SPIFFEID(trust_domain=domain, path=slash + path)


def id_text(message) -> str:
    return f"spiffe://{message.trust_domain}{message.path}"


def selector(text: str):
    """`unix:uid:1000` is type `unix` and value `uid:1000`: cut at the first colon (§1.3)."""
    kind, _, value = text.partition(":")
    return m.types.Selector(type=kind, value=value)


def der_to_pem(chain: Iterable[bytes]) -> bytes:
    return "".join(ssl.DER_cert_to_PEM_cert(der) for der in chain).encode()


def load_identity(context: ssl.SSLContext, chain: Iterable[bytes], key) -> None:
    """Gives a context its certificate from memory: Python's ssl takes only paths, so the path is an anonymous file."""
    fd = os.memfd_create("svid", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(fd), "wb") as file:
            file.write(der_to_pem(chain) + pkcs8_pem(key))
        context.load_cert_chain(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)
