"""Revocation with real processes: issuance, streams, tokens and certificates of the revoked end at once."""

import base64
import contextlib
import hashlib
import os
import socket
import ssl
import subprocess

import grpc
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from harness.domain import default_binary, start_agent
from harness.polling import eventually
from harness.process import Process
from stage.deployment import Deployment, log_events, uid_selector
from stage.line import Line
from wire import messages as m
from wire.spire_agent import Identity
from wire.status import denied_reason


def serial(response) -> int:
    return x509.load_der_x509_certificate(response.svids[0].x509_svid).serial_number


def end_of(stream) -> grpc.StatusCode:
    """Reads on until the stream ends; how it ended."""
    with pytest.raises(grpc.RpcError) as ended:
        for _ in stream:
            pass
    return ended.value.code()


def test_a_revoked_agent_loses_stream_tokens_and_renewal_at_every_node_by_push_and_gets_them_back(deployment):
    # No node asks for anything within an hour: what happens, happens by push. How soon: `Benchmarks/latency.py`.
    by_push = ["-syncInterval", "1h"]
    domain = deployment("revoked.test", agent=by_push)
    domain.entry("/refunds", [uid_selector()])
    domain.wait_for_ids("/refunds")
    identity = f"{domain.id}/refunds"
    with domain.workload() as api, contextlib.ExitStack() as stack:
        others = []
        for _ in range(3):
            start_agent(domain, extra=by_push)
            others.append(stack.enter_context(domain.workload()))
            domain.wait_for_ids("/refunds")
        elsewhere = [other.x509_svids(timeout=60) for other in others]
        for one in elsewhere:
            next(one)
        stream = api.x509_svids(timeout=60)
        held = next(stream)
        token = api.jwt_svid(["shop"]).svids[0].svid
        assert api.validate("shop", token).spiffe_id == identity
        domain.cli("revoke", "-spiffeID", identity, "-reason", "stolen")
        for one in (stream, *elsewhere):
            assert end_of(one) == grpc.StatusCode.PERMISSION_DENIED
        for other in others:
            assert verdict(other, token) == grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(grpc.RpcError) as refused:
            api.jwt_svid(["shop"])
        assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
        with pytest.raises(grpc.RpcError) as refused:
            api.validate("shop", token)
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    minted = domain.cli("jwt", "mint", "-spiffeID", identity, "-audience", "shop", check=False)
    assert minted.returncode == 1
    listed = domain.cli_json("revoke", "list")["items"]
    # With the identity the certificates that it held, one at each node.
    named = {(item["kind"], item["value"]) for item in listed}
    assert named >= {("spiffe_id", identity), ("serial", f"{serial(held):032x}")}
    assert sorted(kind for kind, _ in named) == ["serial"] * 4 + ["spiffe_id"]

    domain.cli("unrevoke", "-spiffeID", identity)
    domain.wait_for_ids("/refunds")
    assert domain.cli_json("revoke", "list")["items"] == []
    events = [record["event"] for record in log_events(domain)]
    acts = [event for event in events if event["type"].startswith("revocation.") and event["phase"] == "outcome"]
    assert [act["type"] for act in acts] == ["revocation.add", "revocation.remove"]


def test_what_is_revoked_stays_revoked_over_restarts_of_both(deployment):
    domain = deployment("still-revoked.test")
    domain.entry("/refunds", [uid_selector()])
    domain.entry("/other", [uid_selector()])
    domain.wait_for_ids("/other", "/refunds")
    domain.cli("revoke", "-spiffeID", f"{domain.id}/refunds")
    domain.wait_for_ids("/other")
    before = int(domain.cli_json("revoke", "list")["sequence"])
    domain.end(domain.agent, 9)
    domain.end(domain.server, 9)
    domain.start_server()
    domain.start_agent()
    domain.wait_for_ids("/other")
    assert int(domain.cli_json("revoke", "list")["sequence"]) > before
    domain.cli("unrevoke", "-spiffeID", f"{domain.id}/refunds")
    domain.wait_for_ids("/other", "/refunds")


def test_a_revoked_certificate_is_replaced_and_named_in_the_crl(deployment):
    domain = deployment("serial.test")
    domain.entry("/refunds", [uid_selector()])
    domain.wait_for_ids("/refunds")
    with domain.workload() as api:
        stream = api.x509_svids(timeout=60)
        first = next(stream)
        assert not first.crl
        revoked = serial(first)
        domain.cli("revoke", "-serial", f"{revoked:032x}")

        def replaced():
            response = next(stream)
            return response if serial(response) != revoked and response.crl else None

        response = eventually(replaced, "another certificate and a CRL")
        crl = x509.load_der_x509_crl(response.crl[0])
        assert crl.get_revoked_certificate_by_serial_number(revoked) is not None
        issuer = x509.load_der_x509_certificate(response.svids[0].bundle)
        assert crl.is_signature_valid(issuer.public_key())
        assert crl.issuer == issuer.subject


def thumbprint(key) -> str:
    """RFC 7638, of a key on P-256."""
    numbers = key.public_numbers()
    x, y = (b64url(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
    return b64url(hashlib.sha256(f'{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}'.encode()).digest())


def b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_a_certificate_of_a_former_authority_is_on_that_authoritys_list(deployment):
    domain = deployment("former.test")
    domain.entry("/refunds", [uid_selector()])
    domain.wait_for_ids("/refunds")
    with domain.workload() as api:
        stream = api.x509_svids(timeout=60)
        first = next(stream)
        stolen = x509.load_der_x509_certificate(first.svids[0].x509_svid)
        former = x509.load_der_x509_certificate(first.svids[0].bundle)
        prepared = domain.cli_json("localauthority", "x509", "prepare")["prepared_authority"]["authority_id"]
        domain.cli("localauthority", "x509", "activate", "-authorityID", prepared)
        # Also over a restart: the former authority's key is still there, for nothing else.
        domain.end(domain.server, 9)
        domain.start_server()
        domain.cli("revoke", "-serial", f"{stolen.serial_number:032x}")

        def replaced():
            response = next(stream)
            return response if serial(response) != stolen.serial_number and len(response.crl) == 2 else None

        response = eventually(replaced, "another certificate and the lists of both authorities", within=60)
    leaf = x509.load_der_x509_certificate(response.svids[0].x509_svid)
    lists = {crl.issuer: crl for crl in map(x509.load_der_x509_crl, response.crl)}
    assert leaf.issuer != stolen.issuer and set(lists) == {leaf.issuer, stolen.issuer}
    crl = lists[stolen.issuer]
    assert crl.get_revoked_certificate_by_serial_number(stolen.serial_number) is not None
    assert crl.is_signature_valid(former.public_key())
    key_id = former.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert crl.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == key_id


def test_a_revoked_key_loses_its_certificate_and_gets_no_other(deployment, tmp_path):
    domain = deployment("key.test", agent=["-syncInterval", "1h"])
    domain.entry("/refunds", [uid_selector()])
    domain.wait_for_ids("/refunds")
    with domain.workload() as api:
        stream = api.x509_svids(timeout=60)
        leaf = x509.load_der_x509_certificate(next(stream).svids[0].x509_svid)
        file = tmp_path / "leaf.pem"
        file.write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
        domain.cli("revoke", "-keyOf", file, "-reason", "found in a paste")
        (item,) = domain.cli_json("revoke", "list")["items"]
        assert (item["kind"], item["value"]) == ("key", thumbprint(leaf.public_key()))

        def replaced():
            new = x509.load_der_x509_certificate(next(stream).svids[0].x509_svid)
            return thumbprint(new.public_key()) != item["value"]

        eventually(replaced, "a certificate with another key")
    domain.cli("unrevoke", "-key", item["value"])
    assert domain.cli_json("revoke", "list")["items"] == []
    for wrong in ("abc", item["value"] + "A"):
        assert domain.cli("revoke", "-key", wrong, check=False).returncode == 1


def test_the_former_key_of_tokens_is_revoked_with_all_that_it_signed(deployment):
    domain = deployment("token-key.test", agent=["-syncInterval", "1h"])
    domain.entry("/refunds", [uid_selector()])
    domain.wait_for_ids("/refunds")
    with domain.workload() as api:
        token = api.jwt_svid(["shop"]).svids[0].svid
        # Our own keys for tokens are called by their thumbprints.
        key = jwt.get_unverified_header(token)["kid"]
        refused = domain.cli("revoke", "-key", key, check=False)
        assert refused.returncode == 1 and "localauthority" in refused.stderr
        prepared = domain.cli_json("localauthority", "jwt", "prepare")["prepared_authority"]["authority_id"]
        domain.cli("localauthority", "jwt", "activate", "-authorityID", prepared)
        assert verdict(api, token) == grpc.StatusCode.OK
        domain.cli("revoke", "-key", key)
        eventually(lambda: verdict(api, token) == grpc.StatusCode.INVALID_ARGUMENT, "its tokens are refused")

        def fresh() -> bool:
            new = api.jwt_svid(["shop"]).svids[0].svid
            return jwt.get_unverified_header(new)["kid"] == prepared and verdict(api, new) == grpc.StatusCode.OK

        eventually(fresh, "a token of the other key")


def test_a_token_is_revoked_by_its_jti_and_no_other_with_it(deployment):
    domain = deployment("jti.test", agent=["-syncInterval", "1h"])
    domain.entry("/refunds", [uid_selector()], additional_attributes=m.types.EntryAttributes(jwt_svid_include_jti=True))
    domain.wait_for_ids("/refunds")
    with domain.workload() as api:
        token, other = (api.jwt_svid([name]).svids[0].svid for name in ("shop", "bank"))
        jti, others = (jwt.decode(text, options={"verify_signature": False})["jti"] for text in (token, other))
        assert jti and others and jti != others
        assert verdict(api, token) == grpc.StatusCode.OK
        domain.cli("revoke", "-jti", jti, "-reason", "logged by mistake")
        eventually(lambda: verdict(api, token) == grpc.StatusCode.INVALID_ARGUMENT, "the token is refused")
        assert api.validate("bank", other).spiffe_id == f"{domain.id}/refunds", "the other token is good"
        fresh = api.jwt_svid(["shop"]).svids[0].svid
        assert jwt.decode(fresh, options={"verify_signature": False})["jti"] != jti, "the revoked one is not handed out again"
        assert verdict(api, fresh) == grpc.StatusCode.OK
        domain.cli("unrevoke", "-jti", jti)
        eventually(lambda: verdict(api, token) == grpc.StatusCode.OK, "taken back")


@pytest.mark.parametrize("what", ["serial", "key"])
def test_the_control_plane_refuses_what_is_revoked_at_every_call(deployment, what):
    """A node agent is told to come back with another certificate; for anybody else it is the end"""
    domain = deployment("asked.test")
    administrator = domain.entry("/root", ["unix:uid:4242"], admin=True)

    def name(leaf) -> str:
        return f"{leaf.serial_number:032x}" if what == "serial" else thumbprint(leaf.public_key())

    with domain.spire_agent() as node, domain.spire_agent() as other:
        node.attest(domain.admin.join_token().encode())
        node.sync()
        signed = node.sign([administrator.id])[administrator.id]
        other.adopt(Identity(signed.chain, signed.key, signed.id, signed.expires_at))

        def by_node():
            node.sync()

        def by_administrator():
            other.entry_api.ListEntries(m.entry.ListEntriesRequest(), timeout=20)

        for call, leaf, reason in (
            (by_administrator, other.identity.leaf, None), (by_node, node.identity.leaf, "AGENT_NOT_ACTIVE"),
        ):  # fmt: skip
            call()
            domain.cli("revoke", f"-{what}", name(leaf))
            with pytest.raises(grpc.RpcError) as refused:
                call()
            assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
            assert denied_reason(refused.value) == reason
            domain.cli("unrevoke", f"-{what}", name(leaf))
            call()


@pytest.fixture
def on_a_line():
    """A node agent that reaches its control plane over a line that can be cut, and asks by push alone."""
    domain = Deployment("cut-off.test", agent=["-syncInterval", "1h"])
    line = None
    try:
        domain.start_server()
        line = Line(domain.port)
        domain.port = line.port
        domain.start_agent()
        yield domain, line
    finally:
        domain.discard()
        if line is not None:
            line.close()


def verdict(api, token: str) -> grpc.StatusCode:
    """What the node agent says of a token."""
    try:
        api.validate("shop", token)
    except grpc.RpcError as refused:
        return refused.code()
    return grpc.StatusCode.OK


@pytest.mark.long
def test_a_lost_push_is_made_up_for_and_silence_is_not_taken_for_good_news(on_a_line):
    domain, line = on_a_line
    for path in ("/refunds", "/other"):
        domain.entry(path, [uid_selector()])
    domain.wait_for_ids("/other", "/refunds")
    with domain.workload() as api:
        tokens = {svid.spiffe_id: svid.svid for svid in api.jwt_svid(["shop"]).svids}
        revoked, other = (tokens[f"{domain.id}/{name}"] for name in ("refunds", "other"))
        line.cut()
        assert verdict(api, other) == grpc.StatusCode.OK, "what was confirmed just now still counts"
        domain.cli("revoke", "-spiffeID", f"{domain.id}/refunds")
        for token in (other, revoked):
            eventually(lambda token=token: verdict(api, token) == grpc.StatusCode.UNAVAILABLE, "no news for 30 s", 90)
        line.mend()
        eventually(lambda: verdict(api, other) == grpc.StatusCode.OK, "the agent is back", 90)
        assert verdict(api, revoked) == grpc.StatusCode.INVALID_ARGUMENT


def test_a_revoked_agent_gets_no_wit(deployment):
    domain = deployment("no-wit.test")
    domain.entry("/refunds", [uid_selector()])
    domain.wait_for_ids("/refunds")
    identity = f"{domain.id}/refunds"
    mint = ("wit", "mint", "-spiffeID", identity)
    assert domain.cli(*mint, check=False).returncode == 0
    domain.cli("revoke", "-spiffeID", identity)
    assert domain.cli(*mint, check=False).returncode == 1
    domain.cli("unrevoke", "-spiffeID", identity)
    assert domain.cli(*mint, check=False).returncode == 0


class Thief:
    """Holds a copy of an agent's key and certificate, and calls a server of the Swift SDK with them."""

    def __init__(self, folder, port: int):
        self.port = port
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = False
        self.context.load_verify_locations(folder / "bundle.0.pem")
        self.context.load_cert_chain(folder / "svid.0.pem", folder / "svid.0.key")

    def connect(self) -> ssl.SSLSocket:
        return self.context.wrap_socket(socket.create_connection(("127.0.0.1", self.port), 10))

    @staticmethod
    def ask(connection: ssl.SSLSocket) -> str:
        """The status line of an answer; empty when the connection is gone."""
        try:
            body = b'{"action":"forecast"}'
            connection.sendall(
                b"POST /task HTTP/1.1\r\nHost: weather\r\nContent-Type: application/json\r\n"
                + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
            )  # fmt: skip
            answer = b""
            while not answer.endswith(b"}") and (part := connection.recv(4096)):
                answer += part
            return answer.split(b"\r\n")[0].decode()
        except (ssl.SSLError, OSError):
            return ""

    def once(self) -> str:
        try:
            with self.connect() as connection:
                return self.ask(connection)
        except (ssl.SSLError, OSError):
            return ""


@pytest.mark.parametrize("what", ["spiffeID", "serial"])
def test_the_sdks_server_cuts_off_a_stolen_identity(deployment, what):
    domain = deployment(f"stolen-{what.lower()}.test", agent=["-syncInterval", "1h"])
    for name in ("weather", "planner"):
        domain.entry(f"/{name}", [f"launch:name:{name}", f"launch:uid:{os.geteuid()}"])

    def launch(name: str, *words: object) -> list[str]:
        return [str(word) for word in (default_binary(), "run", "--as", name, "-socketPath", domain.workload_socket, "--", *words)]

    copied = domain.folder / "copied"
    copied.mkdir()
    fetch = launch("planner", default_binary(), "api", "fetch", "x509", "-silent", "-write", copied)
    eventually(lambda: subprocess.run(fetch, stdin=subprocess.DEVNULL, timeout=30).returncode == 0, "the planner's identity")
    port_file = domain.folder / "port"
    domain.processes.append(
        Process(
            "weather",
            launch(
                "weather", default_binary().parent / "demo-agent", "serve", "--listen", "127.0.0.1:0",
                "--allow", f"{domain.id}/planner", "--port-file", port_file,
            ),
            domain.folder,
        )
    )  # fmt: skip
    port = int(eventually(lambda: port_file.exists() and port_file.read_text().strip(), "the server listens"))
    thief = Thief(copied, port)
    connection = thief.connect()
    assert thief.ask(connection) == "HTTP/1.1 200 OK"
    assert thief.ask(connection) == "HTTP/1.1 200 OK", "the connection stays open"

    leaf = x509.load_pem_x509_certificate((copied / "svid.0.pem").read_bytes())
    value = f"{domain.id}/planner" if what == "spiffeID" else f"{leaf.serial_number:032x}"
    domain.cli("revoke", f"-{what}", value)
    connection.settimeout(20)
    try:
        rest = connection.recv(4096)
    except (ssl.SSLError, ConnectionError):
        rest = b""
    assert rest == b"", "cut without an answer, while the thief is silent"
    assert thief.once() == ""

    domain.cli("unrevoke", f"-{what}", value)
    eventually(lambda: thief.once() == "HTTP/1.1 200 OK", "the identity is taken back")
