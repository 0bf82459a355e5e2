"""SPIRE's `x509pop` from a node's side: a small PKI, the payload, and the answer to the challenge, right or wrong."""

import base64
import hashlib
import json
import os
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Optional, Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.x509.oid import NameOID

from wire.keys import new_key, pkcs8_pem

NONCE = 32


@dataclass
class Certified:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: object

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def fingerprint(self) -> str:
        return hashlib.sha1(self.der).hexdigest()

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """The files `name.pem` and `name.key`."""
        paths = folder / f"{name}.pem", folder / f"{name}.key"
        paths[0].write_bytes(self.pem)
        paths[1].write_bytes(pkcs8_pem(self.key))
        return paths


def issue(
    name: str,
    issuer: Optional[Certified] = None,
    key=None,
    public_key=None,
    is_ca: bool = False,
    start: timedelta = timedelta(minutes=-5),
    end: timedelta = timedelta(days=1),
    uris: Sequence[str] = (),
    signs: bool = True,
    path_length: Optional[int] = None,
) -> Certified:
    """A certificate from `issuer`, or a self-signed one."""
    key = key or new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(public_key or key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + start)
        .not_valid_after(now + end)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=path_length), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=signs and not is_ca, key_cert_sign=is_ca, crl_sign=is_ca, content_commitment=False,
                key_encipherment=not signs, data_encipherment=False, key_agreement=False, encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    )  # fmt: skip
    if uris:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris]), critical=False
        )
    return Certified(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


def authority(name: str = "nodes", **options) -> Certified:
    return issue(name, is_ca=True, **options)


def rsa_key(bits: int = 2048):
    return rsa.generate_private_key(65537, bits)


def payload(*certificates: Certified) -> bytes:
    return json.dumps({"certificates": [base64.b64encode(one.der).decode() for one in certificates]}).encode()


def nonce_of(challenge: bytes, key) -> bytes:
    """The nonce, from the member that the key's kind says; the other one has to be null."""
    message = json.loads(challenge)
    mine, other = ("rsa_signature", "ecdsa_signature") if isinstance(key, rsa.RSAPrivateKey) else (
        "ecdsa_signature", "rsa_signature")  # fmt: skip
    assert message.get(other) is None
    nonce = base64.b64decode(message[mine]["nonce"], validate=True)
    assert len(nonce) == NONCE
    return nonce


def response(key, theirs: bytes, ours: Optional[bytes] = None, salt: object = padding.PSS.MAX_LENGTH) -> bytes:
    """The answer to a nonce. Go's library signs with the longest salt that fits, so that is what comes by default."""
    ours = os.urandom(NONCE) if ours is None else ours
    digest = hashlib.sha256(theirs + ours).digest()
    text = {"nonce": base64.b64encode(ours).decode()}
    if isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(digest, padding.PSS(padding.MGF1(hashes.SHA256()), salt), Prehashed(hashes.SHA256()))
        text["signature"] = base64.b64encode(signature).decode()
        return json.dumps({"rsa_signature": text, "ecdsa_signature": None}).encode()
    for name, number in zip("rs", decode_dss_signature(key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256()))))):
        text[name] = base64.b64encode(number.to_bytes((number.bit_length() + 7) // 8, "big")).decode()
    return json.dumps({"rsa_signature": None, "ecdsa_signature": text}).encode()


def answerer(key, **options):
    """Answers challenges rightly."""
    return lambda challenge: response(key, nonce_of(challenge, key), **options)


def verifier(root: Certified):
    """The server's half, for `SpireServer.pop_check`: what was shown, the challenge, and a check of the answer."""

    def begin(shown: bytes):
        certificates = [
            Certified(x509.load_der_x509_certificate(base64.b64decode(text, validate=True)), None)
            for text in json.loads(shown)["certificates"]
        ]
        certificates[0].certificate.verify_directly_issued_by(root.certificate)
        key = certificates[0].certificate.public_key()
        is_rsa = isinstance(key, rsa.RSAPublicKey)
        nonce = os.urandom(NONCE)
        asked = {"nonce": base64.b64encode(nonce).decode()}
        challenge = {"rsa_signature": asked if is_rsa else None, "ecdsa_signature": None if is_rsa else asked}

        def check(answer: bytes) -> bool:
            fields = json.loads(answer)["rsa_signature" if is_rsa else "ecdsa_signature"]
            values = {name: base64.b64decode(text, validate=True) for name, text in fields.items()}
            if len(values["nonce"]) != NONCE:
                return False
            digest = hashlib.sha256(nonce + values["nonce"]).digest()
            try:
                if is_rsa:
                    scheme = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.AUTO)
                    key.verify(values["signature"], digest, scheme, Prehashed(hashes.SHA256()))
                else:
                    numbers = (int.from_bytes(values[name], "big") for name in "rs")
                    key.verify(encode_dss_signature(*numbers), digest, ec.ECDSA(Prehashed(hashes.SHA256())))
            except InvalidSignature:
                return False
            return True

        return certificates, json.dumps(challenge).encode(), check

    return begin
