"""The audit log read from outside: tiles over HTTPS, verified by two implementations that are not ours.

C2SP tlog-tiles, tlog-checkpoint, signed-note and tlog-proof. `c2sp/` was written from the texts alone; `aics-tlog` is a
package by other people (Python 3.12 or later, in an environment of its own beside this one).
"""

import http.client
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from harness.domain import run_cli
from harness.polling import eventually
from wire.keys import uri_sans

PREFIX = "/log"
"""Where the log is on the HTTPS listener; below it, the paths are those of tlog-tiles."""

TILE = 256
HERE = Path(__file__).resolve().parent
AICS_TLOG = Path(sys.prefix + "-tlog") / "bin" / "aics-tlog"


def tls_context(domain) -> ssl.SSLContext:
    """What curl --cacert does: the bundle as roots, and the host name checked."""
    context = ssl.create_default_context(cadata=domain.roots_pem.decode())
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def by_name(domain) -> str:
    """The listener by the name that is in its certificate."""
    return f"https://localhost:{domain.https.rpartition(':')[2]}"


@pytest.fixture
def web(server):
    with httpx.Client(base_url=by_name(server), verify=tls_context(server), timeout=20, trust_env=False) as client:
        yield client


@pytest.fixture
def grown(server):
    """A log that has more than one full tile of entries: 300 entries are at least 300 events."""
    if int(server.cli_json("log", "checkpoint")["checkpoint"].splitlines()[1]) <= TILE:
        for start in range(0, 300, 100):
            for i in range(start, start + 100):
                server.admin.join_token(ttl=60 + i)
    return server


def checkpoint_size(note: str) -> int:
    return int(note.splitlines()[1])


def numbered(index: int) -> str:
    """tlog-tiles: 1234067 is x001/x234/067"""
    parts = [f"{index % 1000:03d}"]
    while index >= 1000:
        index //= 1000
        parts.insert(0, f"x{index % 1000:03d}")
    return "/".join(parts)


def resources(size: int) -> list[str]:
    """Every tile and entry bundle of a log of this size, below its prefix."""
    paths, level, count = [], 0, size
    while count:
        for index in range((count + TILE - 1) // TILE):
            width = min(TILE, count - index * TILE)
            tail = numbered(index) + ("" if width == TILE else f".p/{width}")
            paths.append(f"tile/{level}/{tail}")
            if level == 0:
                paths.append(f"tile/entries/{tail}")
        level, count = level + 1, count // TILE
    return paths


class Mirror:
    """The whole log, copied over HTTPS to a folder, with the log's key learnt on the admin socket."""

    def __init__(self, domain, web: httpx.Client, folder: Path):
        self.domain, self.web, self.folder = domain, web, folder / "tiles"
        self.checkpoint = self.folder / "checkpoint"
        # Beside the tiles, not among them: a key that came with the log would prove nothing.
        self.vkey_file = folder / "vkey"
        self.vkey = domain.cli_json("log", "checkpoint")["vkey"]
        self.vkey_file.write_text(self.vkey + "\n")
        self.refresh()

    def get(self, path: str) -> bytes:
        reply = self.web.get(f"{PREFIX}/{path}")
        assert reply.status_code == 200, f"{path}: {reply.status_code}"
        return reply.content

    def refresh(self) -> None:
        """Copies what the present checkpoint names."""
        note = self.get("checkpoint")
        for path in resources(checkpoint_size(note.decode())):
            file = self.folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(self.get(path))
        self.checkpoint.write_bytes(note)

    @property
    def origin(self) -> str:
        return self.checkpoint.read_text().splitlines()[0]

    def grow(self) -> Path:
        """Lets the log grow and copies the rest; returns the checkpoint from before."""
        earlier = self.vkey_file.with_name("earlier")
        earlier.write_bytes(self.checkpoint.read_bytes())
        size = checkpoint_size(earlier.read_text())
        self.domain.admin.join_token()
        eventually(lambda: checkpoint_size(self.get("checkpoint").decode()) > size, "the log grew")
        self.refresh()
        return earlier


@pytest.fixture
def mirror(grown, web, tmp_path):
    return Mirror(grown, web, tmp_path)


def run(*command) -> subprocess.CompletedProcess:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60)


class TestTransport:
    def test_the_listener_shows_the_servers_svid_with_a_host_name(self, server):
        """Own SVID with a DNS name, so that plain HTTPS clients need only the bundle"""
        port = int(server.https.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
            with tls_context(server).wrap_socket(plain, server_hostname="localhost") as tls:
                leaf = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True))
                assert tls.version() == "TLSv1.3"
        assert uri_sans(leaf) == [f"{server.id}/spire/server"]

    def test_the_checkpoint(self, server, web):
        reply = web.get(f"{PREFIX}/checkpoint")
        assert reply.status_code == 200 and reply.headers["content-type"].startswith("text/plain")
        published = server.cli_json("log", "checkpoint")
        lines = reply.text.splitlines()
        assert lines[0] == published["origin"] and int(lines[1]) >= 1 and reply.text.endswith("\n")
        assert published["vkey"].startswith(lines[0] + "+")

    def test_tiles_are_octets_that_never_change(self, grown, web):
        reply = web.get(f"{PREFIX}/tile/0/000")
        assert reply.status_code == 200 and len(reply.content) == TILE * 32
        assert reply.headers["content-type"] == "application/octet-stream"
        assert "immutable" in reply.headers.get("cache-control", "")
        assert "immutable" not in web.get(f"{PREFIX}/checkpoint").headers.get("cache-control", "")

    @pytest.mark.parametrize(
        "path",
        [
            "/", "/checkpoint", "{}/", "{}/tile", "{}/tile/0", "{}/tile/0/0", "{}/tile/0/0000", "{}/tile/00/000",
            "{}/tile/-1/000", "{}/tile/64/000", "{}/tile/0/999", "{}/tile/0/000.p/0", "{}/tile/0/000.p/256",
            "{}/tile/0/000.p/257", "{}/tile/0/x000/000", "{}/tile/0/%30%30%30", "{}/tile/0/../0/000",
            "{}/tile/entries/999", "{}/tile/0/x999/x999/x999/x999/x999/x999/999", "{}/../registry.sqlite",
        ],
    )  # fmt: skip
    def test_what_is_not_there(self, server, grown, path):
        # http.client sends the path exactly as written; httpx would tidy it before the server sees it.
        port = int(server.https.rpartition(":")[2])
        connection = http.client.HTTPSConnection("localhost", port, timeout=20, context=tls_context(server))
        try:
            connection.request("GET", path.format(PREFIX))
            assert connection.getresponse().status in (400, 404)
        finally:
            connection.close()

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
    def test_the_log_is_read_only(self, web, method):
        assert web.request(method, f"{PREFIX}/checkpoint").status_code in (404, 405)

    def test_oversize_requests_are_refused_and_the_listener_goes_on(self, web):
        try:
            reply = web.get(f"{PREFIX}/checkpoint", headers={"x-big": "x" * 1_000_000})
            assert reply.status_code in (400, 413, 414, 431)
        except httpx.TransportError:
            pass
        assert web.get(f"{PREFIX}/checkpoint").status_code == 200


class TestTheVerifierWrittenFromTheTexts:
    def verify(self, mirror: Mirror, *more) -> subprocess.CompletedProcess:
        return run(
            sys.executable, HERE / "c2sp" / "verify_log.py", "--vkey", mirror.vkey, "--origin", mirror.origin,
            "--dir", mirror.folder, *more,
        )  # fmt: skip

    def test_the_whole_log_verifies(self, mirror):
        done = self.verify(mirror)
        assert done.returncode == 0, done.stdout + done.stderr

    def test_a_changed_entry_is_found(self, mirror):
        bundle = mirror.folder / "tile" / "entries" / "000"
        data = bytearray(bundle.read_bytes())
        data[40] ^= 1
        bundle.write_bytes(data)
        assert self.verify(mirror).returncode == 1

    def test_a_later_log_continues_the_earlier_one(self, mirror):
        earlier = mirror.grow()
        done = self.verify(mirror, "--previous", earlier)
        assert done.returncode == 0, done.stdout + done.stderr

    @pytest.mark.parametrize("index", [0, 5, TILE - 1, TILE])
    def test_a_proof_file_verifies_offline(self, grown, mirror, tmp_path, index):
        """tlog-proof: an entry and its proof, two files and nothing else"""
        grown.cli("log", "prove", index, "-write", tmp_path)
        entry, proof = tmp_path / f"{index}.json", tmp_path / f"{index}.tlog-proof"
        command = [
            sys.executable, HERE / "c2sp" / "verify_proof.py", "--vkey", mirror.vkey, "--origin", mirror.origin,
            "--entry", entry, proof,
        ]  # fmt: skip
        done = run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
        entry.write_bytes(entry.read_bytes() + b" ")
        assert run(*command).returncode == 1


def aics_tlog_runs() -> bool:
    try:
        return subprocess.run([AICS_TLOG, "--version"], capture_output=True, timeout=60).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(
    not aics_tlog_runs(), reason=f"no aics-tlog at {AICS_TLOG}: it needs Python 3.12 or later (scripts/python-env)"
)
class TestTheVerifierOfOtherPeople:
    def test_the_checkpoint_verifies(self, mirror):
        done = run(
            AICS_TLOG, "verify-checkpoint", "--note", mirror.checkpoint, "--vkey-file", mirror.vkey_file,
            "--origin", mirror.origin,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    def test_another_key_does_not_verify_it(self, mirror, start):
        key = start("stranger.test", only_server=True).cli_json("log", "checkpoint")["vkey"]
        done = run(AICS_TLOG, "verify-checkpoint", "--note", mirror.checkpoint, "--log-key", key)
        assert done.returncode != 0

    @pytest.mark.parametrize("index", [0, 1, TILE - 1, TILE])
    def test_entries_are_included(self, mirror, tmp_path, index):
        done = run(
            AICS_TLOG, "verify-inclusion", "--index", index, "--tiles", mirror.folder,
            "--checkpoint", mirror.checkpoint, "--vkey-file", mirror.vkey_file, "--entry-out", tmp_path / "entry",
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert (tmp_path / "entry").read_bytes().startswith(b"{")

    def test_the_log_only_grew(self, mirror):
        earlier = mirror.grow()
        done = run(
            AICS_TLOG, "verify-consistency", "--old-checkpoint", earlier, "--checkpoint", mirror.checkpoint,
            "--tiles", mirror.folder, "--vkey-file", mirror.vkey_file,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_bundle_of_the_ready_file_is_the_authoritys(server):
    """What the ready file calls `trustBundle` is PEM with CA certificates only"""
    for der in server.roots:
        certificate = x509.load_der_x509_certificate(der)
        assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        assert certificate.public_bytes(serialization.Encoding.DER) == der


class TestTheCertificate:
    """RFC 9110 §4.3.4: the name or the address that was asked for is in the certificate."""

    def certificate(self, domain, host: str) -> x509.Certificate:
        """What a handshake shows that verifies chain and `host`, as Python's `ssl` does it by OpenSSL."""
        port = int(domain.https.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
            with tls_context(domain).wrap_socket(plain, server_hostname=host) as tls:
                return x509.load_der_x509_certificate(tls.getpeercert(binary_form=True))

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
    def test_it_is_good_for_every_name_of_loopback(self, server, host):
        self.certificate(server, host)

    def test_it_is_good_for_no_other_address(self, server):
        with pytest.raises(ssl.SSLCertVerificationError):
            self.certificate(server, "127.0.0.2")

    def test_openssl_verifies_the_address(self, server):
        port = server.https.rpartition(":")[2]
        roots = server.folder / "roots.pem"
        roots.write_bytes(server.roots_pem)
        shown = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", str(roots), "-verify_ip", "127.0.0.1",
             "-verify_return_error"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20,
        )  # fmt: skip
        assert "Verify return code: 0 (ok)" in shown.stdout

    def test_names_and_addresses_of_the_configuration(self, start):
        extra = ("-dnsName", "log.test", "-dnsName", "192.0.2.7", "-dnsName", "2001:db8::7")
        domain = start("names.test", extra=extra, only_server=True)
        for host in ("log.test", "192.0.2.7", "2001:db8::7", "127.0.0.1"):
            names = self.certificate(domain, host).extensions.get_extension_for_class(x509.SubjectAlternativeName)
        assert "log.test" in names.value.get_values_for_type(x509.DNSName)
        assert "192.0.2.7" not in names.value.get_values_for_type(x509.DNSName)

    @pytest.mark.parametrize("name", ["a b", "1.2.3.4.", "::g", "fe80::1%lo", ""])
    def test_what_is_neither_is_refused_with_the_key(self, tmp_path, name):
        result = run_cli(
            "server", "run", "-dataDir", tmp_path / "data", "-trustDomain", "x.test", "-serverPort", "0",
            "-httpsPort", "0", "-dnsName", name, check=False,
        )  # fmt: skip
        assert result.returncode == 1
        assert "server.dns_names" in result.stderr


class TestATakenPort:
    @pytest.mark.parametrize("flag", ["-serverPort", "-httpsPort"])
    def test_the_error_names_the_address(self, tmp_path, flag):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            ports = {"-serverPort": "0", "-httpsPort": "0"} | {flag: address.rpartition(":")[2]}
            result = run_cli(
                "server", "run", "-dataDir", tmp_path / "data", "-trustDomain", "taken.test", "-logLevel", "critical",
                *[word for pair in ports.items() for word in pair], check=False,
            )  # fmt: skip
        assert result.returncode == 1
        assert result.stderr == f"agentshield: cannot listen on {address}: address already in use\n"

    def test_a_taken_socket_path_is_named(self, server, tmp_path):
        result = run_cli(
            "server", "run", "-dataDir", tmp_path / "data", "-trustDomain", "taken.test", "-logLevel", "critical",
            "-serverPort", "0", "-httpsPort", "0", "-socketPath", server.admin_socket, check=False,
        )  # fmt: skip
        assert result.returncode == 1
        assert result.stderr == f"agentshield: another process listens on `{server.admin_socket}`\n"
