"""`azure-identity`, unmodified and told by environment variables only, gets tokens that FastAPI and python-jose accept."""

import asyncio
import datetime
import gc
import hashlib
import ssl
import time
import types

import httpx
import jwt
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CertificateCredential, ClientSecretCredential, DefaultAzureCredential, WorkloadIdentityCredential
from azure.identity import aio
from azure.identity._credentials import workload_identity
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from harness.domain import run_cli, start_up
from harness.service import serving
from harness.tokens import AZURE_AUDIENCE, Tokens
from harness.polling import eventually
from harness.ports import free_port
from harness.web import WebCA
from jose import JWTError
from jose import jwt as jose_jwt

from wire.jws import public_pem
from wire.keys import pkcs8_pem

RESOURCE = "api://agent-b"
DEFAULT = f"{RESOURCE}/.default"
SCOPE = "AI.Task.Execute"


@pytest.fixture(scope="module")
def tokens():
    port = free_port()
    domain = start_up("oauth-azure.test", extra=["-httpsPort", str(port), "-jwtIssuer", f"https://localhost:{port}"])
    try:
        tokens = Tokens(domain)
        tokens.resource(RESOURCE, SCOPE, "AI.Task.Read", profile="entra")
        yield tokens
        # Credentials that were refused keep their connections until their exceptions are collected.
        gc.collect()
        assert domain.stop() == [0]
    finally:
        domain.discard()


@pytest.fixture(scope="module")
def agent_a(tokens):
    """The article's agent: its federated credential names its SPIFFE ID, and it may execute tasks."""
    folder = tokens.domain.folder / "svid"
    agent = tokens.agent("agent-a", "-tokenDir", str(folder))
    tokens.federate(agent)
    tokens.grant(agent, RESOURCE, SCOPE)
    tokens.domain.entry("/agent-a", jwt_svid_ttl=3600)
    tokens.domain.wait_for_ids("/agent-a")
    # In earnest `svid watch` goes on, and keeps the token fresh.
    run_cli("svid", "watch", "-dir", folder, "-jwtAudience", AZURE_AUDIENCE, "-once", "-socketPath", tokens.domain.workload_socket)
    return agent


@pytest.fixture
def environment(monkeypatch, tokens, agent_a):
    """What `identity create` printed, and the authorities as `agentshield env` has them; nothing else is configured."""
    authorities = {"REQUESTS_CA_BUNDLE": str(tokens.roots), "SSL_CERT_FILE": str(tokens.roots)}
    for name, value in (agent_a.environment | authorities).items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def get_token(scope: str = DEFAULT, **options):
    with WorkloadIdentityCredential() as credential:
        return credential.get_token(scope, **options)


def claims_of(token: str) -> dict:
    return jwt.decode(token, options={"verify_signature": False})


def agent_b(keys: dict) -> FastAPI:
    """The receiving agent of the article, step 4, word for word but for its key."""
    app = FastAPI()
    security = HTTPBearer()

    async def verify_agent_token(credentials: HTTPAuthorizationCredentials = Depends(security)):
        token = credentials.credentials
        try:
            payload = jose_jwt.decode(token, key=keys, algorithms=["RS256"], audience="api://agent-b")
            agent_id = payload.get("sub")
            if agent_id != "spiffe://oauth-azure.test/agent-a":
                raise HTTPException(403, "Unauthorized agent")
            scopes = payload.get("scp", "").split()
            if "AI.Task.Execute" not in scopes:
                raise HTTPException(403, "Insufficient permissions")
            return payload
        except JWTError:
            raise HTTPException(401, "Invalid token")

    @app.post("/api/task")
    async def task(caller: dict = Depends(verify_agent_token)):
        return {"done_for": caller["sub"]}

    return app


def test_the_articles_two_agents(environment, tokens, tmp_path):
    ca = WebCA()
    with tokens.web() as web:
        keys = web.get(web.get(f"/{tokens.domain.name}/v2.0/.well-known/openid-configuration").json()["jwks_uri"]).json()
    with serving(agent_b(keys), ca.certificate(tmp_path, "localhost")) as url:

        async def call(token: str) -> httpx.Response:
            async with httpx.AsyncClient(verify=ssl.create_default_context(cadata=ca.pem.decode())) as client:
                return await client.post(
                    f"{url}/api/task",
                    json={"action": "summarize", "doc_id": "12345"},
                    headers={"Authorization": f"Bearer {token}"},
                )

        token = get_token().token
        reply = asyncio.run(call(token))
        assert (reply.status_code, reply.json()) == (200, {"done_for": "spiffe://oauth-azure.test/agent-a"})
        head, _, signature = token.rpartition(".")
        assert asyncio.run(call(f"{head}.{'A' * len(signature)}")).status_code == 401

        # Another agent gets a token too, and the receiver sees the difference; so it does where a scope is missing.
        other = tokens.agent("agent-o")
        tokens.federate(other)
        tokens.grant(other, RESOURCE, SCOPE)
        reader_token = read_only_token(tokens)
        (tmp_path / "other.token").write_text(tokens.jwt_svid(other, AZURE_AUDIENCE))
        environment.setenv("AZURE_CLIENT_ID", other.client_id)
        environment.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "other.token"))
        for refused in (get_token().token, reader_token):
            assert asyncio.run(call(refused)).status_code == 403


def read_only_token(tokens) -> str:
    reader = tokens.agent("agent-r")
    tokens.grant(reader, RESOURCE, "AI.Task.Read")
    form = {"grant_type": "client_credentials", "scope": DEFAULT, "client_assertion": tokens.jwt_svid(reader, tokens.issuer),
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe"}  # fmt: skip
    with tokens.web() as web:
        return web.post("/oauth2/token", data=form).json()["access_token"]


def test_what_entras_verifiers_look_at(environment, tokens, agent_a):
    token = get_token()
    claims = claims_of(token.token)
    assert jwt.get_unverified_header(token.token)["alg"] == "RS256"
    assert claims["iss"] == tokens.entra_issuer and claims["tid"] == tokens.domain.name
    assert claims["oid"] == claims["azp"] == agent_a.client_id and claims["idtyp"] == "app"
    assert claims["scp"] == SCOPE and claims["exp"] == token.expires_on
    assert 540 <= token.expires_on - time.time() <= 3600, "long enough for a client that renews five minutes early"


def test_the_asynchronous_credential(environment, agent_a):
    async def get() -> str:
        async with aio.WorkloadIdentityCredential() as credential:
            return (await credential.get_token(DEFAULT)).token

    assert claims_of(asyncio.run(get()))["sub"] == agent_a.spiffe_id


def test_the_default_credential_finds_it(environment, agent_a):
    with DefaultAzureCredential() as credential:
        assert claims_of(credential.get_token(DEFAULT).token)["sub"] == agent_a.spiffe_id


def test_claims_and_options_of_clients_are_no_obstacle(environment, agent_a):
    """Continuous access evaluation adds the form field `claims`; one object asks for several scopes"""
    with WorkloadIdentityCredential() as credential:
        assert claims_of(credential.get_token(DEFAULT, enable_cae=True).token)["sub"] == agent_a.spiffe_id
        assert claims_of(credential.get_token(f"{RESOURCE}/{SCOPE}").token)["scp"] == SCOPE


def test_a_secret_and_a_certificate(environment, tokens, agent_a, tmp_path):
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "agent-a")])
    now, day = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=1)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - day).not_valid_after(now + day)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    (tmp_path / "public.pem").write_bytes(public_pem(key))
    tokens.register(agent_a, "-key", tmp_path / "public.pem")
    both = tmp_path / "both.pem"
    both.write_bytes(pkcs8_pem(key) + certificate.public_bytes(serialization.Encoding.PEM))
    tenant, secret = tokens.domain.name, tokens.secret(agent_a)
    for credential in (
        ClientSecretCredential(tenant, agent_a.client_id, secret, disable_instance_discovery=True),
        CertificateCredential(tenant, agent_a.client_id, str(both), disable_instance_discovery=True),
    ):
        with credential:
            assert claims_of(credential.get_token(DEFAULT).token)["sub"] == agent_a.spiffe_id
    with ClientSecretCredential(tenant, agent_a.client_id, secret + "x", disable_instance_discovery=True) as credential:
        with pytest.raises(ClientAuthenticationError, match="invalid_client"):
            credential.get_token(DEFAULT)


def test_refusals_reach_the_program(environment, tokens, tmp_path):
    """Another subject, another audience, no permission, a disabled agent: in the client's own exception"""
    agent = tokens.agent("agent-x")
    tokens.federate(agent)
    tokens.grant(agent, RESOURCE, SCOPE)
    stranger = tokens.agent("agent-y")
    file = tmp_path / "x.token"
    environment.setenv("AZURE_CLIENT_ID", agent.client_id)
    environment.setenv("AZURE_FEDERATED_TOKEN_FILE", str(file))

    def get(svid: str, scope: str = DEFAULT) -> str:
        file.write_text(svid)
        return get_token(scope).token

    good = tokens.jwt_svid(agent, AZURE_AUDIENCE)
    assert claims_of(get(good))["sub"] == agent.spiffe_id
    assert claims_of(get(f"{good}\n"))["sub"] == agent.spiffe_id, "a file that ends with a line feed"
    for svid in (tokens.jwt_svid(stranger, AZURE_AUDIENCE), tokens.jwt_svid(agent, "api://another")):
        with pytest.raises(ClientAuthenticationError, match="invalid_client") as refusal:
            get(svid)
        assert svid.rpartition(".")[2] not in str(refusal.value)
    with pytest.raises(ClientAuthenticationError, match="invalid_target"):
        get(good, "api://nowhere/.default")
    with pytest.raises(ClientAuthenticationError, match="invalid_scope"):
        get(good, f"{RESOURCE}/AI.Task.Read")
    tokens.domain.cli("identity", "disable", "-id", agent.client_id)
    with pytest.raises(ClientAuthenticationError, match="invalid_client"):
        get(good)
    tokens.domain.cli("identity", "enable", "-id", agent.client_id)
    # What was revoked with it comes back a moment later.
    eventually(lambda: get(good), "the agent gets tokens again", ignore=(ClientAuthenticationError,))


def test_a_rotated_file(environment, tokens, tmp_path):
    """The client reads its file every ten minutes and sends what it has read until then, again and again"""
    agent = tokens.agent("agent-rotating")
    tokens.federate(agent)
    tokens.grant(agent, RESOURCE, SCOPE, "AI.Task.Read")
    file = tmp_path / "token"
    environment.setenv("AZURE_CLIENT_ID", agent.client_id)
    environment.setenv("AZURE_FEDERATED_TOKEN_FILE", str(file))
    old, new = (tokens.jwt_svid(agent, AZURE_AUDIENCE, ttl) for ttl in ("30m", "40m"))
    with WorkloadIdentityCredential() as credential:
        file.write_text(old)
        first = credential.get_token(DEFAULT).token
        file.write_text(new)
        # Another scope is another request; the file is not read for it.
        assert claims_of(credential.get_token(f"{RESOURCE}/{SCOPE}").token)["sub"] == agent.spiffe_id
        later = types.SimpleNamespace(time=lambda: time.time() + 700)
        environment.setattr(workload_identity, "time", later)
        last = credential.get_token(f"{RESOURCE}/AI.Task.Read").token
        assert claims_of(last)["jti"] != claims_of(first)["jti"]
    shown = [
        event["agent"]["credential_hash"]
        for event in tokens.log("access_token.issue")
        if event["agent"]["id"] == agent.spiffe_id and event["phase"] == "intent"
    ]
    assert shown == [hashlib.sha256(svid.encode()).hexdigest() for svid in (old, old, new)]
