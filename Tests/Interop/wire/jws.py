"""Signed tokens with every freedom that an attacker has: raw headers, raw claims, any key under any algorithm."""

import base64
import hashlib
import hmac
import json
from typing import Union

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def part(value: Union[dict, str, bytes]) -> str:
    """A header or payload; a text goes out as it is, so that it may say things twice."""
    if isinstance(value, dict):
        value = json.dumps(value)
    return base64url(value.encode() if isinstance(value, str) else value)


def sign(header: Union[dict, str], claims: Union[dict, str], key) -> str:
    """Signs as the key can, whatever the header says: bytes make an HMAC, None no signature."""
    signed = f"{part(header)}.{part(claims)}"
    data = signed.encode()
    if key is None:
        signature = b""
    elif isinstance(key, bytes):
        signature = hmac.new(key, data, hashlib.sha256).digest()
    elif isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    else:
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return f"{signed}.{base64url(signature)}"


def public_pem(key) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def public_jwk(key) -> dict:
    numbers = key.public_key().public_numbers()
    if isinstance(key, rsa.RSAPrivateKey):
        return {
            "kty": "RSA", "e": "AQAB",
            "n": base64url(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")),
        }  # fmt: skip
    return {
        "kty": "EC", "crv": "P-256", "x": base64url(numbers.x.to_bytes(32, "big")),
        "y": base64url(numbers.y.to_bytes(32, "big")),
    }  # fmt: skip
