"""HTTP message signatures, as RFC 9421 and draft-ietf-wimse-http-signature-07 have them, and proof tokens of
draft-ietf-wimse-wpt-02: a second implementation, written from the documents."""

import base64
import hashlib
import json
import re
import secrets
import time
from dataclasses import dataclass, field
from typing import Optional
from urllib.parse import urlsplit

import jwt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

TAG = "wimse-workload-to-workload"
COVERED = ["content-type", "content-digest", "authorization", "txn-token", "workload-identity-token"]
COVERED_OF_RESPONSE = ["content-type", "content-digest", "workload-identity-token"]


class Refused(Exception):
    """The rule that was broken."""


@dataclass
class Message:
    """A request or a response; `target` is path and query as they are sent."""

    method: str = ""
    target: str = ""
    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def values(self, name: str) -> list[str]:
        return [value.strip() for key, value in self.headers if key.lower() == name.lower()]

    def only(self, name: str) -> str:
        values = self.values(name)
        if len(values) != 1:
            raise Refused(f"{len(values)} of {name}")
        return values[0]

    def set(self, name: str, value: str) -> None:
        self.headers = [(key, old) for key, old in self.headers if key.lower() != name.lower()] + [(name, value)]

    def component(self, name: str) -> str:
        parts = urlsplit(self.target)
        match name:
            case "@method":
                return self.method
            case "@path":
                return parts.path or "/"
            case "@query":
                return "?" + parts.query
            case "@status":
                return str(self.status)
        if name.startswith("@") or not self.values(name):
            raise Refused(f"no {name}")
        return ", ".join(self.values(name))


def content_digest(body: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def signature_base(components: list[str], parameters: str, message: Message, request: Optional[Message]) -> bytes:
    """`components` as they stand in the list, such as `"@path";req`; `parameters` is the list with everything behind it."""
    lines = []
    for component in components:
        name = re.fullmatch(r'"([^"]+)"(;req)?', component)
        if name is None:
            raise Refused(f"component {component}")
        source = request if name[2] else message
        if source is None:
            raise Refused("a component of no request")
        lines.append(f"{component}: {source.component(name[1])}")
    return "\n".join([*lines, f'"@signature-params": {parameters}']).encode()


def sign(message: Message, key: ec.EllipticCurvePrivateKey, request: Optional[Message] = None, **parameters: object) -> None:
    """Adds the two fields. With `request` the message is its response. Underscores stand for hyphens."""
    if message.body:
        message.set("Content-Digest", content_digest(message.body))
    if request is None:
        components = ['"@method"', '"@path"', '"@query"'] + [f'"{name}"' for name in COVERED if message.values(name)]
    else:
        components = ['"@status"', '"@method";req', '"@path";req', '"@query";req']
        components += [f'"{name}"' for name in COVERED_OF_RESPONSE if message.values(name)]
    now = int(time.time())
    values = {"created": now, "expires": now + 60, "nonce": secrets.token_urlsafe(16), "tag": TAG, **parameters}
    text = f"({' '.join(components)})"
    for name, value in values.items():
        name = name.replace("_", "-")
        text += f";{name}" if value is True else f";{name}={value}" if isinstance(value, int) else f';{name}="{value}"'
    r, s = decode_dss_signature(key.sign(signature_base(components, text, message, request), ec.ECDSA(hashes.SHA256())))
    raw = base64.b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big")).decode()
    message.set("Signature-Input", f"origin={text}")
    message.set("Signature", f"origin=:{raw}:")


def parameters_of(text: str) -> dict:
    """What stands behind the list: integers, strings without escapes, and names alone."""
    found = re.findall(r';([a-z][a-z0-9-]*)(?:=(?:"([^"\\]*)"|(-?\d+)))?', text)
    if "".join(f";{n}" + (f'="{t}"' if t else f"={i}" if i else "") for n, t, i in found) != text:
        raise Refused("parameters")
    return {name: string or (int(number) if number else True) for name, string, number in found}


def verify(message: Message, key: ec.EllipticCurvePublicKey, request: Optional[Message] = None) -> dict:
    """The parameters of a message's one signature, once everything holds but audience, nonce and identity token."""
    signed = re.fullmatch(r"([a-z]+)=(\(([^()]*)\)(.*))", message.only("Signature-Input"))
    if signed is None:
        raise Refused("Signature-Input")
    label, text, items, rest = signed.groups()
    components, parameters = items.split(" "), parameters_of(rest)
    if parameters.get("tag") != TAG or {"alg", "keyid"} & set(parameters):
        raise Refused("tag, alg or keyid")
    if not parameters["created"] <= time.time() + 5 < parameters["expires"] + 5 <= parameters["created"] + 305:
        raise Refused("times")
    if request is None:
        needed = {'"@method"', '"@path"', '"@query"'} | {f'"{name}"' for name in COVERED if message.values(name)}
    else:
        needed = {'"@status"', '"@method";req', '"@path";req', '"@query";req'}
        needed |= {f'"{name}"' for name in COVERED_OF_RESPONSE if message.values(name)}
    if not needed <= set(components) or len(set(components)) != len(components):
        raise Refused("components")
    if message.body and message.only("Content-Digest") != content_digest(message.body):
        raise Refused("Content-Digest")
    raw = re.fullmatch(rf"{label}=:([A-Za-z0-9+/=]+):", message.only("Signature"))
    if raw is None:
        raise Refused("Signature")
    value = base64.b64decode(raw[1], validate=True)
    if len(value) != 64:
        raise Refused("length of the signature")
    der = encode_dss_signature(int.from_bytes(value[:32], "big"), int.from_bytes(value[32:], "big"))
    try:
        key.verify(der, signature_base(components, text, message, request), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise Refused("signature") from error
    return parameters


def identity(message: Message, keys: dict) -> tuple[str, ec.EllipticCurvePublicKey]:
    """Whom the message's WIT-SVID is about, and the key of its proofs. `keys` are the trust domain's JWKs by `kid`."""
    token = message.only("Workload-Identity-Token")
    header = jwt.get_unverified_header(token)
    if header["typ"] != "wit+jwt":
        raise Refused("typ")
    claims = jwt.decode(token, jwt.PyJWK(keys[header["kid"]], algorithm="ES256").key, algorithms=["ES256"])
    return claims["sub"], jwt.PyJWK(claims["cnf"]["jwk"]).key


def digest(token: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()


def proof_token(wit: str, key: ec.EllipticCurvePrivateKey, audience: str, **claims: object) -> str:
    claims = {"aud": audience, "exp": int(time.time()) + 60, "jti": secrets.token_urlsafe(16), "wth": digest(wit), **claims}
    return jwt.encode(claims, key, algorithm="ES256", headers={"typ": "wpt+jwt"})


def private_key(jwk: str) -> ec.EllipticCurvePrivateKey:
    return jwt.PyJWK(json.loads(jwk), algorithm="ES256").key
