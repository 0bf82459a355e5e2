"""Plays an identity provider on this machine: an OpenID Connect issuer with metadata, keys and one token. For trying things out.

python identity_provider.py --issuer https://localhost:9448 --folder provider --subject build-42 --audience api://exchange

`provider/ca.pem` is the authority of its certificate, `provider/token` the token, which lasts ten minutes.
"""

import argparse
import datetime
import http.server
import json
import ssl
import time
from pathlib import Path
from urllib.parse import urlsplit

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID


def certificate(folder: Path, host: str, key: rsa.RSAPrivateKey) -> None:
    """A certificate that is its own authority."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "identity provider of an example")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1)).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "ca.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").touch(mode=0o600)
    (folder / "key.pem").write_bytes(private)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--issuer", required=True, metavar="URL")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--subject", required=True)
    parser.add_argument("--audience", required=True)
    options = parser.parse_args()
    url = urlsplit(options.issuer)

    options.folder.mkdir(parents=True, exist_ok=True)
    key = rsa.generate_private_key(65537, 2048)
    certificate(options.folder, url.hostname, key)
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())) | {"kid": "of-today", "alg": "RS256", "use": "sig"}
    documents = {
        f"{url.path}/.well-known/openid-configuration": {"issuer": options.issuer, "jwks_uri": f"{options.issuer}/keys"},
        f"{url.path}/keys": {"keys": [jwk]},
    }

    class Documents(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path in documents
            body = json.dumps(documents.get(self.path, {"error": "not found"})).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", url.port or 443), Documents)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.folder / "ca.pem", options.folder / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)

    now = int(time.time())
    claims = {"iss": options.issuer, "sub": options.subject, "aud": options.audience, "iat": now, "exp": now + 600}
    # Last, so that whoever waits for it finds the rest.
    (options.folder / "token").write_text(jwt.encode(claims, key, "RS256", {"kid": "of-today"}))
    server.serve_forever()


if __name__ == "__main__":
    main()
