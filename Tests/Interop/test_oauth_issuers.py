"""Tokens of identity providers, shaped as theirs are, count where operator and owner agree, and nowhere else."""

import json
import time
import uuid

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from harness import domain as shield
from harness.tokens import ASSERTION_TYPE, AZURE_AUDIENCE, Tokens

from wire.jws import public_jwk, sign

KEY = rsa.generate_private_key(65537, 2048)
RESOURCE = "api://desk"

GITHUB, KUBERNETES = "https://token.actions.githubusercontent.com", "https://kubernetes.default.svc.cluster.local"
TENANT = "11111111-2222-3333-4444-555555555555"
ENTRA, OKTA = f"https://login.microsoftonline.com/{TENANT}/v2.0", "https://acme.okta.com/oauth2/aus1"
AUTH0, KEYCLOAK = "https://acme.eu.auth0.com/", "https://sso.acme.example/realms/agents"

PROVIDERS = {
    "github": (
        {"typ": "JWT", "x5t": "eDf8"},
        {
            "iss": GITHUB, "sub": "repo:acme/agents:ref:refs/heads/main", "aud": AZURE_AUDIENCE, "jti": "of-the-job",
            "repository": "acme/agents", "repository_id": "74", "repository_owner_id": "65", "run_attempt": "1",
            "runner_environment": "github-hosted",
        },
    ),
    "kubernetes": (
        {},
        {
            "iss": KUBERNETES, "sub": "system:serviceaccount:prod:agent-k", "aud": ["agentshield"],
            "kubernetes.io": {"namespace": "prod", "serviceaccount": {"name": "agent-k", "uid": "1c6b"}},
        },
    ),
    "entra": (
        {"typ": "JWT", "x5t": "eDf8"},
        {
            "iss": ENTRA, "sub": "9d2c1f0e-0000-4000-8000-000000000001", "aud": "2f0d-of-the-application", "azpacr": "2",
            "oid": "9d2c1f0e-0000-4000-8000-000000000001", "tid": TENANT, "uti": "x", "ver": "2.0", "idtyp": "app",
        },
    ),
    "okta": (
        {},
        {"iss": OKTA, "sub": "0oa1agent", "aud": "api://agentshield", "cid": "0oa1agent", "scp": ["exchange"], "ver": 1},
    ),
    "auth0": (
        {"typ": "JWT"},
        {"iss": AUTH0, "sub": "Xy7agent@clients", "aud": "https://agentshield.acme.example", "gty": "client-credentials"},
    ),
    "keycloak": (
        {"typ": "JWT"},
        {
            "iss": KEYCLOAK, "sub": "5f0a6c1e-0000-4000-8000-000000000002", "aud": "agentshield", "typ": "Bearer",
            "azp": "agent", "realm_access": {"roles": ["offline_access"]}, "clientHost": "10.0.0.7",
        },
    ),
}  # fmt: skip


def token(provider: str, key=KEY, header=None, **changes) -> str:
    shape, claims = PROVIDERS[provider]
    now = int(time.time())
    whole = {"iat": now, "nbf": now, "exp": now + 300, **claims, **changes}
    whole = {name: value for name, value in whole.items() if value is not None}
    return sign({"alg": "RS256", "kid": "k1", **shape, **(header or {})}, whole, key)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    keys = tmp_path_factory.mktemp("issuers") / "keys.json"
    keys.write_text(json.dumps({"keys": [public_jwk(KEY) | {"kid": "k1", "alg": "RS256", "use": "sig"}]}))
    issuers = [claims["iss"] for _, claims in PROVIDERS.values()]
    flags = [part for issuer in issuers for part in ("-trustedIssuer", f"{issuer} jwks={keys}")]
    # Nothing listens there: an issuer that is away.
    flags += ["-trustedIssuer", "https://localhost:1 private"]
    domain = shield.start_server("oauth-issuers.test", extra=flags)
    try:
        tokens = Tokens(domain)
        tokens.resource(RESOURCE, "read")
        tokens.agents = {}
        for name, (_, claims) in PROVIDERS.items():
            agent = tokens.agents[name] = tokens.agent(name)
            audience = claims["aud"] if isinstance(claims["aud"], str) else claims["aud"][0]
            tokens.federate(agent, issuer=claims["iss"], subject=claims["sub"], audiences=[audience])
            tokens.grant(agent, RESOURCE, "read")
        yield tokens
        assert domain.stop() == [0]
    finally:
        domain.discard()


def ask(tokens, agent, assertion: str):
    form = {"grant_type": "client_credentials", "resource": RESOURCE, "client_id": agent.client_id,
            "client_assertion": assertion, "client_assertion_type": ASSERTION_TYPE}  # fmt: skip
    with tokens.web() as web:
        return web.post("/oauth2/token", data=form)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_provider_s_token_is_the_agent_s_credential(tokens, provider):
    assertion = token(provider)
    for _ in range(2):
        # Until it ends: clients send what they have.
        reply = ask(tokens, tokens.agents[provider], assertion)
        assert reply.status_code == 200, reply.text
    claims = jwt.decode(reply.json()["access_token"], options={"verify_signature": False})
    assert claims["sub"] == tokens.agents[provider].spiffe_id and "act" not in claims


@pytest.mark.parametrize("provider", PROVIDERS)
def test_near_misses_are_refused(tokens, provider):
    agent, claims = tokens.agents[provider], PROVIDERS[provider][1]
    other = next(name for name in PROVIDERS if name != provider)
    slash = claims["iss"][:-1] if claims["iss"].endswith("/") else claims["iss"] + "/"
    now = int(time.time())
    for name, assertion in {
        "another subject": token(provider, sub=claims["sub"] + "2"),
        "upper case": token(provider, sub=claims["sub"].upper()),
        "a slash": token(provider, iss=slash),
        "another audience": token(provider, aud="https://elsewhere.example"),
        "two audiences": token(provider, aud=[claims["aud"] if isinstance(claims["aud"], str) else claims["aud"][0], "account"]),
        "no audience": token(provider, aud=None),
        "ended": token(provider, iat=now - 600, nbf=now - 600, exp=now - 1),
        "no end": token(provider, exp=None),
        "another key": token(provider, rsa.generate_private_key(65537, 2048)),
        "an unknown key": token(provider, header={"kid": str(uuid.uuid4())}),
        "a secret": token(provider, b"secret", {"alg": "HS256"}),
        "a key of its own": token(provider, header={"jwk": public_jwk(KEY)}),
        "an access token by its own word": token(provider, header={"typ": "at+jwt"}),
        "another provider": token(other),
    }.items():
        reply = ask(tokens, agent, assertion)
        assert (reply.status_code, reply.json()) == (401, {"error": "invalid_client"}), name


def test_an_issuer_that_the_operator_does_not_trust(tokens):
    """The owner alone cannot make the service believe anybody, nor connect to anything"""
    agent = tokens.agent("hopeful")
    tokens.federate(agent, issuer="https://localhost:2", subject="me")
    tokens.grant(agent, RESOURCE, "read")
    reply = ask(tokens, agent, token("github", iss="https://localhost:2", sub="me"))
    assert (reply.status_code, reply.json()) == (401, {"error": "invalid_client"})


def test_an_issuer_that_is_away(tokens):
    agent = tokens.agent("waiting")
    tokens.federate(agent, issuer="https://localhost:1", subject="me")
    tokens.grant(agent, RESOURCE, "read")
    reply = ask(tokens, agent, token("github", iss="https://localhost:1", sub="me"))
    assert (reply.status_code, reply.json()["error"]) == (503, "temporarily_unavailable")
    assert int(reply.headers["retry-after"]) >= 1
