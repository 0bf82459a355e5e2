"""Two trust domains that federate, by both profiles, and endpoints that must not be believed."""

import contextlib
import datetime
import http.server
import json
import socket
import ssl
import subprocess
import threading
import time

import grpc
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from spiffe import SpiffeId
from spiffetls import dial
from spiffetls.tlsconfig.authorize import authorize_id
from test_spiffe_tls import Echo, say, source_of

from harness import domain as shield
from harness.domain import CommandFailed
from harness.polling import eventually
from harness.web import WebCA
from wire import messages as m
from wire.keys import new_key, pkcs8_pem, uri_sans
from wire.workload import first

SERVER = "/spire/server"


def endpoint(domain, host: str = "127.0.0.1") -> str:
    return f"https://{host}:{domain.https.rpartition(':')[2]}/spiffe/bundle"


def federate_by_spiffe(here, there, *more) -> None:
    """`here` fetches the bundle of `there`, which proves itself by its own SVID."""
    here.cli(
        "federation", "create", "-trustDomain", there.name, "-bundleEndpointURL", endpoint(there),
        "-bundleEndpointProfile", "https_spiffe", "-endpointSpiffeID", there.id + SERVER,
        "-trustDomainBundlePath", there.ready["trustBundle"], *more,
    )  # fmt: skip


def stored(domain, name: str):
    """The bundle that `domain` holds of another one, as `bundle list` shows it, or nothing."""
    try:
        return domain.cli_json("bundle", "list", "-id", name)
    except CommandFailed:
        return None


def sequence(domain, name: str) -> int:
    return int((stored(domain, name) or {}).get("sequence_number", 0))


def own_sequence(domain) -> int:
    return int(domain.cli_json("bundle", "show")["sequence_number"])


def audited(domain, kind: str) -> list[dict]:
    return [e for e in domain.cli_json("log", "list", "-type", kind, "-count", "100")["entries"]]


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    folder = tmp_path_factory.mktemp("web")
    ca = WebCA()
    chain, key = ca.certificate(folder, "localhost")
    return {"ca": ca, "chain": chain, "key": key, "roots": ca.root_file(folder)}


@pytest.fixture(scope="module")
def pair(web):
    """`one` fetches from `two` by https_spiffe, `two` from `one` by https_web."""
    one = shield.start_up("one.test", extra=["-webCertificate", f"{web['chain']}:{web['key']}"])
    two = shield.start_up("two.test", extra=["-federationWebRoots", str(web["roots"])])
    try:
        federate_by_spiffe(one, two)
        two.cli(
            "federation", "create", "-trustDomain", "one.test", "-bundleEndpointURL", endpoint(one, "localhost"),
            "-bundleEndpointProfile", "https_web",
        )  # fmt: skip
        for here, there in ((one, two), (two, one)):
            eventually(lambda: sequence(here, there.name) == own_sequence(there) > 0, "the bundle was fetched")
        yield one, two
    finally:
        one.discard()
        two.discard()


@pytest.fixture
def workloads(pair):
    """One agent in each trust domain; each federates with the other."""
    one, two = pair
    one.entry("/planner", federates_with=["two.test"], dns_names=["planner.test"])
    two.entry("/weather", federates_with=["one.test"], dns_names=["weather.test"])
    one.wait_for_ids("/planner")
    two.wait_for_ids("/weather")
    eventually(lambda: "spiffe://two.test" in federated(one), "the foreign bundle is there")
    eventually(lambda: "spiffe://one.test" in federated(two), "the foreign bundle is there")
    yield pair
    one.forget_entries()
    two.forget_entries()


def federated(domain) -> set[str]:
    """The foreign trust domains whose bundles a workload gets, by all three ways that tell."""
    with domain.workload() as api:
        with_svids = set(first(api.x509_svids()).federated_bundles)
        x509_bundles = set(first(api.x509_bundles()).bundles) - {domain.id}
        jwt_bundles = set(first(api.jwt_bundles()).bundles) - {domain.id}
    assert with_svids == x509_bundles == jwt_bundles
    return with_svids


def written(domain, folder) -> dict:
    """What `api fetch x509 -write` leaves: chain and key, the own bundle and the one of the other trust domain; and its name."""
    folder.mkdir()
    shield.run_cli("api", "fetch", "x509", "-socketPath", domain.workload_socket, "-silent", "-write", folder)
    return {
        "chain": folder / "svid.0.pem", "key": folder / "svid.0.key", "own": folder / "bundle.0.pem",
        "foreign": folder / "federated_bundle.0.0.pem",
        "host": {"one.test": "planner.test", "two.test": "weather.test"}[domain.name],
    }  # fmt: skip


@contextlib.contextmanager
def openssl_server(files: dict, roots):
    """`openssl s_server` that shows an SVID and wants a certificate below `roots`; gives its port."""
    server = subprocess.Popen(
        ["openssl", "s_server", "-accept", "127.0.0.1:0", "-www", "-cert", files["chain"], "-cert_chain", files["chain"],
         "-key", files["key"], "-CAfile", roots, "-Verify", "3", "-verify_return_error", "-tls1_3"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        for line in server.stdout:
            if line.startswith("ACCEPT"):
                yield int(line.rpartition(":")[2])
                return
        raise AssertionError(f"openssl s_server ended with {server.wait(10)}")
    finally:
        server.kill()
        server.wait(10)
        server.stdout.close()


class TestTheEndpoint:
    def test_curl_reads_it_by_web_pki(self, pair, web):
        one, _ = pair
        done = subprocess.run(
            ["curl", "-sS", "-D", "-", "--cacert", web["roots"], endpoint(one, "localhost")],
            capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        head, _, body = done.stdout.partition("\n\n")
        assert "application/json" in head.lower()
        document = json.loads(body)
        assert document["spiffe_sequence"] == own_sequence(one) and document["spiffe_refresh_hint"] > 0
        uses = [key["use"] for key in document["keys"]]
        assert set(uses) == {"x509-svid", "jwt-svid", "wit-svid"}
        for key in document["keys"]:
            assert ("kid" in key) == (key["use"] != "x509-svid") and ("x5c" in key) == (key["use"] == "x509-svid")

    def test_openssl_sees_the_svid_without_and_the_web_certificate_with_the_name(self, pair):
        one, _ = pair
        address = one.https.removeprefix("https://")
        for names, wanted in ((["-noservername"], "URI:spiffe://one.test/spire/server"), (["-servername", "localhost"], "DNS:localhost")):
            done = subprocess.run(
                ["openssl", "s_client", "-connect", address, *names], input="", capture_output=True, text=True, timeout=30
            )
            leaf = x509.load_pem_x509_certificate(done.stdout[done.stdout.index("-----BEGIN") :].encode())
            names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            assert any(wanted == f"{'URI' if isinstance(n, x509.UniformResourceIdentifier) else 'DNS'}:{n.value}" for n in names)
            assert wanted.startswith("URI") or not uri_sans(leaf)

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
    def test_it_is_read_only(self, pair, web, method):
        one, _ = pair
        done = subprocess.run(
            ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", method, "--cacert", web["roots"], endpoint(one, "localhost")],
            capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        assert done.stdout in ("404", "405")


class TestAcross:
    def test_mutual_tls_in_both_directions(self, workloads):
        one, two = workloads
        planner, weather = SpiffeId("spiffe://one.test/planner"), SpiffeId("spiffe://two.test/weather")
        with source_of(one, "/planner") as here, source_of(two, "/weather") as there:
            for server_source, server_id, client_source, client_id in (
                (there, weather, here, planner), (here, planner, there, weather),
            ):  # fmt: skip
                server = Echo(server_source, authorize_id(client_id))
                connection = dial(server.address, client_source, authorize_fn=authorize_id(server_id))
                try:
                    assert say(connection, "hello") == f"{client_id} said hello"
                finally:
                    connection.close()
                    server.close()

    def test_openssl_and_curl_by_each_others_bundles_and_no_other(self, workloads, tmp_path):
        """`openssl s_server` with an SVID of `two`, `s_client` and `curl` with one of `one`: TLS that knows no SPIFFE"""
        one, two = (written(domain, tmp_path / domain.name) for domain in workloads)
        for server, client in ((two, one), (one, two)):
            for roots, accepts, of_clients in (
                (client["foreign"], True, server["foreign"]), (client["own"], False, server["foreign"]),
                (client["foreign"], False, server["own"]),
            ):  # fmt: skip
                with openssl_server(server, of_clients) as port:
                    tls = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-cert", client["chain"], "-key", client["key"],
                           "-CAfile", roots, "-verify_return_error", "-x509_strict", "-quiet"]  # fmt: skip
                    said = subprocess.run(
                        tls, input="GET / HTTP/1.0\r\n\r\n", capture_output=True, text=True, timeout=30, errors="replace"
                    )
                    assert ("HTTP/1.0 200 ok" in said.stdout) == accepts, said.stderr
                    web = ["curl", "-sS", "--cert", client["chain"], "--key", client["key"], "--cacert", roots,
                           "--connect-to", f"::127.0.0.1:{port}", f"https://{server['host']}:{port}/"]  # fmt: skip
                    done = subprocess.run(web, capture_output=True, text=True, timeout=30, errors="replace")
                    assert (done.returncode == 0 and "Ciphers supported" in done.stdout) == accepts, done.stderr

    def test_a_token_of_one_validates_at_two(self, workloads):
        one, two = workloads
        with one.workload() as api:
            token = api.jwt_svid(["two"]).svids[0].svid
        with two.workload() as api:
            assert api.validate("two", token).spiffe_id == "spiffe://one.test/planner"

    def test_without_federates_with_nothing_foreign_is_there_and_nothing_validates(self, pair):
        one, two = pair
        one.entry("/planner")
        two.entry("/weather", federates_with=["one.test"])
        one.wait_for_ids("/planner")
        two.wait_for_ids("/weather")
        try:
            assert federated(one) == set()
            with two.workload() as api:
                token = api.jwt_svid(["one"]).svids[0].svid
            with one.workload() as api, pytest.raises(grpc.RpcError) as refused:
                api.validate("one", token)
            assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        finally:
            one.forget_entries()
            two.forget_entries()


class Mallory:
    """A trust domain of whom we hold the bundle, and who signs what names somebody else."""

    def __init__(self, name: str = "mallory.test"):
        self.name = name
        self.key, self.token_key = new_key(), new_key()
        now = datetime.datetime.now(datetime.timezone.utc)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.root = (
            x509.CertificateBuilder()
            .subject_name(subject).issuer_name(subject).public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=1)).not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(self._usage(signs=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{name}")]), critical=True)
            .sign(self.key, hashes.SHA256())
        )  # fmt: skip

    @staticmethod
    def _usage(signs: bool) -> x509.KeyUsage:
        return x509.KeyUsage(
            digital_signature=not signs, key_cert_sign=signs, crl_sign=signs, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip

    def svid(self, folder, spiffe_id: str) -> tuple[str, str]:
        """Writes a leaf with this ID, signed by this root, and its key."""
        key = new_key()
        now = datetime.datetime.now(datetime.timezone.utc)
        leaf = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([])).issuer_name(self.root.subject).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=1)).not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(self._usage(signs=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(spiffe_id)]), critical=True)
            .sign(self.key, hashes.SHA256())
        )  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        chain, private = folder / "leaf.pem", folder / "leaf-key.pem"
        chain.write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
        private.write_bytes(pkcs8_pem(key))
        return str(chain), str(private)

    def token(self, spiffe_id: str, audience: str) -> str:
        now = int(time.time())
        return jwt.encode(
            {"sub": spiffe_id, "aud": [audience], "exp": now + 120, "iat": now}, pkcs8_pem(self.token_key),
            algorithm="ES256", headers={"kid": "mallory", "typ": "JWT"},
        )  # fmt: skip

    def document(self, sequence: int = 1, **more) -> bytes:
        import base64

        from joserfc.jwk import ECKey

        public = ECKey.import_key(self.token_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)).as_dict(private=False)  # fmt: skip
        root = ECKey.import_key(self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)).as_dict(private=False)  # fmt: skip
        keep = ("kty", "crv", "x", "y")
        der = base64.b64encode(self.root.public_bytes(serialization.Encoding.DER)).decode()
        keys = [
            {**{k: root[k] for k in keep}, "use": "x509-svid", "x5c": [der]},
            {**{k: public[k] for k in keep}, "use": "jwt-svid", "kid": "mallory"},
        ]
        return json.dumps({"keys": keys, "spiffe_sequence": sequence, "spiffe_refresh_hint": 3600, **more}).encode()


@pytest.fixture
def mallory(workloads, tmp_path):
    """`one` and its agent hold Mallory's bundle, as that of Mallory's own trust domain."""
    one, _ = workloads
    mallory = Mallory()
    path = tmp_path / "mallory.json"
    path.write_bytes(mallory.document())
    one.cli("bundle", "set", "-id", "spiffe://mallory.test", "-path", path, "-format", "spiffe")
    one.forget_entries()
    one.entry("/planner", federates_with=["two.test", "mallory.test"])
    eventually(
        lambda: one.ids() == ["spiffe://one.test/planner"] and "spiffe://mallory.test" in federated(one), "the bundle is there"
    )
    yield mallory
    one.forget_entries()
    one.cli("bundle", "delete", "-id", "mallory.test", "-mode", "delete")


NAMES = ("spiffe://one.test/planner", "spiffe://two.test/weather", "spiffe://one.test/spire/server")


class TestAKeyOfOneNeverSpeaksForAnother:
    def test_the_workload_api_refuses_the_token(self, workloads, mallory):
        one, _ = workloads
        with one.workload() as api:
            assert api.validate("one", mallory.token("spiffe://mallory.test/x", "one")).spiffe_id == "spiffe://mallory.test/x"
            for name in NAMES:
                with pytest.raises(grpc.RpcError) as refused:
                    api.validate("one", mallory.token(name, "one"))
                assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT

    def test_the_node_api_and_https_refuse_the_certificate(self, workloads, mallory, tmp_path):
        """Also those that are genuine: a foreign identity is no caller here."""
        one, _ = workloads
        roots = one.roots_pem
        places = (
            (one.https, "http/1.1", b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"),
            (one.node_api, "h2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"),
        )
        one.cli("x509", "mint", "-spiffeID", f"{one.id}/genuine", "-write", tmp_path)
        for where, protocol, greeting in places:
            assert is_answered(roots, where, protocol, greeting), "without a certificate"
            own = (tmp_path / "svid.pem", tmp_path / "key.pem")
            assert is_answered(roots, where, protocol, greeting, *own), "with one of its own trust domain"
        for number, name in enumerate((*NAMES, "spiffe://mallory.test/x", "spiffe://one.test/spire/agent/join_token/a")):
            chain, key = mallory.svid(tmp_path / str(number), name)
            for where, protocol, greeting in places:
                assert not is_answered(roots, where, protocol, greeting, chain, key), (name, where)


def is_answered(roots: bytes, where: str, protocol: str, greeting: bytes, chain=None, key=None) -> bool:
    """Whether a server says anything after the handshake; it refuses a certificate by an alert or by its silence's end."""
    context = ssl.create_default_context(cadata=roots.decode())
    context.set_alpn_protocols([protocol])
    # A name without a certificate of the web: the server shows its own.
    context.check_hostname = False
    if chain:
        context.load_cert_chain(chain, key)
    host, _, port = where.removeprefix("https://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as plain:
        try:
            with context.wrap_socket(plain, server_hostname="nobody.test") as tls:
                tls.sendall(greeting)
                return tls.recv(100) != b""
        except (ssl.SSLError, ConnectionError) as refusal:
            assert "CERTIFICATE_VERIFY_FAILED" not in str(refusal), "it is the server that refuses"
            return False


class Endpoint:
    """An HTTPS server that answers as a test says."""

    def __init__(self, chain, key):
        self.answer = lambda handler: handler.reply(500, b"")
        self.paths: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.paths.append(self.path)
                with contextlib.suppress(OSError):
                    outer.answer(self)

            def reply(self, status, body, **headers):
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(chain), str(key))
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def says(self, body: bytes, status: int = 200, **headers) -> None:
        self.answer = lambda handler: handler.reply(status, body, **headers)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def foreign(pair, web):
    """`two` federates with `foreign.test`, whose endpoint is in the test's hand (https_web)."""
    _, two = pair
    server = Endpoint(web["chain"], web["key"])
    two.cli(
        "federation", "create", "-trustDomain", "foreign.test", "-bundleEndpointProfile", "https_web",
        "-bundleEndpointURL", f"https://localhost:{server.port}/bundle",
    )  # fmt: skip
    yield two, server
    two.cli("federation", "delete", "-id", "foreign.test")
    if stored(two, "foreign.test"):
        two.cli("bundle", "delete", "-id", "foreign.test", "-mode", "delete")
    server.close()


def refresh_fails(domain, name: str) -> str:
    with pytest.raises(CommandFailed) as failed:
        domain.cli("federation", "refresh", "-id", name)
    return failed.value.stderr


class TestEndpointsThatMustNotBeBelieved:
    def test_a_good_one_is(self, foreign):
        two, server = foreign
        server.says(Mallory("foreign.test").document(sequence=7))
        two.cli("federation", "refresh", "-id", "foreign.test")
        assert sequence(two, "foreign.test") == 7 and server.paths[-1] == "/bundle"

    def test_the_sequence_never_goes_back_unless_an_administrator_says_so(self, foreign, tmp_path):
        two, server = foreign
        server.says(Mallory("foreign.test").document(sequence=7))
        two.cli("federation", "refresh", "-id", "foreign.test")
        before = stored(two, "foreign.test")
        older = Mallory("foreign.test").document(sequence=6)
        server.says(older)
        assert "went back" in refresh_fails(two, "foreign.test")
        assert stored(two, "foreign.test") == before
        assert any("sequence_went_back" in json.dumps(event) for event in audited(two, "bundle.refuse"))
        (tmp_path / "older.json").write_bytes(older)
        two.cli("bundle", "set", "-id", "foreign.test", "-format", "spiffe", "-path", tmp_path / "older.json")
        two.cli("federation", "refresh", "-id", "foreign.test")
        assert sequence(two, "foreign.test") == 6

    @pytest.mark.parametrize(
        ("what", "word"),
        [
            (lambda s: s.says(Mallory("another.test").document()), "another.test"),
            (lambda s: s.says(b"{}"), "no bundle"),
            (lambda s: s.says(b"not json"), "no bundle"),
            (lambda s: s.says(b'{"keys":[{"kty":"EC","use":"x509-svid"}]}'), "no bundle"),
            (lambda s: s.says(b" " * (1 << 20) + b"{}"), "larger"),
            (lambda s: s.says(b"", status=302, location="https://localhost:1/"), "redirects"),
            (lambda s: s.says(b"", status=404), "404"),
            (lambda s: setattr(s, "answer", lambda handler: handler.connection.close()), "reached"),
        ],
    )  # fmt: skip
    def test_what_is_refused(self, foreign, what, word):
        two, server = foreign
        server.says(Mallory("foreign.test").document(sequence=3))
        two.cli("federation", "refresh", "-id", "foreign.test")
        before, asked = stored(two, "foreign.test"), len(server.paths)
        what(server)
        assert word in refresh_fails(two, "foreign.test")
        assert stored(two, "foreign.test") == before
        assert len(server.paths) == asked + 1, "asked once, and nowhere else"

    def test_a_certificate_of_an_unknown_authority(self, foreign, tmp_path):
        two, _ = foreign
        stranger = Endpoint(*WebCA("somebody else").certificate(tmp_path, "localhost"))
        try:
            stranger.says(Mallory("foreign.test").document(sequence=9))
            two.cli(
                "federation", "update", "-trustDomain", "foreign.test", "-bundleEndpointProfile", "https_web",
                "-bundleEndpointURL", f"https://localhost:{stranger.port}/bundle",
            )  # fmt: skip
            assert "prove itself" in refresh_fails(two, "foreign.test")
            assert not stranger.paths and not stored(two, "foreign.test")
        finally:
            stranger.close()

    def test_a_good_certificate_for_another_name(self, foreign):
        two, server = foreign
        two.cli(
            "federation", "update", "-trustDomain", "foreign.test", "-bundleEndpointProfile", "https_web",
            "-bundleEndpointURL", f"https://127.0.0.1:{server.port}/bundle",
        )  # fmt: skip
        asked = len(server.paths)
        assert "prove itself" in refresh_fails(two, "foreign.test")
        assert len(server.paths) == asked

    @pytest.mark.parametrize(
        ("shown", "wanted", "good"),
        [
            ("spiffe://foreign.test/bundle", "spiffe://foreign.test/bundle", True),
            ("spiffe://foreign.test/other", "spiffe://foreign.test/bundle", False),
            # Its own bundle is known, and it names another domain's endpoint.
            ("spiffe://one.test/spire/server", "spiffe://one.test/spire/server", False),
        ],
    )  # fmt: skip
    def test_https_spiffe_wants_exactly_the_id_by_the_ids_own_bundle(self, foreign, tmp_path, shown, wanted, good):
        two, _ = foreign
        owner = Mallory("foreign.test")
        (tmp_path / "start.json").write_bytes(owner.document(sequence=1))
        server = Endpoint(*owner.svid(tmp_path, shown))
        try:
            server.says(owner.document(sequence=2))
            two.cli(
                "federation", "update", "-trustDomain", "foreign.test", "-bundleEndpointProfile", "https_spiffe",
                "-bundleEndpointURL", f"https://127.0.0.1:{server.port}/", "-endpointSpiffeID", wanted,
                "-trustDomainBundlePath", tmp_path / "start.json", "-trustDomainBundleFormat", "spiffe",
            )  # fmt: skip
            if good:
                two.cli("federation", "refresh", "-id", "foreign.test")
                assert sequence(two, "foreign.test") == 2
            else:
                assert "prove itself" in refresh_fails(two, "foreign.test")
                assert sequence(two, "foreign.test") == 1 and not server.paths
        finally:
            server.close()


    @pytest.mark.parametrize("what", ["spiffeID", "serial", "keyOf"])
    def test_a_revoked_endpoint_of_our_own_trust_domain(self, foreign, tmp_path, what):
        """A relay of ours serves the bundle of another: it is asked about like any other agent of ours"""
        two, _ = foreign
        identity = f"{two.id}/relay"
        two.cli("x509", "mint", "-spiffeID", identity, "-write", tmp_path)
        relay = Endpoint(tmp_path / "svid.pem", tmp_path / "key.pem")
        serial = x509.load_pem_x509_certificate((tmp_path / "svid.pem").read_bytes()).serial_number
        value = {"spiffeID": identity, "serial": f"{serial:x}", "keyOf": tmp_path / "svid.pem"}[what]
        try:
            relay.says(Mallory("foreign.test").document(sequence=3))
            two.cli(
                "federation", "update", "-trustDomain", "foreign.test", "-bundleEndpointProfile", "https_spiffe",
                "-bundleEndpointURL", f"https://127.0.0.1:{relay.port}/", "-endpointSpiffeID", identity,
            )  # fmt: skip
            two.cli("federation", "refresh", "-id", "foreign.test")
            asked = len(relay.paths)
            two.cli("revoke", f"-{what}", value)
            assert "prove itself" in refresh_fails(two, "foreign.test")
            assert len(relay.paths) == asked, "nothing was asked of it"
            two.cli("unrevoke", f"-{what}", value)
            two.cli("federation", "refresh", "-id", "foreign.test")
        finally:
            relay.close()


class TestRelationships:
    def test_list_show_update_delete_and_count(self, pair):
        one, _ = pair
        url = "https://nowhere.invalid:1/bundle"
        flags = ["-trustDomain", "third.test", "-bundleEndpointProfile", "https_web", "-bundleEndpointURL"]
        one.cli("federation", "create", *flags, url)
        try:
            with pytest.raises(CommandFailed):
                one.cli("federation", "create", *flags, url)
            listed = one.cli_json("federation", "list")["federation_relationships"]
            assert [r["trust_domain"] for r in listed] == ["third.test", "two.test"]
            assert one.cli_json("federation", "show", "-trustDomain", "third.test") == {
                "trust_domain": "third.test", "bundle_endpoint_url": url, "https_web": {},
            }  # fmt: skip
            one.cli("federation", "update", *flags, url + "2")
            assert one.cli_json("federation", "show", "-trustDomain", "third.test")["bundle_endpoint_url"] == url + "2"
            assert one.cli_json("bundle", "count")["count"] == 2
            assert "reached" in refresh_fails(one, "third.test")
        finally:
            one.cli("federation", "delete", "-id", "spiffe://third.test")
        assert "no relationship" in refresh_fails(one, "third.test")
        for kind in ("federation.create", "federation.update", "federation.delete", "bundle.set"):
            assert audited(one, kind), kind

    @pytest.mark.parametrize(
        "flags",
        [
            ["-trustDomain", "one.test", "-bundleEndpointProfile", "https_web", "-bundleEndpointURL", "https://a/"],
            ["-trustDomain", "x.test", "-bundleEndpointProfile", "https_web", "-bundleEndpointURL", "http://a/"],
            ["-trustDomain", "x.test", "-bundleEndpointProfile", "https_web", "-bundleEndpointURL", "https://u:p@a/"],
            ["-trustDomain", "x.test", "-bundleEndpointProfile", "nothing", "-bundleEndpointURL", "https://a/"],
            ["-trustDomain", "x.test", "-bundleEndpointProfile", "https_spiffe", "-bundleEndpointURL", "https://a/"],
            [
                "-trustDomain", "x.test", "-bundleEndpointProfile", "https_spiffe", "-bundleEndpointURL", "https://a/",
                "-endpointSpiffeID", "not-an-id",
            ],
        ],
    )  # fmt: skip
    def test_what_is_no_relationship(self, pair, flags):
        one, _ = pair
        with pytest.raises(CommandFailed):
            one.cli("federation", "create", *flags)

    def test_a_file_in_spires_shape_and_a_restart(self, start, tmp_path):
        domain = start("keeps.test", only_server=True)
        third = Mallory("third.test")
        data = {
            "federation_relationships": [
                {"trust_domain": "a.test", "bundle_endpoint_url": "https://a.invalid/", "bundle_endpoint_profile": "https_web"},
                {
                    "trust_domain": "third.test", "bundle_endpoint_url": "https://b.invalid/",
                    "bundle_endpoint_profile": "https_spiffe", "endpoint_spiffe_id": "spiffe://third.test/bundle",
                    "trust_domain_bundle": json.loads(third.document(sequence=4)), "trust_domain_bundle_format": "spiffe",
                },
            ]
        }  # fmt: skip
        (tmp_path / "data.json").write_text(json.dumps(data))
        domain.cli("federation", "create", "-data", tmp_path / "data.json")
        before = domain.cli_json("federation", "list")
        assert sequence(domain, "third.test") == 4
        domain.stop()
        again = start("keeps.test", folder=domain.folder, only_server=True)
        assert again.cli_json("federation", "list") == before and len(before["federation_relationships"]) == 2

    def test_a_relationship_of_the_configuration_wins_and_is_not_listed(self, start, pair, web):
        one, _ = pair
        domain = start(
            "static.test", only_server=True,
            extra=[
                "-federatesWith", f"one.test https_web {endpoint(one, 'localhost')}", "-federationWebRoots", str(web["roots"]),
            ],
        )  # fmt: skip
        eventually(lambda: sequence(domain, "one.test") == own_sequence(one), "the bundle was fetched")
        domain.cli(
            "federation", "create", "-trustDomain", "one.test", "-bundleEndpointURL", "https://nowhere.invalid/",
            "-bundleEndpointProfile", "https_web",
        )  # fmt: skip
        domain.cli("federation", "refresh", "-id", "one.test")
        domain.cli("federation", "delete", "-id", "one.test")
        assert domain.cli_json("federation", "list")["federation_relationships"] == []


class TestTheWire:
    """SPIRE's `trustdomain` API from its field numbers."""

    @pytest.fixture
    def api(self, pair):
        one, _ = pair
        stub = one.admin.trust_domains
        yield stub
        names = [r.trust_domain for r in stub.ListFederationRelationships(m.trustdomain.ListRequest()).federation_relationships]
        stub.BatchDeleteFederationRelationship(
            m.trustdomain.BatchDeleteRequest(trust_domains=[n for n in names if n.startswith("wire-")])
        )

    @staticmethod
    def relationship(name: str, **fields):
        fields = {"bundle_endpoint_url": f"https://{name}/", "https_web": m.trustdomain.Web(), **fields}
        return m.trustdomain.Relationship(trust_domain=name, **fields)

    def test_each_of_a_batch_has_its_own_status(self, api):
        wanted = [
            self.relationship("wire-a.test"), self.relationship("wire-a.test"), self.relationship("one.test"),
            self.relationship("wire-b.test", bundle_endpoint_url="http://plain/"), self.relationship("Not A Name"),
            m.trustdomain.Relationship(trust_domain="wire-c.test", bundle_endpoint_url="https://c/"),
        ]  # fmt: skip
        reply = api.BatchCreateFederationRelationship(m.trustdomain.BatchCreateRequest(federation_relationships=wanted))
        ok, exists, bad = 0, grpc.StatusCode.ALREADY_EXISTS.value[0], grpc.StatusCode.INVALID_ARGUMENT.value[0]
        assert [r.status.code for r in reply.results] == [ok, exists, bad, bad, bad, bad]
        assert reply.results[0].federation_relationship == wanted[0]

    def test_masks_and_pages(self, api):
        for name in ("wire-a.test", "wire-b.test", "wire-c.test"):
            api.BatchCreateFederationRelationship(
                m.trustdomain.BatchCreateRequest(federation_relationships=[self.relationship(name)])
            )
        names, token = [], ""
        while True:
            page = api.ListFederationRelationships(
                m.trustdomain.ListRequest(page_size=2, page_token=token, output_mask=m.trustdomain.Mask())
            )
            assert all(not r.bundle_endpoint_url and r.WhichOneof("profile") is None for r in page.federation_relationships)
            names += [r.trust_domain for r in page.federation_relationships]
            token = page.next_page_token
            if not token:
                break
        assert names == ["two.test", "wire-a.test", "wire-b.test", "wire-c.test"]
        changed = self.relationship("wire-a.test", bundle_endpoint_url="https://new/")
        changed.https_spiffe.endpoint_spiffe_id = "spiffe://wire-a.test/e"
        reply = api.BatchUpdateFederationRelationship(
            m.trustdomain.BatchUpdateRequest(
                federation_relationships=[changed, self.relationship("wire-z.test")],
                input_mask=m.trustdomain.Mask(bundle_endpoint_url=True),
            )
        )
        assert [r.status.code for r in reply.results] == [0, grpc.StatusCode.NOT_FOUND.value[0]]
        got = api.GetFederationRelationship(m.trustdomain.GetRequest(trust_domain="wire-a.test"))
        assert got.bundle_endpoint_url == "https://new/" and got.WhichOneof("profile") == "https_web"

    def test_the_bundle_to_begin_with(self, pair, api):
        one, two = pair
        bundle = two.admin.bundles.GetBundle(m.bundle.GetBundleRequest())
        wrong = self.relationship("wire-a.test", trust_domain_bundle=bundle)
        reply = api.BatchCreateFederationRelationship(m.trustdomain.BatchCreateRequest(federation_relationships=[wrong]))
        assert reply.results[0].status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
        with pytest.raises(grpc.RpcError) as missing:
            api.GetFederationRelationship(m.trustdomain.GetRequest(trust_domain="wire-a.test"))
        assert missing.value.code() == grpc.StatusCode.NOT_FOUND
        bundle.trust_domain = "wire-a.test"
        reply = api.BatchCreateFederationRelationship(m.trustdomain.BatchCreateRequest(federation_relationships=[wrong.__class__(
            trust_domain="wire-a.test", bundle_endpoint_url="https://a/", https_web=m.trustdomain.Web(), trust_domain_bundle=bundle)]))  # fmt: skip
        assert reply.results[0].status.code == 0
        assert reply.results[0].federation_relationship.trust_domain_bundle.x509_authorities == bundle.x509_authorities
        one.cli("bundle", "delete", "-id", "wire-a.test")

    def test_refresh(self, api):
        api.RefreshBundle(m.trustdomain.RefreshRequest(trust_domain="two.test"))
        with pytest.raises(grpc.RpcError) as unknown:
            api.RefreshBundle(m.trustdomain.RefreshRequest(trust_domain="wire-unknown.test"))
        assert unknown.value.code() == grpc.StatusCode.NOT_FOUND


def test_a_renewed_web_certificate_is_used_without_a_restart(start, tmp_path):
    old, new = WebCA("old"), WebCA("new")
    chain, key = old.certificate(tmp_path, "localhost")
    domain = start("renew.test", only_server=True, extra=["-webCertificate", f"{chain}:{key}"])

    def shown_by(ca: WebCA) -> bool:
        context = ssl.create_default_context(cadata=ca.pem.decode())
        with socket.create_connection(("127.0.0.1", int(domain.https.rpartition(":")[2])), timeout=10) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as tls:
                return tls.version() == "TLSv1.3"

    assert shown_by(old)
    key.write_text("half of a renewal")
    time.sleep(11)
    assert shown_by(old), "files that do not fit together change nothing"
    new.certificate(tmp_path, "localhost")
    eventually(lambda: shown_by(new), "the new certificate", within=30, ignore=(ssl.SSLError,))


class TestDeletion:
    def test_the_three_modes(self, pair, tmp_path):
        one, _ = pair
        (tmp_path / "d.json").write_bytes(Mallory("gone.test").document())

        def set_up():
            one.cli("bundle", "set", "-id", "gone.test", "-format", "spiffe", "-path", tmp_path / "d.json")
            one.entry("/friend", federates_with=["gone.test"])
            eventually(lambda: one.ids() and "spiffe://gone.test" in federated(one), "the bundle is there")

        def entries():
            return one.cli_json("entry", "show", "-spiffeID", "spiffe://one.test/friend")["entries"]

        set_up()
        with pytest.raises(CommandFailed):
            one.cli("bundle", "delete", "-id", "gone.test")
        assert stored(one, "gone.test") and len(entries()) == 1
        one.cli("bundle", "delete", "-id", "gone.test", "-mode", "dissociate")
        assert not stored(one, "gone.test") and entries()[0]["federates_with"] == []
        eventually(lambda: federated(one) == set(), "the workload lost the bundle")
        one.forget_entries()
        set_up()
        one.cli("bundle", "delete", "-id", "spiffe://gone.test", "-mode", "delete")
        assert not stored(one, "gone.test") and entries() == []
        one._made.clear()
        one.wait_for_ids()


@pytest.mark.long
def test_the_other_side_rotates_twice_while_we_poll(start):
    """Bundles are fetched ahead of every rotation: no call across fails for want of a key."""
    here = start("here.test")
    there = start("there.test", extra=["-caTTL", "36s", "-defaultX509SVIDTTL", "6s", "-defaultJWTSVIDTTL", "6s"])
    federate_by_spiffe(here, there)
    here.entry("/planner", federates_with=["there.test"])
    there.entry("/weather")
    here.wait_for_ids("/planner")
    there.wait_for_ids("/weather")

    def validates() -> str:
        with there.workload() as api:
            token = api.jwt_svid(["here"]).svids[0].svid
        with here.workload() as api:
            assert api.validate("here", token).spiffe_id == "spiffe://there.test/weather"
        return jwt.get_unverified_header(token)["kid"]

    # The bundle to begin with was PEM, without the keys of tokens.
    eventually(validates, "the first fetch brought the keys of tokens", ignore=(grpc.RpcError,))
    kids: list[str] = []
    deadline = time.monotonic() + 120
    while len(kids) < 3:
        assert time.monotonic() < deadline, kids
        kid = validates()
        if kid not in kids:
            kids.append(kid)
        time.sleep(0.5)
    assert sequence(here, "there.test") >= 3
