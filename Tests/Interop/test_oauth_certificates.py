"""Clients with certificates that are no SVIDs (RFC 8705 §2): `tls_client_auth` and `self_signed_tls_client_auth`.

Stock clients: curl, authlib and requests. What the server refuses at the handshake and what at the endpoint is both a refusal.
"""

import base64
import json
import socket
import ssl
import subprocess
import time

import httpx
import jwt
import pytest
import requests
from authlib.integrations.requests_client import OAuth2Session
from cryptography.hazmat.primitives import hashes
from harness import domain as shield
from harness.pki import CLIENT, SERVER, Holder, make
from harness.polling import eventually
from harness.tokens import Tokens

RESOURCE = "api://vault"
NAME = "agent.corp.example"


@pytest.fixture(scope="module")
def root() -> Holder:
    return make(name="Corporate root", ca=True, ends=86400)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory, root):
    authorities = tmp_path_factory.mktemp("authorities") / "clients.pem"
    authorities.write_bytes(root.pem)
    domain = shield.start_server("oauth-certificates.test", extra=("-clientCA", str(authorities)))
    try:
        tokens = Tokens(domain)
        tokens.authorities = authorities
        tokens.resource(RESOURCE, "read", binding="required")
        yield tokens
        assert set(domain.stop()) == {0}
    finally:
        domain.discard()


@pytest.fixture
def folder(tmp_path):
    return tmp_path


def client(tokens, name: str):
    agent = tokens.agent(name)
    tokens.grant(agent, RESOURCE, "read")
    return agent


def register_name(tokens, agent, flag: str, name: str) -> None:
    tokens.domain.cli("client-credential", "create", "-id", agent.client_id, flag, name)


def thumbprint(holder: Holder) -> str:
    return base64.urlsafe_b64encode(holder.certificate.fingerprint(hashes.SHA256())).rstrip(b"=").decode()


def claims_of(token: str) -> dict:
    return jwt.decode(token, options={"verify_signature": False})


def is_bound(token: str, agent, holder: Holder) -> bool:
    claims = claims_of(token)
    assert claims["exp"] <= holder.certificate.not_valid_after_utc.timestamp()
    return claims["sub"] == agent.spiffe_id and claims["cnf"] == {"x5t#S256": thumbprint(holder)}


def form(client_id: str | None) -> dict:
    return {"grant_type": "client_credentials", "resource": RESOURCE} | ({"client_id": client_id} if client_id else {})


def answer(tokens, files, client_id) -> httpx.Response | None:
    """None where the connection is the end of it."""
    with tokens.web(files) as web:
        try:
            return web.post("/oauth2/token", data=form(client_id))
        except (httpx.TransportError, ssl.SSLError):
            return None


def refused(tokens, files, client_id) -> bool:
    """As every other failure, byte by byte."""
    reply = answer(tokens, files, client_id)
    return reply is not None and (reply.status_code, reply.content) == (401, b'{"error":"invalid_client"}')


def test_the_metadata_name_the_methods_strongest_first(tokens, server):
    methods = ["spiffe_x509", "spiffe_jwt", "tls_client_auth", "self_signed_tls_client_auth", "private_key_jwt"]
    with tokens.web() as web:
        metadata = web.get("/.well-known/oauth-authorization-server/oauth2").json()
    for endpoint in ("token", "introspection", "revocation"):
        assert metadata[f"{endpoint}_endpoint_auth_methods_supported"][:5] == methods
    assert metadata["tls_client_certificate_bound_access_tokens"] is True
    other = Tokens(server)
    with other.web() as web:
        without = web.get("/.well-known/oauth-authorization-server/oauth2").json()["token_endpoint_auth_methods_supported"]
    assert "tls_client_auth" not in without and "self_signed_tls_client_auth" in without


def curl(tokens, files, client_id) -> subprocess.CompletedProcess:
    certificate, key = files
    return subprocess.run(
        ["curl", "--silent", "--show-error", "--fail-with-body", "--cacert", tokens.roots, "--cert", certificate, "--key", key,
         "-d", "grant_type=client_credentials", "-d", f"resource={RESOURCE}", "-d", f"client_id={client_id}", tokens.endpoint],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip


def test_curl_with_a_registered_certificate(tokens, folder):
    agent = client(tokens, "pinned")
    holder = make(name="pinned", ends=120)
    files = holder.write(folder, "pinned")
    tokens.register(agent, "-certificate", files[0])
    reply = curl(tokens, files, agent.client_id)
    assert reply.returncode == 0, reply.stdout + reply.stderr
    assert is_bound(json.loads(reply.stdout)["access_token"], agent, holder)
    impostor = make(name="pinned", ends=120).write(folder, "impostor")
    reply = curl(tokens, impostor, agent.client_id)
    assert reply.returncode != 0 and json.loads(reply.stdout) == {"error": "invalid_client"}


@pytest.mark.parametrize(
    ("flag", "value", "names"),
    [("-certificateDNS", NAME, {"dns": [NAME]}), ("-certificateURI", "urn:corp:agent:7", {"uris": ["urn:corp:agent:7"]})],
)
def test_authlib_with_a_certificate_of_an_authority(tokens, root, folder, monkeypatch, flag, value, names):
    """Below an intermediate authority that the client sends along, with the method that authlib knows: none"""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tokens.roots))
    agent = client(tokens, f"corporate{flag[-3:].lower()}")
    register_name(tokens, agent, flag, value)
    holder = make(make(root, name="Issuing CA", ca=True), purposes=[CLIENT], ends=120, **names)
    with OAuth2Session(agent.client_id, None, token_endpoint_auth_method="none") as session:
        session.cert = tuple(str(path) for path in holder.write(folder, "corporate"))
        # It puts `client_id` into the body by itself.
        answer = session.fetch_token(tokens.endpoint, grant_type="client_credentials", resource=RESOURCE)
        assert is_bound(answer["access_token"], agent, holder)
        facts = session.introspect_token(f"{tokens.issuer}/introspect", token=answer["access_token"]).json()
        assert facts["active"] and facts["cnf"] == {"x5t#S256": thumbprint(holder)}
    outcomes = [event.get("effect", {}).get("result", {}) for event in tokens.log("access_token.issue")]
    assert any(facts.get("client") == agent.client_id and facts.get("binding") == "certificate" for facts in outcomes)


def test_requests_by_either_name_of_the_agent_and_for_introspection(tokens, folder):
    agent = client(tokens, "both-names")
    holder = make(name="both")
    files = holder.write(folder, "both")
    tokens.register(agent, "-certificate", files[0])
    cert = tuple(str(path) for path in files)
    for client_id in (agent.client_id, agent.spiffe_id):
        reply = requests.post(tokens.endpoint, data=form(client_id), cert=cert, verify=str(tokens.roots), timeout=30)
        assert reply.status_code == 200 and is_bound(reply.json()["access_token"], agent, holder)
    token = reply.json()["access_token"]
    ask = {"token": token, "client_id": agent.client_id}
    for path, expected in (("introspect", True), ("revoke", None), ("introspect", False)):
        reply = requests.post(f"{tokens.issuer}/{path}", data=ask, cert=cert, verify=str(tokens.roots), timeout=30)
        assert reply.status_code == 200 and (expected is None or reply.json()["active"] is expected)


def test_near_misses_look_like_every_other_failure(tokens, root, folder):
    agent, other = client(tokens, "careful"), client(tokens, "neighbour")
    register_name(tokens, agent, "-certificateDNS", "careful.corp.example")
    good = make(root, dns=["careful.corp.example"], purposes=[CLIENT])
    own = make(name="careful")
    tokens.register(agent, "-certificate", own.write(folder, "own")[0])
    assert answer(tokens, good.write(folder, "good"), agent.client_id).status_code == 200
    stranger = make(name="Corporate root", ca=True)
    name = {"dns": ["careful.corp.example"]}
    old, early = make(name="careful", begins=-120, ends=-60), make(name="careful", begins=60, ends=120)
    for one in (old, early):
        tokens.register(agent, "-certificate", one.write(folder, "dated")[0])
    leaf_without_its_authority = make(make(root, name="Hidden CA", ca=True), **name)
    cases = {
        "an authority that nobody trusts": make(stranger, **name),
        "the right authority, another name": make(root, dns=["careless.corp.example"]),
        "the right authority, no name": make(root, name="careful.corp.example"),
        "a wildcard": make(root, dns=["*.corp.example"]),
        "for servers": make(root, purposes=[SERVER], **name),
        "expired": make(root, begins=-120, ends=-60, **name),
        "not yet valid": make(root, begins=60, ends=120, **name),
        "under an expired authority": make(make(root, name="Old CA", ca=True, ends=-1), **name),
        "under no authority but a client": make(good, **name),
        "signed by itself": make(**name),
        "the same subject, another key": make(name="careful"),
        "registered and expired": old,
        "registered and not yet valid": early,
    }
    for case, holder in cases.items():
        assert refused(tokens, holder.write(folder, "case"), agent.client_id), case
    hidden = leaf_without_its_authority.write(folder, "hidden", chain=False)
    assert refused(tokens, hidden, agent.client_id), "without the authority in between"
    for case, files in {"a name": good.write(folder, "good"), "a certificate": own.write(folder, "own")}.items():
        assert refused(tokens, files, other.client_id), f"another client's {case}"
        assert refused(tokens, files, "nobody"), f"nobody's {case}"
        assert refused(tokens, files, None), f"{case} without `client_id`"
    reasons = " ".join(event["decision"]["reason"] for event in tokens.refusals())
    assert "does not verify" in reasons and "registered neither" in reasons


def test_what_the_handshake_ends(tokens, root, folder):
    agent = client(tokens, "handshake")
    register_name(tokens, agent, "-certificateDNS", "handshake.corp.example")
    name = {"dns": ["handshake.corp.example"]}
    assert answer(tokens, make(root, **name).write(folder, "good"), agent.client_id).status_code == 200
    above = root
    for number in range(5):
        above = make(above, name=f"CA {number}", ca=True)
    cases = {
        "a long chain": make(above, **name),
        # TLS itself wants a key for signatures.
        "an authority's own": make(root, ca=True, **name),
        "a huge certificate": make(root, dns=["handshake.corp.example", *(f"n{n}.corp.example" for n in range(2500))]),
        "a SPIFFE ID beside the name": make(root, uris=[agent.spiffe_id], **name),
        "a SPIFFE ID of no trust domain": make(root, uris=["SPIFFE://nowhere/a"], **name),
    }
    for case, holder in cases.items():
        assert answer(tokens, holder.write(folder, "case"), agent.client_id) is None, case


def test_the_node_api_takes_no_such_certificate(tokens, root, folder):
    host, _, port = tokens.domain.node_api.rpartition(":")
    files = make(root, dns=["node.corp.example"]).write(folder, "node")

    def ends(certificate) -> bool:
        context = ssl.create_default_context(cafile=tokens.roots)
        context.set_alpn_protocols(["h2"])
        if certificate:
            context.load_cert_chain(*certificate)
        with socket.create_connection((host, int(port)), timeout=30) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as connection:
                # TLS 1.3: a client hears of the refusal after its own handshake.
                connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
                try:
                    return connection.recv(9) == b""
                except OSError:
                    return True

    assert ends(files) and not ends(None)


def test_an_authority_of_the_list_vouches_for_no_svid_and_no_svid_for_a_name(tokens, folder):
    agent = client(tokens, "svid")
    register_name(tokens, agent, "-certificateDNS", "svid.corp.example")
    # An SVID with that DNS name, of this very trust domain, is the identity of whom it names.
    tokens.agent("svid-holder")
    tokens.domain.cli(
        "x509", "mint", "-spiffeID", f"{tokens.domain.id}/svid-holder", "-dns", "svid.corp.example", "-write", folder
    )
    assert refused(tokens, (folder / "svid.pem", folder / "key.pem"), agent.client_id)


def test_disabled_and_revoked(tokens, folder):
    agent = client(tokens, "ended")
    files = make(name="ended").write(folder, "ended")
    tokens.register(agent, "-certificate", files[0])
    assert answer(tokens, files, agent.client_id).status_code == 200
    tokens.domain.cli("identity", "disable", "-id", agent.client_id)
    assert refused(tokens, files, agent.client_id)
    tokens.domain.cli("identity", "enable", "-id", agent.client_id)
    token = answer(tokens, files, agent.client_id).json()["access_token"]
    tokens.domain.cli("revoke", "-keyOf", files[0])
    assert refused(tokens, files, agent.client_id)
    assert token
    other = client(tokens, "gone")
    files = make(name="gone").write(folder, "gone")
    tokens.register(other, "-certificate", files[0])
    assert answer(tokens, files, other.client_id).status_code == 200
    tokens.domain.cli("revoke", "-spiffeID", other.spiffe_id)
    assert refused(tokens, files, other.client_id)


def test_a_resumed_session_shows_the_certificate_of_the_first(tokens, root, folder):
    agent = client(tokens, "resumed")
    register_name(tokens, agent, "-certificateDNS", "resumed.corp.example")
    holder = make(make(root, name="Resumed CA", ca=True), dns=["resumed.corp.example"])
    certificate, key = holder.write(folder, "resumed")
    context = ssl.create_default_context(cafile=tokens.roots)
    context.load_cert_chain(certificate, key)
    port = int(tokens.base.rpartition(":")[2])
    body = "&".join(f"{name}={value}" for name, value in form(agent.client_id).items()).replace("://", "%3A%2F%2F")
    request = (
        f"POST /oauth2/token HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
    )
    session = None
    for number in range(3):
        with socket.create_connection(("localhost", port), timeout=30) as plain:
            with context.wrap_socket(plain, server_hostname="localhost", session=session) as connection:
                connection.sendall(request.encode())
                reply = b""
                while part := connection.recv(65536):
                    reply += part
                session = connection.session
                assert connection.session_reused is (number > 0)
        assert b" 200 " in reply.split(b"\r\n", 1)[0], reply
        assert is_bound(json.loads(reply.partition(b"\r\n\r\n")[2])["access_token"], agent, holder)


@pytest.mark.long
def test_the_list_of_authorities_is_read_again(tokens, root, folder):
    agent = client(tokens, "later")
    register_name(tokens, agent, "-certificateDNS", "later.corp.example")
    fresh = make(name="Another root", ca=True)
    files = make(fresh, dns=["later.corp.example"]).write(folder, "later")
    assert refused(tokens, files, agent.client_id)
    tokens.authorities.write_bytes(root.pem + fresh.pem)
    eventually(lambda: answer(tokens, files, agent.client_id).status_code == 200, "the new authority counts", within=60)
    # A list that is of no use takes nothing away.
    tokens.authorities.write_bytes(b"nothing")
    time.sleep(11)
    assert answer(tokens, files, agent.client_id).status_code == 200
    tokens.authorities.write_bytes(root.pem)
    eventually(lambda: refused(tokens, files, agent.client_id), "the new authority is gone", within=60)


def test_a_list_that_is_of_no_use_keeps_the_server_from_starting(tokens, folder):
    for name, contents in (("empty", b""), ("leaf", make().pem), ("spiffe", tokens.domain.roots_pem)):
        path = folder / f"{name}.pem"
        path.write_bytes(contents)
        done = subprocess.run(
            [shield.default_binary(), "server", "run", "-dataDir", folder / name, "-trustDomain", "x.test", "-serverPort", "0",
             "-httpsPort", "0", "-socketPath", folder / f"{name}.sock", "-clientCA", path],
            capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        assert done.returncode != 0 and "authorities of client certificates" in done.stderr, (name, done.stderr)
