"""The kill switch from outside: global token revocation by an administrator, security events of transmitters in Python."""

import json
import time
import uuid

import httpx
import joserfc.jwk
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import FastAPI, HTTPException, Request
from harness import domain as shield
from harness.polling import eventually
from harness.service import serving
from harness.tokens import SVID_ASSERTION_TYPE, Tokens
from harness.web import WebCA
from joserfc import jwt as joserfc_jwt

from wire.jws import public_jwk, sign
from wire.keys import new_key, pkcs8_pem

RESOURCE = "api://signal-desk"
CAEP, RISC = "https://schemas.openid.net/secevent/caep/event-type/", "https://schemas.openid.net/secevent/risc/event-type/"
VERIFICATION = "https://schemas.openid.net/secevent/ssf/event-type/verification"
# One that speaks for its own agents, one that the operator lets end everybody, one with an audience of its own, one that is away.
HOME, CENTRAL, NAMED, AWAY = "https://idp.example", "https://siem.example/tenant", "https://named.example", "https://localhost:1"
RSA_KEY, EC_KEY = rsa.generate_private_key(65537, 2048), new_key()


class Transmitter:
    """Signs and pushes as a transmitter of the Shared Signals Framework does."""

    def __init__(self, tokens: Tokens, issuer: str):
        self.tokens, self.issuer = tokens, issuer

    def claims(self, sub_id: dict | None, *types: str, **changes) -> dict:
        events = {type: {"event_timestamp": int(time.time()), "initiating_entity": "admin"} for type in types}
        claims = {
            "iss": self.issuer, "aud": f"{self.tokens.base}/ssf/events", "iat": int(time.time()), "jti": uuid.uuid4().hex,
            "txn": "t-1", "sub_id": sub_id, "events": events, **changes,
        }  # fmt: skip
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, claims: dict, key=RSA_KEY, **header) -> str:
        algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
        whole = {"typ": "secevent+jwt", "kid": "rsa" if algorithm == "RS256" else "ec", "alg": algorithm, **header}
        return sign({name: value for name, value in whole.items() if value is not None}, claims, key)

    def push(self, token: str, content_type: str = "application/secevent+jwt") -> httpx.Response:
        with self.tokens.web() as web:
            return web.post("/ssf/events", content=token, headers={"Content-Type": content_type, "Accept": "application/json"})

    def send(self, sub_id: dict | None, *types: str, **changes) -> httpx.Response:
        return self.push(self.token(self.claims(sub_id, *types, **changes)))


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    keys = tmp_path_factory.mktemp("transmitters") / "keys.json"
    keys.write_text(json.dumps({"keys": [public_jwk(RSA_KEY) | {"kid": "rsa", "alg": "RS256"}, public_jwk(EC_KEY) | {"kid": "ec", "alg": "ES256"}]}))
    flags = [
        "-signalIssuer", f"{HOME} jwks={keys}", "-signalIssuer", f"{CENTRAL} all jwks={keys}",
        "-signalIssuer", f"{NAMED} all audience=agentshield-stream jwks={keys}", "-signalIssuer", f"{AWAY} private",
    ]  # fmt: skip
    domain = shield.start_up("oauth-signals.test", extra=flags)
    try:
        tokens = Tokens(domain)
        tokens.resource(RESOURCE, "read")
        yield tokens
        assert domain.stop() == [0]
    finally:
        domain.discard()


class Victim:
    """An agent with an access token, about which introspection is asked."""

    def __init__(self, tokens: Tokens, home: str | None = HOME):
        self.tokens = tokens
        self.agent = tokens.agent(f"victim-{uuid.uuid4().hex[:8]}")
        self.subject = f"app-{self.agent.client_id}"
        if home:
            tokens.federate(self.agent, issuer=home, subject=self.subject)
        tokens.grant(self.agent, RESOURCE, "read")
        self.credentials = {"client_assertion_type": SVID_ASSERTION_TYPE, "client_assertion": tokens.jwt_svid(self.agent, tokens.issuer)}
        self.token = self.ask().json()["access_token"]
        self.claims = jwt.decode(self.token, options={"verify_signature": False})

    def ask(self) -> httpx.Response:
        with self.tokens.web() as web:
            return web.post("/oauth2/token", data={"grant_type": "client_credentials", "resource": RESOURCE, **self.credentials})

    @property
    def state(self) -> str:
        return self.tokens.domain.cli_json("identity", "show", "-id", self.agent.client_id)["state"]

    def is_barred(self) -> bool:
        return self.ask().status_code == 401

    def enable(self) -> None:
        self.tokens.domain.cli("identity", "enable", "-id", self.agent.client_id)
        eventually(lambda: self.ask().status_code == 200, "the agent gets tokens again")

    def subjects(self) -> dict[str, dict]:
        """Every way to name it."""
        return {
            "uri": {"format": "uri", "uri": self.agent.spiffe_id},
            "opaque": {"format": "opaque", "id": self.agent.client_id},
            "our issuer": {"format": "iss_sub", "iss": self.tokens.issuer, "sub": self.agent.spiffe_id},
            "our other issuer": {"format": "iss_sub", "iss": self.tokens.entra_issuer, "sub": self.agent.client_id},
            "the trust domain": {"format": "iss_sub", "iss": self.tokens.domain.id, "sub": self.agent.spiffe_id},
            "its provider": {"format": "iss_sub", "iss": HOME, "sub": self.subject},
        }


SUBJECTS = ["uri", "opaque", "our issuer", "our other issuer", "the trust domain", "its provider"]
NOBODY = [
    {"format": "uri", "uri": "spiffe://oauth-signals.test/nobody"},
    {"format": "uri", "uri": "spiffe://elsewhere.test/victim"},
    {"format": "uri", "uri": "spiffe://oauth-signals.test/spire/server"},
    {"format": "opaque", "id": "00000000-0000-4000-8000-000000000000"},
    {"format": "iss_sub", "iss": HOME, "sub": "nobody"},
    {"format": "iss_sub", "iss": "https://unheard-of.example", "sub": "app"},
    {"format": "jwt_id", "iss": "https://unheard-of.example", "jti": "x"},
    {"format": "email", "email": "owner@example.org"},
]


class Desk:
    """The agent behind the resource, who may ask about every token for it."""

    def __init__(self, tokens: Tokens):
        self.tokens = tokens
        self.agent = tokens.agent("signal-desk")
        tokens.domain.cli("resource", "update", "-id", RESOURCE, "-agent", self.agent.client_id)
        self.svid = tokens.jwt_svid(self.agent, tokens.issuer)

    def is_active(self, token: str) -> bool:
        form = {"token": token, "client_assertion_type": SVID_ASSERTION_TYPE, "client_assertion": self.svid}
        with self.tokens.web() as web:
            return web.post("/oauth2/introspect", data=form).json()["active"]


@pytest.fixture(scope="module")
def desk(tokens):
    return Desk(tokens)


# Global token revocation


@pytest.fixture(scope="module")
def admin(tokens, tmp_path_factory):
    """The SVID of a workload whose entry has the admin flag."""
    tokens.domain.entry("/console", admin=True)
    folder = tmp_path_factory.mktemp("console")
    tokens.domain.cli("x509", "mint", "-spiffeID", f"{tokens.domain.id}/console", "-ttl", "10m", "-write", folder)
    return folder / "svid.pem", folder / "key.pem"


def revoke(tokens, identity, body: object, content_type: str = "application/json") -> httpx.Response:
    content = body if isinstance(body, str) else json.dumps(body)
    with tokens.web(identity) as web:
        return web.post("/oauth2/global-token-revocation", content=content, headers={"Content-Type": content_type})


def test_the_metadata_names_the_endpoint(tokens):
    with tokens.web() as web:
        for path in ("/.well-known/oauth-authorization-server/oauth2", f"/{tokens.domain.name}/v2.0/.well-known/openid-configuration"):
            assert web.get(path).json()["global_token_revocation_endpoint"] == f"{tokens.base}/oauth2/global-token-revocation"


@pytest.mark.parametrize("name", SUBJECTS)
def test_an_administrator_ends_an_agent(tokens, admin, desk, name):
    victim = Victim(tokens)
    assert desk.is_active(victim.token)
    for _ in range(2):
        reply = revoke(tokens, admin, {"sub_id": victim.subjects()[name]})
        assert (reply.status_code, reply.content) == (204, b"")
        # Before anybody could look away.
        assert not desk.is_active(victim.token) and victim.is_barred()
    assert victim.state == "disabled"
    [outcome] = [event for event in tokens.log("identity.disable") if event["phase"] == "outcome" and event["resource"]["id"] == victim.agent.client_id]
    assert outcome["agent"]["id"] == f"{tokens.domain.id}/console" and outcome["agent"]["auth_method"] == "mtls"
    assert outcome["remediation"]["cause"] == "global token revocation"
    victim.enable()


def test_one_token_and_a_workload_that_is_no_agent(tokens, admin, desk):
    victim = Victim(tokens)
    other = victim.ask().json()["access_token"]
    subject = {"format": "jwt_id", "iss": tokens.issuer, "jti": victim.claims["jti"]}
    assert revoke(tokens, admin, {"sub_id": subject}).status_code == 204
    assert not desk.is_active(victim.token) and desk.is_active(other) and victim.state == "enabled"

    tokens.domain.entry("/batch")
    assert revoke(tokens, admin, {"sub_id": {"format": "uri", "uri": f"{tokens.domain.id}/batch"}}).status_code == 204
    revoked = tokens.domain.cli_json("revoke", "list")["items"]
    assert any(item["value"] == f"{tokens.domain.id}/batch" for item in revoked), revoked
    assert tokens.domain.cli("x509", "mint", "-spiffeID", f"{tokens.domain.id}/batch", check=False).returncode != 0


@pytest.mark.parametrize("subject", NOBODY, ids=lambda subject: "-".join(subject.values()))
def test_a_subject_that_nobody_knows(tokens, admin, subject):
    assert revoke(tokens, admin, {"sub_id": subject}).status_code == 404


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("", "application/json"), ("{}", "application/json"), ("[]", "application/json"), ('{"sub_id":"x"}', "application/json"),
        ('{"sub_id":{}}', "application/json"), ('{"sub_id":{"format":"uri"}}', "application/json"),
        ('{"sub_id":{"format":"uri","uri":"spiffe://a/b","id":"c"}}', "application/json"),
        ('{"sub_id":{"format":"uri","uri":""}}', "application/json"), ('{"sub_id":{"format":7}}', "application/json"),
        ('{"sub_id":{"format":"opaque","id":"a","id":"b"}}', "application/json"),
        ('{"sub_id":{"format":"opaque","id":"' + "x" * 9000 + '"}}', "application/json"),
        ('{"sub_id":{"format":"opaque","id":"a"}}', "text/plain"),
    ],
)  # fmt: skip
def test_a_body_that_is_none(tokens, admin, body, content_type):
    assert revoke(tokens, admin, body, content_type).status_code == 400


def test_only_administrators(tokens, admin, tmp_path):
    victim = Victim(tokens)
    body = {"sub_id": victim.subjects()["opaque"]}
    assert revoke(tokens, None, body).status_code == 401
    folder = tmp_path / "itself"
    folder.mkdir()
    assert revoke(tokens, tokens.x509_svid(victim.agent, folder), body).status_code == 403
    with tokens.web() as web:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {victim.token}"}
        assert web.post("/oauth2/global-token-revocation", content=json.dumps(body), headers=headers).status_code == 401
    assert victim.state == "enabled"
    # An administrator whose SVID is revoked is none.
    tokens.domain.entry("/former-console", admin=True)
    folder = tmp_path / "former"
    folder.mkdir()
    tokens.domain.cli("x509", "mint", "-spiffeID", f"{tokens.domain.id}/former-console", "-ttl", "10m", "-write", folder)
    former = folder / "svid.pem", folder / "key.pem"
    assert revoke(tokens, former, {"sub_id": NOBODY[0]}).status_code == 404
    tokens.domain.cli("revoke", "-spiffeID", f"{tokens.domain.id}/former-console")
    assert revoke(tokens, former, body).status_code == 401 and victim.state == "enabled"
    assert len(tokens.log("revocation.refuse")) >= 4


# Security events


@pytest.mark.parametrize("name", SUBJECTS)
@pytest.mark.parametrize("issuer", [HOME, CENTRAL])
def test_a_session_is_revoked_elsewhere(tokens, desk, issuer, name):
    victim, transmitter = Victim(tokens), Transmitter(tokens, issuer)
    assert desk.is_active(victim.token)
    token = transmitter.token(transmitter.claims(victim.subjects()[name], CAEP + "session-revoked"))
    reply = transmitter.push(token)
    assert (reply.status_code, reply.content) == (202, b"")
    eventually(lambda: not desk.is_active(victim.token), "introspection says inactive")
    assert victim.is_barred() and victim.state == "disabled"
    [outcome] = [event for event in tokens.log("identity.disable") if event["phase"] == "outcome" and event["resource"]["id"] == victim.agent.client_id]
    assert outcome["agent"]["id"] == issuer and outcome["agent"]["auth_method"] == "security_event"
    assert outcome["remediation"]["cause"] == f"signal `session-revoked` of `{issuer}`"

    # The same delivery again is acknowledged again, and nothing happens.
    victim.enable()
    assert transmitter.push(token).status_code == 202
    assert victim.state == "enabled" and victim.ask().status_code == 200


@pytest.mark.parametrize(
    ("type", "payload", "ends"),
    [
        (CAEP + "session-revoked", {}, True),
        (CAEP + "credential-change", {"credential_type": "x509", "change_type": "revoke"}, True),
        (CAEP + "credential-change", {"credential_type": "x509", "change_type": "delete"}, True),
        (CAEP + "credential-change", {"credential_type": "x509", "change_type": "create"}, False),
        (CAEP + "credential-change", {"credential_type": "x509", "change_type": "update"}, False),
        (CAEP + "credential-change", {}, False),
        (CAEP + "token-claims-change", {"claims": {"role": "ro-admin"}}, False),
        (CAEP + "session-established", {}, False),
        (RISC + "account-disabled", {"reason": "hijacking"}, True),
        (RISC + "account-purged", {}, True),
        (RISC + "account-enabled", {}, False),
        (RISC + "credential-compromise", {"credential_type": "password"}, True),
        (RISC + "sessions-revoked", {}, True),
        (VERIFICATION, {"state": "x"}, False),
        ("https://vendor.example/event", {}, False),
    ],
)
def test_what_events_mean(tokens, type, payload, ends):
    victim, transmitter = Victim(tokens), Transmitter(tokens, CENTRAL)
    reply = transmitter.send(victim.subjects()["opaque"], events={type: payload})
    assert reply.status_code == 202
    assert victim.state == ("disabled" if ends else "enabled")


def test_stock_libraries_sign_them(tokens):
    """joserfc with an EC key, PyJWT with an RSA key; several events in one token end one agent once"""
    first, second = Victim(tokens), Victim(tokens)
    transmitter = Transmitter(tokens, HOME)
    key = joserfc.jwk.ECKey.import_key(pkcs8_pem(EC_KEY).decode())
    claims = transmitter.claims(first.subjects()["uri"], CAEP + "session-revoked", RISC + "account-disabled")
    assert transmitter.push(joserfc_jwt.encode({"alg": "ES256", "kid": "ec", "typ": "secevent+jwt"}, claims, key)).status_code == 202
    claims = transmitter.claims(second.subjects()["uri"], CAEP + "session-revoked", aud=[f"{tokens.base}/ssf/events"])
    assert transmitter.push(jwt.encode(claims, RSA_KEY, "RS256", {"kid": "rsa", "typ": "application/secevent+jwt"})).status_code == 202
    assert first.state == second.state == "disabled"


def test_one_that_verifies_its_stream(tokens):
    """SSF 1.0 §8.1.4: the subject of a verification is the stream"""
    transmitter = Transmitter(tokens, HOME)
    reply = transmitter.send({"format": "opaque", "id": "stream-1"}, events={VERIFICATION: {"state": "s"}})
    assert reply.status_code == 202
    received = tokens.log("signal.receive")[-1]
    assert received["agent"]["id"] == HOME and received["effect"]["result"]["events"] == "verification"


@pytest.mark.parametrize("subject", [None, *NOBODY], ids=lambda subject: "-".join(subject.values()) if subject else "none")
def test_an_unknown_subject_is_taken_and_recorded(tokens, subject):
    transmitter = Transmitter(tokens, CENTRAL)
    claims = transmitter.claims(subject, CAEP + "session-revoked")
    assert transmitter.push(transmitter.token(claims)).status_code == 202
    [received] = [event for event in tokens.log("signal.receive") if event["resource"]["id"] == claims["jti"]]
    assert received["effect"] == {"observed": "none", "result": {"events": "session-revoked", "subject": "unknown"}}


def test_how_far_an_issuer_reaches(tokens, desk):
    """One that is not for all ends agents that have a federated credential of it, and no other agent or token"""
    victim, stranger = Victim(tokens), Victim(tokens, home=None)
    home, central = Transmitter(tokens, HOME), Transmitter(tokens, CENTRAL)
    for subject in (
        *(stranger.subjects()[name] for name in ("uri", "opaque", "our issuer")),
        {"format": "jwt_id", "iss": tokens.issuer, "jti": victim.claims["jti"]},
        {"format": "uri", "uri": f"{tokens.domain.id}/console"},
    ):
        assert home.send(subject, CAEP + "session-revoked").status_code == 202
    assert stranger.state == victim.state == "enabled" and desk.is_active(victim.token)
    assert central.send({"format": "jwt_id", "iss": tokens.issuer, "jti": victim.claims["jti"]}, CAEP + "session-revoked").status_code == 202
    assert not desk.is_active(victim.token) and victim.state == "enabled"
    assert central.send(stranger.subjects()["uri"], CAEP + "session-revoked").status_code == 202
    assert stranger.state == "disabled"


def test_an_audience_of_its_own(tokens):
    victim, transmitter = Victim(tokens), Transmitter(tokens, NAMED)
    subject = victim.subjects()["opaque"]
    assert transmitter.send(subject, CAEP + "session-revoked").json()["err"] == "invalid_audience"
    assert transmitter.send(subject, CAEP + "session-revoked", aud="agentshield-stream").status_code == 202
    assert victim.state == "disabled"


def test_what_is_refused(tokens):
    victim, transmitter = Victim(tokens), Transmitter(tokens, CENTRAL)
    subject, now = victim.subjects()["opaque"], int(time.time())
    stranger, weak = rsa.generate_private_key(65537, 2048), b"secret"
    good = transmitter.claims(subject, CAEP + "session-revoked")

    def changed(**changes) -> dict:
        return {name: value for name, value in {**good, "jti": uuid.uuid4().hex, **changes}.items() if value is not None}

    access_token = victim.token
    for name, token, error in (
        ("another issuer", transmitter.token(changed(iss="https://unheard-of.example")), "invalid_issuer"),
        ("a slash", transmitter.token(changed(iss=CENTRAL + "/")), "invalid_issuer"),
        ("no issuer", transmitter.token(changed(iss=None)), "invalid_request"),
        ("another audience", transmitter.token(changed(aud="https://elsewhere.example")), "invalid_audience"),
        ("two audiences", transmitter.token(changed(aud=[good["aud"], "https://elsewhere.example"])), "invalid_audience"),
        ("no audience", transmitter.token(changed(aud=None)), "invalid_audience"),
        ("another's key", transmitter.token(changed(), stranger), "authentication_failed"),
        ("an unknown key", transmitter.token(changed(), kid="other"), "invalid_key"),
        ("a key of its own", transmitter.token(changed(), stranger, jwk=public_jwk(stranger)), "invalid_key"),
        ("another algorithm", transmitter.token(changed(), alg="RS512"), "invalid_key"),
        ("a secret", sign({"alg": "HS256", "typ": "secevent+jwt", "kid": "rsa"}, changed(), weak), "invalid_request"),
        ("no type", transmitter.token(changed(), typ=None), "invalid_request"),
        ("another type", transmitter.token(changed(), typ="at+jwt"), "invalid_request"),
        ("an end", transmitter.token(changed(exp=now + 60)), "invalid_request"),
        ("a subject of old", transmitter.token(changed(sub="x")), "invalid_request"),
        ("no name", transmitter.token(changed(jti=None)), "invalid_request"),
        ("no time", transmitter.token(changed(iat=None)), "invalid_request"),
        ("a day old", transmitter.token(changed(iat=now - 24 * 3600 - 1)), "invalid_request"),
        ("from tomorrow", transmitter.token(changed(iat=now + 3600)), "invalid_request"),
        ("no events", transmitter.token(changed(events=None)), "invalid_request"),
        ("empty events", transmitter.token(changed(events={})), "invalid_request"),
        ("an event that is none", transmitter.token(changed(events={CAEP + "session-revoked": 7})), "invalid_request"),
        ("seventeen events", transmitter.token(changed(events={f"urn:e:{n}": {} for n in range(17)})), "invalid_request"),
        ("a subject that is none", transmitter.token(changed(sub_id={"format": "uri"})), "invalid_request"),
        ("an access token", access_token, "invalid_request"),
        ("nothing", "", "invalid_request"),
        ("garbage", "x.y.z", "invalid_request"),
        ("too much", transmitter.token(changed(txn="x" * 20_000)), "invalid_request"),
    ):  # fmt: skip
        reply = transmitter.push(token)
        assert reply.status_code == (401 if error == "authentication_failed" else 400), name
        assert reply.json()["err"] == error and reply.json()["description"], (name, reply.text)
        assert reply.headers["content-language"] == "en" and reply.headers["cache-control"] == "no-store"
    reply = transmitter.push(transmitter.token(changed()), "application/jwt")
    assert (reply.status_code, reply.json()["err"]) == (400, "invalid_request")
    assert victim.state == "enabled" and victim.ask().status_code == 200
    assert {event["decision"]["reason"].partition(":")[0] for event in tokens.log("signal.refuse")} >= {"invalid_issuer", "invalid_key"}
    # And the good one counts after all of these.
    assert transmitter.push(transmitter.token(good)).status_code == 202 and victim.state == "disabled"


def test_an_issuer_whose_keys_cannot_be_read(tokens):
    transmitter = Transmitter(tokens, AWAY)
    reply = transmitter.send({"format": "opaque", "id": "x"}, CAEP + "session-revoked")
    assert reply.status_code == 503 and int(reply.headers["retry-after"]) >= 1


@pytest.mark.together("flood")
def test_an_issuer_that_sends_too_much(tokens):
    """Held back with 429 and taken later; what the issuer did not sign is not counted against it"""
    transmitter, other = Transmitter(tokens, NAMED), Transmitter(tokens, CENTRAL)
    victim, stranger = Victim(tokens), rsa.generate_private_key(65537, 2048)
    nobody = {"format": "opaque", "id": "nobody"}
    batch = [transmitter.token(transmitter.claims(nobody, CAEP + "session-revoked", aud="agentshield-stream")) for _ in range(60)]
    with tokens.web() as web:
        headers = {"Content-Type": "application/secevent+jwt"}
        codes = [web.post("/ssf/events", content=token, headers=headers).status_code for token in batch]
        assert 202 in codes and 429 in codes and set(codes) == {202, 429}
        forged = [other.token(other.claims(nobody, CAEP + "session-revoked"), stranger) for _ in range(60)]
        assert {web.post("/ssf/events", content=token, headers=headers).status_code for token in forged} == {401}
    assert other.send(victim.subjects()["opaque"], CAEP + "session-revoked").status_code == 202
    assert victim.state == "disabled"
    token = transmitter.token(transmitter.claims(nobody, CAEP + "session-revoked", aud="agentshield-stream"))
    eventually(lambda: transmitter.push(token).status_code == 202, "the issuer is taken again")


@pytest.mark.parametrize("where", ["/.well-known/ssf-configuration", "/.well-known/openid-configuration"])
def test_a_transmitter_that_publishes_its_keys(tmp_path, where):
    """What is configured is the issuer's name: metadata and keys are found over TLS, as SSF 1.0 §7 has it"""
    ca, asked = WebCA(), []
    app = FastAPI()

    @app.get("/{path:path}")
    async def answer(path: str, request: Request):
        asked.append(f"/{path}")
        issuer = str(request.base_url).rstrip("/")
        if asked[-1] == where:
            return {"spec_version": "1_0", "issuer": issuer, "jwks_uri": f"{issuer}/keys", "delivery_methods_supported": ["urn:ietf:rfc:8935"]}
        if asked[-1] == "/keys":
            return {"keys": [public_jwk(RSA_KEY) | {"kid": "rsa", "alg": "RS256", "use": "sig"}]}
        raise HTTPException(404)

    with serving(app, ca.certificate(tmp_path, "localhost")) as issuer:
        flags = ["-signalIssuer", f"{issuer} all private ca={ca.root_file(tmp_path)}"]
        domain = shield.start_server("oauth-live-signals.test", extra=flags)
        try:
            tokens = Tokens(domain)
            tokens.resource(RESOURCE, "read")
            victim, transmitter = Victim(tokens, home=None), Transmitter(tokens, issuer)
            assert transmitter.send(victim.subjects()["uri"], CAEP + "session-revoked").status_code == 202
            assert victim.state == "disabled" and victim.is_barred()
            # Once, whatever comes: the keys are kept.
            assert transmitter.send(victim.subjects()["uri"], CAEP + "session-revoked").status_code == 202
            assert asked.count("/keys") == 1 and asked[-2:] == [where, "/keys"]
            assert asked[0] == "/.well-known/ssf-configuration"
            assert domain.stop() == [0]
        finally:
            domain.discard()


def test_nobody_listens_where_nobody_is_listed():
    domain = shield.start_server("oauth-no-signals.test")
    try:
        tokens = Tokens(domain)
        assert Transmitter(tokens, HOME).send({"format": "opaque", "id": "x"}, CAEP + "session-revoked").status_code == 404
        assert domain.stop() == [0]
    finally:
        domain.discard()
