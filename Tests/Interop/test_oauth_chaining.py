"""Two authorization servers, each with agents of its own: grants of one are redeemed at the other, in both directions."""

import contextlib
import json
import time
import uuid

import jwt
import pytest
import requests_oauth2client as r2
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from harness import domain as shield
from harness.ports import free_port
from harness.tokens import ACCESS_TOKEN, ASSERTION_TYPE, AZURE_AUDIENCE, EXCHANGE, JWT, Tokens
from harness.web import WebCA

from wire.jws import public_jwk, sign
from wire.keys import new_key

ID_JAG = "urn:ietf:params:oauth:token-type:id-jag"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
INBOX, MAIL = "api://inbox", "api://mail"


class Side:
    """A trust domain: `caller` calls `relay`, which may go on to the other side, where it is called `guest`."""

    def __init__(self, name: str, port: int, folder, ca: WebCA, other_name: str, other_port: int):
        chain, key = ca.certificate(folder / name, "localhost")
        roots = ca.root_file(folder / name)
        other = f"https://localhost:{other_port}"
        self.domain = shield.start_server(
            name,
            extra=[
                "-httpsPort", str(port), "-jwtIssuer", f"https://localhost:{port}", "-webCertificate", f"{chain}:{key}",
                "-trustedIssuer", f"{other} ca={roots} private",
                "-grantIssuer", f"{other}/oauth2 ca={roots} private trust_domain={other_name}",
            ],
        )  # fmt: skip
        self.name = name
        self.tokens = Tokens(self.domain, roots=ca.pem)
        self.caller, self.relay, self.guest = (self.tokens.agent(agent) for agent in ("caller", "relay", "guest"))
        self.secrets = {agent.name: self.tokens.secret(agent) for agent in (self.caller, self.relay, self.guest)}
        self.tokens.resource(INBOX, "read", "write", agent="relay")
        self.tokens.resource(MAIL, "read", "write")
        self.tokens.grant(self.caller, INBOX, "read", "write")
        self.tokens.grant(self.guest, MAIL, "read", "write", use="delegated")

    def meet(self, other: "Side") -> None:
        self.other = other
        self.tokens.resource(other.tokens.issuer, "read", "write", profile="authorization-server")
        self.tokens.grant(self.relay, other.tokens.issuer, "read", "write", use="delegated")
        # The agent of the other side that comes here is known by its name there.
        self.tokens.federate(self.guest, issuer=other.tokens.base, subject=f"spiffe://{other.name}/relay")

    def session(self, agent) -> OAuth2Session:
        return OAuth2Session(agent.client_id, self.secrets[agent.name], token_endpoint_auth_method="client_secret_basic")

    def client(self, agent) -> r2.OAuth2Client:
        return r2.OAuth2Client.from_discovery_endpoint(
            f"{self.tokens.issuer}/.well-known/openid-configuration", issuer=self.tokens.issuer,
            auth=r2.ClientSecretBasic(agent.client_id, self.secrets[agent.name]),
        )  # fmt: skip

    # Step 1: at home

    def received(self, **more) -> str:
        with self.session(self.caller) as session:
            return session.fetch_token(
                self.tokens.endpoint, grant_type="client_credentials", resource=INBOX, **more
            )["access_token"]  # fmt: skip

    def grant(self, type: str = JWT, subject: str | None = None, **more) -> str:
        more = {"audience": self.other.tokens.issuer, **more}
        with self.session(self.relay) as session:
            answer = session.fetch_token(
                self.tokens.endpoint, grant_type=EXCHANGE, requested_token_type=type,
                subject_token=subject or self.received(), subject_token_type=ACCESS_TOKEN, **more,
            )  # fmt: skip
        assert answer["token_type"] == "N_A" and answer["issued_token_type"] == type and answer["expires_in"] <= 300
        assert "refresh_token" not in answer
        return answer["access_token"]

    # Step 2: at the other side

    def redeem(self, assertion: str, **more) -> dict:
        """By authlib, as the guest of this side, with the SVID that it has at home."""
        with OAuth2Session(self.guest.client_id, token_endpoint_auth_method="none") as session:
            return session.fetch_token(
                self.tokens.endpoint, grant_type=JWT_BEARER, assertion=assertion,
                client_assertion=self.other.tokens.jwt_svid(self.other.relay, AZURE_AUDIENCE),
                client_assertion_type=ASSERTION_TYPE, **{"resource": MAIL, **more},
            )  # fmt: skip

    def refusal(self, assertion: str, **more) -> str:
        with pytest.raises(OAuthError) as refused:
            self.redeem(assertion, **more)
        return refused.value.error

    def last_reason(self) -> str:
        return self.tokens.refusals()[-1]["decision"]["reason"]


def claims_of(token: str) -> dict:
    return jwt.decode(token, options={"verify_signature": False})


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    folder, ca = tmp_path_factory.mktemp("chaining"), WebCA()
    ports = free_port(), free_port()
    with contextlib.ExitStack() as stack:
        made = []
        for name, other, own, there in (("a.test", "b.test", 0, 1), ("b.test", "a.test", 1, 0)):
            side = Side(name, ports[own], folder, ca, other, ports[there])
            stack.callback(side.domain.discard)
            made.append(side)
        one, two = made
        one.meet(two)
        two.meet(one)
        yield one, two
        for side in made:
            assert side.domain.stop() == [0]


@pytest.fixture(autouse=True)
def authorities(monkeypatch, sides):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(sides[0].tokens.roots))


@pytest.fixture(params=["a to b", "b to a"])
def pair(request, sides):
    return sides if request.param == "a to b" else sides[::-1]


@pytest.mark.parametrize("type", [JWT, ID_JAG])
def test_a_call_goes_on_behind_the_border(pair, type):
    here, there = pair
    received = here.received()
    grant = here.grant(type, received, scope="read")
    said = claims_of(grant)
    assert said["aud"] == there.tokens.issuer and said["sub"] == here.caller.spiffe_id
    assert said["act"]["sub"] == here.relay.spiffe_id and said["exp"] - said["iat"] <= 300
    answer = there.redeem(grant)
    assert answer["token_type"] == "Bearer" and answer["scope"] == "read" and "refresh_token" not in answer
    claims = claims_of(answer["access_token"])
    assert claims["iss"] == there.tokens.issuer and claims["aud"] == MAIL and claims["client_id"] == there.guest.client_id
    assert claims["sub"] == here.caller.spiffe_id
    assert claims["act"]["sub"] == there.guest.spiffe_id and claims["act"]["act"]["sub"] == here.relay.spiffe_id
    assert claims["exp"] <= said["exp"]
    # The chain has one name on both sides.
    assert claims["chain_root"] == said["chain_root"] == claims_of(received)["jti"]
    issued = there.tokens.log("access_token.issue")[-1]
    facts = issued["effect"]["result"]
    assert facts["root"] == claims["chain_root"] and (facts["grant_issuer"], facts["grant"]) == (here.tokens.issuer, said["jti"])
    assert here.tokens.log("authorization_grant.issue")[-1]["effect"]["result"]["jti"] == said["jti"]


def test_requests_oauth2client_redeems_with_a_secret_and_with_proofs(pair):
    here, there = pair
    with there.client(there.guest) as client:
        token = client.jwt_bearer(here.grant(), resource=MAIL)
        assert claims_of(str(token.access_token))["sub"] == here.caller.spiffe_id
        bound = client.jwt_bearer(here.grant(), resource=MAIL, dpop=True)
        assert isinstance(bound, r2.DPoPToken)
        # A grant names a client by its SPIFFE ID at home: the secret of this side does not prove that one.
        with pytest.raises(r2.InvalidGrant):
            client.jwt_bearer(here.grant(ID_JAG), resource=MAIL)


def test_a_grant_that_is_bound_to_a_key_needs_a_proof_of_it(pair):
    here, there = pair
    key = r2.DPoPKey.generate()
    with here.client(here.relay) as client:
        url, form = here.tokens.endpoint, {
            "grant_type": EXCHANGE, "requested_token_type": JWT, "subject_token": here.received(),
            "subject_token_type": ACCESS_TOKEN, "audience": there.tokens.issuer,
        }  # fmt: skip
        for _ in range(2):
            proof = key.proof(htm="POST", htu=url, nonce=key.as_nonce)
            reply = client.session.post(url, data=form, auth=client.auth, headers={"DPoP": str(proof)})
            key.as_nonce = reply.headers["DPoP-Nonce"]
            if reply.status_code == 200:
                break
    grant = reply.json()["access_token"]
    assert claims_of(grant)["cnf"] == {"jkt": key.dpop_jkt}
    key.as_nonce = None
    with there.client(there.guest) as client:
        with pytest.raises(r2.InvalidGrant):
            client.jwt_bearer(grant, resource=MAIL)
        with pytest.raises(r2.InvalidGrant):
            client.jwt_bearer(grant, resource=MAIL, dpop=True)
        token = client.jwt_bearer(grant, resource=MAIL, dpop_key=key)
        assert claims_of(str(token.access_token))["cnf"] == {"jkt": key.dpop_jkt}


def test_metadata_say_what_there_is(pair):
    with pair[0].tokens.web() as web:
        metadata = web.get("/.well-known/oauth-authorization-server/oauth2").json()
    assert metadata["identity_chaining_requested_token_types_supported"] == [JWT, ID_JAG]
    assert metadata["authorization_grant_profiles_supported"] == ["urn:ietf:params:oauth:grant-profile:id-jag"]
    assert JWT_BEARER in metadata["grant_types_supported"]


def test_each_grant_counts_once(pair):
    here, there = pair
    grant = here.grant()
    there.redeem(grant)
    assert there.refusal(grant) == "invalid_grant" and "redeemed before" in there.last_reason()


def test_a_grant_for_another_client_or_of_another_scope(pair):
    here, there = pair
    assert there.refusal(here.grant(scope="read"), scope="write") == "invalid_scope"
    with there.client(there.caller) as client, pytest.raises(r2.InvalidGrant):
        client.jwt_bearer(here.grant(ID_JAG), resource=MAIL)
    # And a client without a grant of its own gets nothing for others.
    with there.client(there.caller) as client, pytest.raises(r2.InvalidTarget):
        client.jwt_bearer(here.grant(), resource=MAIL)


def test_nothing_else_is_a_grant_and_a_grant_is_nothing_else(pair):
    here, there = pair
    received = here.received()
    assert there.refusal(received) == "invalid_grant"
    assert there.refusal(here.tokens.jwt_svid(here.relay, there.tokens.issuer)) == "invalid_grant"
    for type in (JWT, ID_JAG):
        grant = here.grant(type)
        # Not at home, not as access token, not as credential.
        with pytest.raises(OAuthError) as refused:
            here.redeem(grant)
        assert refused.value.error == "invalid_grant"
        with there.client(there.guest) as client:
            assert client.introspect_token(grant, token_type_hint="access_token") == {"active": False}
            with pytest.raises(r2.InvalidRequest):
                client.token_exchange(subject_token=grant, subject_token_type=ACCESS_TOKEN, audience=MAIL)
        form = {"grant_type": "client_credentials", "resource": MAIL, "client_id": there.guest.client_id,
                "client_assertion": grant, "client_assertion_type": ASSERTION_TYPE}  # fmt: skip
        with there.tokens.web() as web:
            assert web.post("/oauth2/token", data=form).json() == {"error": "invalid_client"}


def test_which_servers_an_agent_may_ask_is_granted(pair):
    here, there = pair
    with here.session(here.caller) as session:
        ask = {"grant_type": EXCHANGE, "requested_token_type": ID_JAG, "subject_token_type": JWT,
               "subject_token": here.tokens.jwt_svid(here.caller, here.tokens.issuer)}  # fmt: skip
        for audience in (there.tokens.issuer, "https://nowhere.example/oauth2", here.tokens.issuer):
            with pytest.raises(OAuthError) as refused:
                session.fetch_token(here.tokens.endpoint, audience=audience, **ask)
            assert refused.value.error == "invalid_target"


def test_an_agent_that_is_disabled_at_home_gets_no_grant_and_what_it_has_ends_soon(pair):
    """The other side cannot know: a token there lasts no longer than the grant, five minutes at most"""
    here, there = pair
    grant = here.grant()
    here.domain.cli("identity", "disable", "-id", "relay", "-reason", "test")
    try:
        with pytest.raises(OAuthError) as refused:
            here.grant()
        assert refused.value.error == "invalid_client"
        # With a credential of this side; that of the other side is gone.
        with there.client(there.guest) as client:
            claims = claims_of(str(client.jwt_bearer(grant, resource=MAIL).access_token))
        assert claims["exp"] <= claims_of(grant)["exp"] <= time.time() + 300
    finally:
        here.domain.cli("identity", "enable", "-id", "relay")
    # It can be ended here too, by its own name or by that of its chain.
    grant = here.grant()
    there.domain.cli("revoke", "-chainRoot", claims_of(grant)["chain_root"])
    assert there.refusal(grant) == "invalid_grant"


# Grants that no server of ours would make


KEY, THEIRS = new_key(), new_key()
PROVIDER, OTHER = "https://provider.example/oauth2", "https://other.example"


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """A server that takes grants of two issuers, whose keys the operator gave; a third may authenticate clients alone."""
    folder = tmp_path_factory.mktemp("foreign")
    flags = []
    for flag, issuer, key, more in (
        ("-grantIssuer", PROVIDER, KEY, " trust_domain=provider.example"), ("-grantIssuer", OTHER, THEIRS, ""),
        ("-trustedIssuer", "https://clients.example", KEY, ""),
    ):  # fmt: skip
        path = folder / f"{len(flags)}.json"
        path.write_text(json.dumps({"keys": [public_jwk(key) | {"kid": "k1", "alg": "ES256"}]}))
        flags += [flag, f"{issuer} jwks={path}{more}"]
    domain = shield.start_server("foreign.test", extra=flags)
    try:
        tokens = Tokens(domain)
        tokens.guest = tokens.agent("guest")
        tokens.secret_of_guest = tokens.secret(tokens.guest)
        tokens.resource(MAIL, "read", "write")
        tokens.grant(tokens.guest, MAIL, "read", "write", use="delegated")
        yield tokens
        assert domain.stop() == [0]
    finally:
        domain.discard()


def made(tokens, key=KEY, header=None, **changes) -> str:
    now = int(time.time())
    claims = {"iss": PROVIDER, "sub": "spiffe://provider.example/user", "aud": tokens.issuer, "iat": now, "exp": now + 200,
              "jti": uuid.uuid4().hex, "scope": "read", **changes}  # fmt: skip
    whole = {name: value for name, value in claims.items() if value is not None}
    return sign({"typ": "authorization-grant+jwt", "alg": "ES256", "kid": "k1", **(header or {})}, whole, key)


def answer(tokens, assertion: str, **more) -> dict:
    form = {"grant_type": JWT_BEARER, "assertion": assertion, "resource": MAIL, **more}
    with tokens.web() as web:
        return web.post("/oauth2/token", data=form, auth=(tokens.guest.client_id, tokens.secret_of_guest)).json()


def test_subjects_of_two_issuers_are_never_the_same(foreign):
    names = set()
    for key, issuer in ((KEY, PROVIDER), (THEIRS, OTHER)):
        got = answer(foreign, made(foreign, key, iss=issuer, sub="alice"))
        names.add(claims_of(got["access_token"])["sub"])
    assert names == {f"{PROVIDER}#alice", f"{OTHER}#alice"}
    got = answer(foreign, made(foreign))
    assert claims_of(got["access_token"])["sub"] == "spiffe://provider.example/user"


def test_made_up_grants_are_refused_and_all_look_alike(foreign):
    now = int(time.time())
    cases = {
        "another audience": made(foreign, aud="https://elsewhere.example"),
        "the endpoint": made(foreign, aud=foreign.endpoint),
        "two audiences": made(foreign, aud=[foreign.issuer, "https://elsewhere.example"]),
        "an issuer that is not on the list": made(foreign, iss="https://nobody.example"),
        "an issuer of clients alone": made(foreign, iss="https://clients.example", sub="x"),
        "the other issuer's key": made(foreign, THEIRS),
        "our own name": made(foreign, iss=foreign.issuer),
        "an agent of ours": made(foreign, sub=foreign.guest.spiffe_id),
        "an agent of another domain": made(foreign, sub="spiffe://elsewhere.example/x"),
        "an agent of the first issuer, by the second": made(foreign, THEIRS, iss=OTHER),
        "an actor of ours": made(foreign, act={"sub": foreign.guest.spiffe_id, "iss": foreign.domain.id}),
        "another client": made(foreign, client_id="somebody"),
        "an hour": made(foreign, exp=now + 3600), "ended": made(foreign, iat=now - 90, exp=now - 1),
        "no identifier": made(foreign, jti=None), "no end": made(foreign, exp=None), "no scope": made(foreign, scope=None),
        "no type": made(foreign, header={"typ": None}), "type JWT": made(foreign, header={"typ": "JWT"}),
        "type at+jwt": made(foreign, header={"typ": "at+jwt"}),
        "no signature": sign({"typ": "authorization-grant+jwt", "alg": "none"}, {"iss": PROVIDER}, None),
    }  # fmt: skip
    for name, assertion in cases.items():
        assert answer(foreign, assertion) == {"error": "invalid_grant"}, name
    refused = foreign.refusals()[-len(cases) :]
    assert all(event["agent"]["id"] == foreign.guest.spiffe_id for event in refused)
    assert "not on the list for grants" in refused[3]["decision"]["reason"]


def test_a_chain_that_is_too_deep(foreign):
    act = None
    for number in range(4):
        act = {"sub": f"actor-{number}", "iss": "https://x.example", **({"act": act} if act else {})}
    assert answer(foreign, made(foreign, act=act))["error"] == "actor_unauthorized"
    assert "access_token" in answer(foreign, made(foreign, act=act["act"]))


def test_an_altered_grant(foreign):
    head, _, tail = made(foreign).split(".")
    _, body, _ = made(foreign, scope="read write").split(".")
    assert answer(foreign, f"{head}.{body}.{tail}") == {"error": "invalid_grant"}


def test_nobody_is_let_speak_for_the_own_trust_domain(tmp_path):
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [public_jwk(KEY) | {"kid": "k1"}]}))
    for issuer in (f"{PROVIDER} jwks={keys} trust_domain=own.test", f"{PROVIDER} trust_domain=x.test trust_domain=y.test"):
        result = shield.run_cli(
            "server", "run", "-dataDir", tmp_path / "data", "-trustDomain", "own.test", "-serverPort", "0", "-httpsPort", "0",
            "-grantIssuer", issuer, check=False,
        )  # fmt: skip
        assert result.returncode != 0 and "trust domain" in result.stderr


def test_what_an_agent_is_called_elsewhere_is_the_operator_s_to_say(tmp_path):
    domain = shield.start_server(
        "named.test", extra=["-clientAt", "https://as.other.example spiffe://named.test/relay 0oa1relay"]
    )  # fmt: skip
    try:
        tokens = Tokens(domain)
        relay = tokens.agent("relay")
        tokens.resource("https://as.other.example", "read", profile="authorization-server")
        tokens.grant(relay, "https://as.other.example", "read")
        form = {"grant_type": EXCHANGE, "requested_token_type": ID_JAG, "audience": "https://as.other.example",
                "subject_token": tokens.jwt_svid(relay, tokens.issuer), "subject_token_type": JWT}  # fmt: skip
        with tokens.web(tokens.x509_svid(relay, tmp_path)) as web:
            grant = web.post("/oauth2/token", data=form).json()
        assert grant["token_type"] == "N_A"
        assert claims_of(grant["access_token"])["client_id"] == "0oa1relay"
        assert domain.stop() == [0]
    finally:
        domain.discard()
