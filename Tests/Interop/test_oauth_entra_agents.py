"""The agent flow of Microsoft Entra: blueprint, agent, on behalf of. With msal, unmodified, and with forms as it sends them."""

import time
import uuid

import jwt
import msal
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from harness import domain as shield
from harness.polling import eventually
from harness.tokens import ACCESS_TOKEN, ASSERTION_TYPE, AZURE_AUDIENCE, EXCHANGE, OWNER, SVID_ASSERTION_TYPE, Tokens
from jose import JWTError
from jose import jwt as jose_jwt

from wire.jws import public_pem, sign

DESK, DRAWER, STANDARD = "api://desk", "api://drawer", "api://standard-drawer"
EXCHANGE_SCOPE = f"{AZURE_AUDIENCE}/.default"
ON_BEHALF_OF = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "requested_token_use": "on_behalf_of"}


@pytest.fixture(scope="module")
def tokens():
    domain = shield.start_server("oauth-agents.test")
    try:
        tokens = Tokens(domain)
        tokens.resource(DRAWER, "read", "write", profile="entra")
        tokens.resource(STANDARD, "read")
        yield tokens
        assert domain.stop() == [0]
    finally:
        domain.discard()


class Flow:
    """A platform that runs two agents of a blueprint; the first of them stands behind the desk."""

    def __init__(self, tokens: Tokens):
        self.tokens, self.name = tokens, f"flow-{uuid.uuid4().hex[:8]}"
        self.platform = tokens.agent(f"{self.name}-platform")
        flags = [part for id in (DESK, DRAWER, STANDARD) for part in ("-audience", f"{id}-{self.name}" if id == DESK else id)]
        self.blueprint = tokens.domain.cli_json(
            "blueprint", "create", "-name", self.name, "-sponsor", OWNER, "-scope", "read,write", *flags,
            "-operator", self.platform.name,
        )["id"]  # fmt: skip
        self.agent, self.sibling = (tokens.agent(f"{self.name}-{n}", "-blueprint", self.name) for n in ("agent", "sibling"))
        self.desk = tokens.resource(f"{DESK}-{self.name}", "read", "write", profile="entra", agent=self.agent.client_id)
        for resource in (DRAWER, STANDARD):
            tokens.grant(self.agent, resource, "read", use="delegated")
        tokens.grant(self.sibling, DRAWER, "read")
        self.caller = tokens.agent(f"{self.name}-caller")
        tokens.grant(self.caller, self.desk, "read", "write")

    def app(self, client_id: str, credential, session) -> msal.ConfidentialClientApplication:
        return msal.ConfidentialClientApplication(
            client_id, client_credential=credential, oidc_authority=self.tokens.entra_issuer, http_client=session
        )

    def svid(self, agent) -> str:
        return self.tokens.jwt_svid(agent, self.tokens.entra_issuer)

    def ask(self, form: dict, endpoint: str | None = None) -> requests.Response:
        return requests.post(endpoint or self.tokens.entra_endpoint, data=form, verify=str(self.tokens.roots), timeout=30)

    def first_form(self, **changes) -> dict:
        form = {
            "grant_type": "client_credentials", "client_id": self.blueprint, "scope": EXCHANGE_SCOPE,
            "fmi_path": self.agent.client_id, "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self.svid(self.platform), **changes,
        }  # fmt: skip
        return {name: value for name, value in form.items() if value is not None}

    def first(self, **changes) -> str:
        reply = self.ask(self.first_form(**changes))
        assert reply.status_code == 200, reply.text
        return reply.json()["access_token"]

    def second_form(self, first: str, **changes) -> dict:
        return {
            "grant_type": "client_credentials", "client_id": self.agent.client_id, "scope": f"{DRAWER}/.default",
            "client_assertion_type": ASSERTION_TYPE, "client_assertion": first, **changes,
        }  # fmt: skip

    def callers_token(self, scope: str | None = None, resource: str | None = None) -> str:
        """What the caller has sent to the desk, where the agent stands behind."""
        form = {"grant_type": "client_credentials", "scope": scope or f"{resource or self.desk}/.default",
                "client_assertion": self.svid(self.caller), "client_assertion_type": SVID_ASSERTION_TYPE}  # fmt: skip
        reply = self.ask(form)
        assert reply.status_code == 200, reply.text
        return reply.json()["access_token"]


@pytest.fixture(scope="module")
def flow(tokens):
    return Flow(tokens)


@pytest.fixture
def trusting(monkeypatch, tokens):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tokens.roots))


def claims_of(token: str) -> dict:
    return jwt.decode(token, options={"verify_signature": False})


def refused(reply: requests.Response) -> tuple[int, str]:
    return reply.status_code, reply.json()["error"]


def test_msal_goes_the_whole_way(tokens, flow, trusting):
    """Blueprint, agent, resource; then on behalf of a caller: each step is a method of msal"""
    with requests.Session() as session:
        blueprint = flow.app(flow.blueprint, {"client_assertion": lambda: flow.svid(flow.platform)}, session)
        first = blueprint.acquire_token_for_client([EXCHANGE_SCOPE], fmi_path=flow.agent.client_id)
        assert "access_token" in first, first
        again = blueprint.acquire_token_for_client([EXCHANGE_SCOPE], fmi_path=flow.agent.client_id)
        assert again["token_source"] == "cache" and again["access_token"] == first["access_token"]
        other = blueprint.acquire_token_for_client([EXCHANGE_SCOPE], fmi_path=flow.sibling.client_id)
        assert other["access_token"] != first["access_token"], "the cache is by agent"

        agent = flow.app(flow.agent.client_id, {"client_assertion": lambda: first["access_token"]}, session)
        second = agent.acquire_token_for_client([f"{DRAWER}/.default"])
        assert "access_token" in second, second
        keys = session.get(f"{tokens.base}/{tokens.domain.name}/discovery/v2.0/keys").json()
        claims = jose_jwt.decode(second["access_token"], keys, algorithms=["RS256"], audience=DRAWER, issuer=tokens.entra_issuer)
        assert claims["sub"] == flow.agent.spiffe_id and claims["azp"] == claims["oid"] == flow.agent.client_id
        assert claims["xms_par_app_azp"] == flow.blueprint and claims["idtyp"] == "app" and claims["scp"] == "read"
        assert "act" not in claims

        behalf = agent.acquire_token_on_behalf_of(flow.callers_token(), [f"{DRAWER}/.default"])
        assert "access_token" in behalf, behalf
        claims = jose_jwt.decode(behalf["access_token"], keys, algorithms=["RS256"], audience=DRAWER, issuer=tokens.entra_issuer)
        assert claims["sub"] == flow.caller.spiffe_id and claims["act"]["sub"] == flow.agent.spiffe_id
        assert claims["scp"] == "read" and claims["azp"] == flow.agent.client_id
        assert claims["xms_par_app_azp"] == flow.blueprint


@pytest.mark.parametrize("kind", ["certificate", "federated", "key", "secret"])
def test_every_credential_of_the_operator(tokens, tmp_path, kind):
    """An X.509-SVID, a JWT-SVID that a federated credential names, a key, and a secret where the blueprint allows one"""
    flow = Flow(tokens)
    form = flow.first_form(client_assertion=None, client_assertion_type=None)
    identity = None
    if kind == "certificate":
        identity = tuple(map(str, tokens.x509_svid(flow.platform, tmp_path)))
    elif kind == "federated":
        tokens.federate(flow.platform, issuer=tokens.domain.id)
        form |= {"client_assertion": tokens.jwt_svid(flow.platform, AZURE_AUDIENCE), "client_assertion_type": ASSERTION_TYPE}
    elif kind == "key":
        key, now = rsa.generate_private_key(65537, 2048), int(time.time())
        (tmp_path / "key.pem").write_bytes(public_pem(key))
        tokens.register(flow.platform, "-key", tmp_path / "key.pem")
        # The client names itself by the ID that it asks with.
        claims = {"iss": flow.blueprint, "sub": flow.blueprint, "aud": tokens.entra_endpoint, "jti": "one", "exp": now + 60}
        form |= {"client_assertion": sign({"alg": "RS256"}, claims, key), "client_assertion_type": ASSERTION_TYPE}
    else:
        form["client_secret"] = tokens.secret(flow.platform)
        assert refused(flow.ask(form)) == (400, "unauthorized_client")
        kinds = ("client_secret", "blueprint_assertion")
        tokens.domain.cli("blueprint", "update", "-id", flow.name, *(part for kind in kinds for part in ("-credential", kind)))
    reply = requests.post(tokens.entra_endpoint, data=form, verify=str(tokens.roots), cert=identity, timeout=30)
    assert reply.status_code == 200, reply.text
    second = flow.ask(flow.second_form(reply.json()["access_token"]))
    assert second.status_code == 200, second.text
    [outcome] = [
        event for event in tokens.log("blueprint_assertion.issue")
        if event["phase"] == "outcome" and event["resource"]["id"] == flow.agent.client_id
    ]  # fmt: skip
    assert outcome["agent"]["id"] == flow.platform.spiffe_id and outcome["effect"]["result"]["operator"] == flow.platform.client_id


def test_the_first_token_is_a_credential_and_nothing_else(tokens, flow):
    first = flow.first()
    header, claims = jwt.get_unverified_header(first), claims_of(first)
    assert header["alg"] == "RS256" and header["typ"] == "blueprint-assertion+jwt"
    assert claims["aud"] == AZURE_AUDIENCE and claims["sub"] == f"/t/{tokens.domain.name}/a/{flow.blueprint}/{flow.agent.client_id}"
    assert claims["exp"] - time.time() <= 600 and "scp" not in claims and "client_id" not in claims
    for _ in range(2):
        assert flow.ask(flow.second_form(first)).status_code == 200, "it counts until it ends"

    # As bearer token: at the token endpoint's own siblings, and for a resource that does what Entra's verifiers do.
    with tokens.web() as web:
        for path in ("/oauth2/introspect", "/oauth2/revoke"):
            assert web.post(path, data={"token": first}, headers={"Authorization": f"Bearer {first}"}).status_code == 401
            form = {"token": first, "client_id": flow.agent.client_id, "client_assertion": first, "client_assertion_type": ASSERTION_TYPE}
            assert web.post(path, data=form).status_code == 401
        mine = {"token": first, "client_assertion": tokens.jwt_svid(flow.agent, tokens.issuer), "client_assertion_type": SVID_ASSERTION_TYPE}
        assert web.post("/oauth2/introspect", data=mine).json() == {"active": False}
        keys = web.get(f"/{tokens.domain.name}/discovery/v2.0/keys").json()
    with pytest.raises(JWTError):
        jose_jwt.decode(first, keys, algorithms=["RS256"], audience=DRAWER)
    exchange = {"grant_type": EXCHANGE, "subject_token": first, "subject_token_type": ACCESS_TOKEN, "audience": DRAWER,
                "client_assertion": flow.svid(flow.agent), "client_assertion_type": SVID_ASSERTION_TYPE}  # fmt: skip
    assert refused(flow.ask(exchange)) == (400, "invalid_request")
    behalf = flow.second_form(first, assertion=first, **ON_BEHALF_OF)
    assert refused(flow.ask(behalf)) == (400, "invalid_grant")


def test_first_tokens_that_nobody_gets(tokens, flow):
    stranger = Flow(tokens)
    for changes, error in (
        ({"fmi_path": stranger.agent.client_id}, (400, "invalid_request")),
        ({"fmi_path": flow.caller.client_id}, (400, "invalid_request")),
        ({"fmi_path": flow.platform.client_id}, (400, "invalid_request")),
        ({"fmi_path": flow.agent.spiffe_id}, (400, "invalid_request")),
        ({"client_assertion": flow.svid(stranger.platform)}, (401, "invalid_client")),
        ({"client_assertion": flow.svid(flow.agent)}, (401, "invalid_client")),
        ({"client_id": stranger.blueprint}, (401, "invalid_client")),
        ({"client_id": flow.platform.client_id}, (401, "invalid_client")),
        ({"client_id": None}, (401, "invalid_client")),
        ({"scope": f"{DRAWER}/.default"}, (400, "invalid_scope")),
        ({"scope": None}, (400, "invalid_scope")),
        ({"fmi_path": None}, (401, "invalid_client")),
        ({"client_assertion": flow.first()}, (401, "invalid_client")),
    ):
        assert refused(flow.ask(flow.first_form(**changes))) == error, changes
    # The parameter elsewhere: at our own endpoint, and beside every other grant.
    assert refused(flow.ask(flow.first_form(), tokens.endpoint)) == (400, "invalid_request")
    received = flow.callers_token()
    for changes in (
        {"grant_type": EXCHANGE, "subject_token": received, "subject_token_type": ACCESS_TOKEN},
        {**ON_BEHALF_OF, "assertion": received},
    ):
        assert refused(flow.ask(flow.first_form(**changes))) == (400, "invalid_request"), changes
    assert refused(flow.ask(flow.second_form(flow.first(), fmi_path=flow.agent.client_id))) == (400, "invalid_scope")


def test_an_assertion_is_its_agents_alone(tokens, flow):
    first = flow.first()
    for changes in (
        {"client_id": flow.sibling.client_id},
        {"client_id": flow.platform.client_id},
        {"client_id": flow.blueprint},
        {"client_assertion": first[:-8] + "AAAAAAAA"},
        {"client_assertion_type": SVID_ASSERTION_TYPE},
    ):
        assert refused(flow.ask(flow.second_form(first, **changes))) == (401, "invalid_client"), changes
    assert refused(flow.ask(flow.second_form(first), tokens.endpoint)) == (401, "invalid_client")
    assert refused(flow.ask(flow.second_form(first, scope=f"{DRAWER}/write"))) == (400, "invalid_scope")
    assert refused(flow.ask(flow.second_form(first, scope="api://nowhere/.default"))) == (400, "invalid_target")


@pytest.mark.parametrize(
    "end",
    [
        ("identity", "disable", "-id", "agent"), ("identity", "retire", "-id", "agent"),
        ("identity", "disable", "-id", "platform"), ("identity", "retire", "-id", "platform"),
        ("blueprint", "disable", "-id", "blueprint"), ("blueprint", "update", "-operator", "", "-id", "blueprint"),
    ],
    ids=lambda end: f"{end[0]}-{end[1]}-{end[-1]}",
)  # fmt: skip
def test_what_ends_the_flow(tokens, end):
    flow = Flow(tokens)
    # An SVID from before: whoever is barred gets no other.
    form = flow.first_form()
    first = flow.ask(form).json()["access_token"]
    second = flow.ask(flow.second_form(first)).json()["access_token"]
    names = {"agent": flow.agent.client_id, "platform": flow.platform.client_id, "blueprint": flow.blueprint}
    tokens.domain.cli(*end[:-1], names[end[-1]])
    assert refused(flow.ask(flow.second_form(first))) == (401, "invalid_client")
    code = "invalid_request" if end[-1] == "agent" else "invalid_client"
    assert flow.ask(form).json()["error"] == code
    if end[-1] == "blueprint" and end[1] == "disable":
        tokens.domain.cli("blueprint", "enable", "-id", flow.blueprint)
        assert flow.ask(flow.second_form(first)).status_code == 200
    assert claims_of(second)["sub"] == flow.agent.spiffe_id


def test_on_behalf_of_is_an_exchange(tokens, flow):
    first = flow.first()

    def ask(assertion: str, **changes) -> requests.Response:
        return flow.ask(flow.second_form(first, **{**ON_BEHALF_OF, "assertion": assertion, **changes}))

    received = flow.callers_token()
    # For a resource of our own profile, too, and with any other credential of the agent.
    token = ask(received, scope=f"{STANDARD}/.default").json()["access_token"]
    claims = claims_of(token)
    assert claims["iss"] == tokens.issuer and claims["act"]["sub"] == flow.agent.spiffe_id
    assert claims["chain_root"] == claims_of(received)["jti"]
    assert ask(received, client_assertion=flow.svid(flow.agent)).status_code == 200
    narrow = flow.callers_token(f"{flow.desk}/write")
    for reply, error in (
        # Not addressed to the agent; addressed to its sibling's caller; no token of ours; an SVID; ended; forged.
        (ask(flow.ask(flow.second_form(flow.first(fmi_path=flow.sibling.client_id), client_id=flow.sibling.client_id)).json()["access_token"]), "invalid_grant"),
        (ask("x.y.z"), "invalid_grant"),
        (ask(flow.svid(flow.caller)), "invalid_grant"),
        (ask(received[:-8] + "AAAAAAAA"), "invalid_grant"),
        # Wider than the token, than the grant, and for a resource without one.
        (ask(narrow, scope=f"{DRAWER}/read"), "invalid_scope"),
        (ask(narrow), "invalid_scope"),
        (ask(received, scope=f"{DRAWER}/write"), "invalid_scope"),
        (ask(received, scope=f"{flow.desk}/.default"), "invalid_target"),
        # The parameter with another word.
        (ask(received, requested_token_use="in_place_of"), "invalid_request"),
    ):  # fmt: skip
        assert refused(reply) == (400, error)
    # And where it has no meaning.
    assert refused(flow.ask(flow.second_form(first, requested_token_use="on_behalf_of"))) == (400, "invalid_request")
    standard = {**ON_BEHALF_OF, "assertion": received, "scope": f"{DRAWER}/.default", "client_assertion_type": SVID_ASSERTION_TYPE,
                "client_assertion": tokens.jwt_svid(flow.agent, tokens.issuer)}  # fmt: skip
    assert refused(flow.ask(standard, tokens.endpoint)) == (400, "invalid_request")


def test_the_chain_ends_with_its_first(tokens):
    """Who is disabled takes along what was got on its behalf"""
    flow = Flow(tokens)
    received = flow.callers_token()
    form = flow.second_form(flow.first(), assertion=received, scope=f"{STANDARD}/.default", **ON_BEHALF_OF)
    token = flow.ask(form).json()["access_token"]

    def is_active() -> bool:
        asking = {"token": token, "client_assertion": tokens.jwt_svid(flow.agent, tokens.issuer), "client_assertion_type": SVID_ASSERTION_TYPE}
        with tokens.web() as web:
            return web.post("/oauth2/introspect", data=asking).json()["active"]

    assert is_active()
    tokens.domain.cli("identity", "disable", "-id", flow.caller.client_id)
    eventually(lambda: not is_active(), "the token is inactive")
    assert refused(flow.ask(form)) == (400, "invalid_grant")
