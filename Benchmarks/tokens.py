"""What the token service costs: CPU time of the control plane per token, exchange and introspection, and of `openssl speed`
in the same run. Loopback TLS 1.3, kept connections, every token recorded durably (intent and outcome).

    .venv/bin/python Benchmarks/tokens.py BINARY [tokens|exchange|rs256|introspection …]
"""
import base64
import json
import os
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time
import urllib.parse
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "Tests" / "Interop"))
sys.path.insert(0, str(ROOT / "Benchmarks"))
BINARY = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / ".build" / "release" / "agentshield")
os.environ["AGENTSHIELD"] = BINARY

from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec, utils  # noqa: E402
from harness import domain as shield  # noqa: E402
from wire import messages as m  # noqa: E402
from wire.keys import csr, new_key  # noqa: E402

DOMAIN = "bench.test"
TICK = os.sysconf("SC_CLK_TCK")
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


def cpu(process) -> float:
    """Seconds of processor time that the process has used."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def openssl(*words: str) -> tuple[float, float]:
    """Signatures and verifications per second."""
    command = ["openssl", "speed", "-seconds", "2", *words]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    sign, verify = map(float, out.splitlines()[-1].split()[-2:])
    return sign, verify


class Connection:
    """One HTTP/1.1 connection under TLS, as lean as Python allows: the client must not be what is measured."""

    def __init__(self, port: int, context: ssl.SSLContext):
        raw = socket.create_connection(("127.0.0.1", port))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = context.wrap_socket(raw, server_hostname="localhost")
        self.rest = b""
        self.port = port

    def post(self, path: str, fields: dict, headers: str = "") -> tuple[int, bytes, bytes]:
        body = urllib.parse.urlencode(fields).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost:{self.port}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            f"{headers}Content-Length: {len(body)}\r\n\r\n"
        )
        self.socket.sendall(head.encode() + body)
        while b"\r\n\r\n" not in self.rest:
            self.read()
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        while len(self.rest) < length:
            self.read()
        answer, self.rest = self.rest[:length], self.rest[length:]
        return int(head.split()[1]), head, answer

    def read(self) -> None:
        part = self.socket.recv(65536)
        if not part:
            raise ConnectionError("closed")
        self.rest += part


def b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


class Prover:
    """Makes DPoP proofs."""

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        numbers = self.key.public_key().public_numbers()
        jwk = {"crv": "P-256", "kty": "EC", "x": b64(numbers.x.to_bytes(32)).decode(), "y": b64(numbers.y.to_bytes(32)).decode()}
        self.header = b64(json.dumps({"alg": "ES256", "typ": "dpop+jwt", "jwk": jwk}).encode())
        self.nonce = None

    def proof(self, url: str) -> str:
        claims = {"jti": b64(os.urandom(12)).decode(), "htm": "POST", "htu": url, "iat": int(time.time())}
        if self.nonce:
            claims["nonce"] = self.nonce
        text = self.header + b"." + b64(json.dumps(claims).encode())
        r, s = utils.decode_dss_signature(self.key.sign(text, ec.ECDSA(hashes.SHA256())))
        return (text + b"." + b64(r.to_bytes(32) + s.to_bytes(32))).decode()


class Stage:
    """A control plane with three agents; A may call B, B may call C for others."""

    def __init__(self):
        self.server = shield.start_server(DOMAIN, extra=["-logLevel", "error", *shield.NO_LIMITS])
        self.process = self.server.processes[0]
        self.port = int(self.server.https.rsplit(":", 1)[1])
        self.base = f"https://localhost:{self.port}"
        for resource, profile in (("b", "standard"), ("c", "standard"), ("e", "entra")):
            self.server.cli("resource", "create", "-id", f"api://{resource}", "-scope", "run", "-scope", "read", "-profile", profile)
        for name in "abc":
            self.server.cli(
                "identity", "create", "-name", name, "-spiffeID", f"spiffe://{DOMAIN}/{name}",
                "-owner", "olga@example.org", "-sponsor", "sam@example.org",
            )  # fmt: skip
        self.server.cli("resource", "update", "-id", "api://b", "-agent", "b")
        for agent, resource, use in (("a", "b", "own"), ("a", "e", "own"), ("b", "c", "delegated")):
            self.server.cli("grant", "create", "-agent", agent, "-resource", f"api://{resource}", "-scope", "run", "-scope", "read", "-use", use)
        self.contexts = {name: self.context(name) for name in "abc"}

    def context(self, name: str) -> ssl.SSLContext:
        """TLS with the agent's X.509-SVID."""
        key = new_key()
        request = m.svid.MintX509SVIDRequest(csr=csr(key, uri=f"spiffe://{DOMAIN}/{name}"))
        svid = self.server.admin.svids.MintX509SVID(request).svid
        pem = "".join(ssl.DER_cert_to_PEM_cert(der) for der in svid.cert_chain)
        file = self.server.folder / f"{name}.pem"
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_text(pem + secret.decode())
        context = ssl.create_default_context(cadata=self.server.roots_pem.decode())
        context.load_cert_chain(file)
        return context

    def connect(self, name: str) -> Connection:
        return Connection(self.port, self.contexts[name])


def measure(what: str, stage: Stage, connections: int, seconds: float, prepare, call) -> None:
    states = [prepare() for _ in range(connections)]
    for state in states:
        call(state)
    times: list[float] = []
    failures: list[Exception] = []
    before, begin = cpu(stage.process), time.monotonic()
    end = begin + seconds

    def work(state) -> None:
        mine = []
        try:
            while time.monotonic() < end:
                start = time.monotonic()
                call(state)
                mine.append((time.monotonic() - start) * 1000)
        except Exception as error:  # noqa: BLE001 - told below
            failures.append(error)
        times.extend(mine)

    threads = [threading.Thread(target=work, args=(state,)) for state in states]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    used, wall = cpu(stage.process) - before, time.monotonic() - begin
    if failures:
        raise failures[0]
    times.sort()
    rate = len(times) / used
    print(
        f"| {what} | {1000 * used / len(times):.3f} ms | {rate:.0f} per CPU-second | {1000 * used / len(times) / UNIT:.2f} units | "
        f"{len(times)} at {len(times) / wall:.0f}/s, median {statistics.median(times):.2f} ms, "
        f"p99 {times[int(len(times) * 0.99)]:.2f} ms |",
        flush=True,
    )


def good(answer) -> dict:
    status, _, body = answer
    if status != 200:
        raise AssertionError(f"{status} {body!r}")
    return json.loads(body)


def main() -> None:
    global UNIT
    words = sys.argv[2:]
    sign, verify = openssl("ecdsap256")
    rsa_sign, _ = openssl("rsa2048")
    UNIT = 1000 / sign + 1000 / verify
    print(f"openssl speed: P-256 {sign:.0f} sign/s, {verify:.0f} verify/s (a unit is {UNIT:.4f} ms); RSA-2048 {rsa_sign:.0f} sign/s")
    stage = Stage()
    credentials = {"grant_type": "client_credentials"}
    try:
        if not words or "tokens" in words:
            measure(
                "client_credentials, mTLS, ES256, 16 connections", stage, 16, 6, lambda: stage.connect("a"),
                lambda c: good(c.post("/oauth2/token", credentials | {"resource": "api://b"})),
            )  # fmt: skip
        if not words or "rs256" in words:
            # The RSA key is made in the first seconds.
            for _ in range(100):
                if stage.connect("a").post("/oauth2/token", credentials | {"resource": "api://e"})[0] == 200:
                    break
                time.sleep(0.1)
            measure(
                "client_credentials, mTLS, RS256 profile, 16 connections", stage, 16, 6, lambda: stage.connect("a"),
                lambda c: good(c.post("/oauth2/token", credentials | {"resource": "api://e"})),
            )  # fmt: skip
        token = good(stage.connect("a").post("/oauth2/token", credentials | {"resource": "api://b"}))["access_token"]
        if not words or "introspection" in words:
            measure(
                "introspection, mTLS, 16 connections", stage, 16, 6, lambda: stage.connect("b"),
                lambda c: good(c.post("/oauth2/introspect", {"token": token}))["active"] or 1 / 0,
            )  # fmt: skip
        if not words or "exchange" in words:
            url = f"{stage.base}/oauth2/token"
            fields = {
                "grant_type": EXCHANGE, "subject_token": token, "subject_token_type": ACCESS_TOKEN, "audience": "api://c",
            }  # fmt: skip

            def prepare():
                return stage.connect("b"), Prover()

            def exchange(state):
                connection, prover = state
                for _ in range(2):
                    status, head, body = connection.post("/oauth2/token", fields, f"DPoP: {prover.proof(url)}\r\n")
                    for line in head.split(b"\r\n"):
                        if line.lower().startswith(b"dpop-nonce:"):
                            prover.nonce = line.split(b":", 1)[1].strip().decode()
                    if status == 200:
                        return
                raise AssertionError(f"{status} {body!r}")

            measure("token exchange with actor, DPoP-bound, ES256, 16 connections", stage, 16, 6, prepare, exchange)
    finally:
        stage.server.discard()


if __name__ == "__main__":
    main()
