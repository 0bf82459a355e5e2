"""Stock OAuth clients at the token service: msal, authlib, requests-oauthlib, requests_oauth2client, curl, httpx."""

import base64
import json
import ssl
import subprocess
import time

import joserfc.jwk
import jwt
import msal
import pytest
import requests
import requests_oauth2client as r2
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from harness.tokens import ACCESS_TOKEN, ASSERTION_TYPE, AZURE_AUDIENCE, EXCHANGE, JWT, Tokens
from oauthlib.oauth2 import BackendApplicationClient
from oauthlib.oauth2.rfc6749.errors import InvalidClientError, InvalidScopeError
from requests_oauthlib import OAuth2Session as RequestsOAuthSession

from wire.jws import public_pem
from wire.keys import new_key, pkcs8_pem

DESK, ENTRA = "api://desk", "api://entra"


@pytest.fixture(scope="module")
def tokens(server):
    tokens = Tokens(server)
    tokens.agent("desk")
    tokens.resource(DESK, "read", "write", agent="desk")
    tokens.resource(ENTRA, "read", profile="entra")
    return tokens


@pytest.fixture(autouse=True)
def authorities(monkeypatch, tokens):
    """As `agentshield env` prints it: `requests` reads the variable even where a session says otherwise."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tokens.roots))


class Caller:
    """An agent with each kind of credential."""

    def __init__(self, tokens: Tokens):
        self.agent = tokens.agent("caller")
        self.id = self.agent.client_id
        self.secret = tokens.secret(self.agent)
        self.ec, self.rsa = new_key(), rsa.generate_private_key(65537, 2048)
        for name, key in (("ec", self.ec), ("rsa", self.rsa)):
            path = tokens.domain.folder / f"caller-{name}.pem"
            path.write_bytes(public_pem(key))
            tokens.register(self.agent, "-key", path)
        for resource in (DESK, ENTRA):
            tokens.grant(self.agent, resource, "read")
        self.svid = tokens.x509_svid(self.agent, tokens.domain.folder)

    def ec_jwk(self) -> dict:
        return joserfc.jwk.ECKey.import_key(pkcs8_pem(self.ec).decode()).as_dict(private=True)


@pytest.fixture(scope="module")
def caller(tokens):
    return Caller(tokens)


def claims_of(token: str) -> dict:
    return jwt.decode(token, options={"verify_signature": False})


def is_for(caller: Caller, token: str, resource: str = DESK) -> bool:
    claims = claims_of(token)
    return claims["sub"] == caller.agent.spiffe_id and claims["client_id"] == caller.id and claims["aud"] == resource


def test_msal_with_a_secret_and_with_an_assertion(tokens, caller):
    def get(credential) -> dict:
        with requests.Session() as session:
            app = msal.ConfidentialClientApplication(
                caller.id, client_credential=credential, oidc_authority=tokens.entra_issuer, http_client=session
            )
            return app.acquire_token_for_client([f"{ENTRA}/.default"])

    svid = tokens.jwt_svid(caller.agent, tokens.entra_issuer)
    for credential in (caller.secret, {"client_assertion": lambda: svid}):
        answer = get(credential)
        assert "access_token" in answer, answer
        assert is_for(caller, answer["access_token"], ENTRA) and answer["token_source"] == "identity_provider"
    assert get(caller.secret + "x")["error"] == "invalid_client"


def authlib_session(tokens, caller, secret, method: str, algorithm: str | None = None) -> OAuth2Session:
    session = OAuth2Session(caller.id, secret, token_endpoint_auth_method=method)
    if algorithm:
        session.register_client_auth_method(PrivateKeyJWT(tokens.endpoint, alg=algorithm))
    return session


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_authlib_with_a_secret(tokens, caller, method):
    with authlib_session(tokens, caller, caller.secret, method) as session:
        answer = session.fetch_token(tokens.endpoint, grant_type="client_credentials", resource=DESK)
        assert is_for(caller, answer["access_token"]) and answer["scope"] == "read"
        with pytest.raises(OAuthError) as refusal:
            session.fetch_token(tokens.endpoint, grant_type="client_credentials", resource=DESK, scope="write")
        assert refusal.value.error == "invalid_scope"


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_authlib_with_a_key(tokens, caller, algorithm):
    key = pkcs8_pem(caller.rsa).decode() if algorithm == "RS256" else joserfc.jwk.ECKey.import_key(pkcs8_pem(caller.ec).decode())
    with authlib_session(tokens, caller, key, "private_key_jwt", algorithm) as session:
        for _ in range(2):
            answer = session.fetch_token(tokens.endpoint, grant_type="client_credentials", resource=DESK)
            assert is_for(caller, answer["access_token"])


def test_authlib_exchanges_introspects_and_revokes(tokens, caller):
    """The agent behind the first desk passes a call on to the second"""
    desk = tokens.domain.cli_json("identity", "show", "-id", "desk")["id"]
    secret = tokens.domain.cli_json("client-credential", "create", "-id", "desk", "-secret")["secret"]
    tokens.resource("api://second", "read")
    tokens.domain.cli("grant", "create", "-agent", "desk", "-resource", "api://second", "-scope", "read", "-use", "delegated")
    behind = OAuth2Session(desk, secret, token_endpoint_auth_method="client_secret_basic")
    with authlib_session(tokens, caller, caller.secret, "client_secret_basic") as session, behind:
        received = session.fetch_token(tokens.endpoint, grant_type="client_credentials", resource=DESK)["access_token"]
        answer = behind.fetch_token(
            tokens.endpoint, grant_type=EXCHANGE, subject_token=received, subject_token_type=ACCESS_TOKEN,
            audience="api://second", scope="read", requested_token_type=ACCESS_TOKEN,
        )  # fmt: skip
        assert answer["issued_token_type"] == ACCESS_TOKEN
        claims = claims_of(answer["access_token"])
        assert claims["sub"] == caller.agent.spiffe_id and claims["act"]["sub"] == f"{tokens.domain.id}/desk"

        facts = behind.introspect_token(f"{tokens.issuer}/introspect", token=received).json()
        assert facts["active"] and facts["sub"] == caller.agent.spiffe_id and facts["client_id"] == caller.id
        assert session.revoke_token(f"{tokens.issuer}/revoke", token=received).status_code == 200
        assert behind.introspect_token(f"{tokens.issuer}/introspect", token=received).json() == {"active": False}


def test_requests_oauthlib(tokens, caller):
    ask = {"token_url": tokens.endpoint, "client_secret": caller.secret, "resource": DESK}
    with RequestsOAuthSession(client=BackendApplicationClient(client_id=caller.id)) as session:
        assert is_for(caller, session.fetch_token(**ask)["access_token"])
        # Identifier and secret both in the body.
        assert is_for(caller, session.fetch_token(**ask, include_client_id=True)["access_token"])
        with pytest.raises(InvalidClientError):
            session.fetch_token(**ask | {"client_secret": "wrong"})
    with RequestsOAuthSession(client=BackendApplicationClient(client_id=caller.id, scope=["write"])) as greedy:
        with pytest.raises(InvalidScopeError):
            greedy.fetch_token(**ask)


@pytest.fixture
def oauth2client(tokens):
    """`requests_oauth2client`, told by discovery."""

    def make(auth) -> r2.OAuth2Client:
        return r2.OAuth2Client.from_discovery_endpoint(
            f"{tokens.issuer}/.well-known/openid-configuration", issuer=tokens.issuer, auth=auth
        )

    return make


def test_requests_oauth2client_with_a_key(tokens, caller, oauth2client):
    key = caller.ec_jwk() | {"alg": "ES256", "kid": "of-the-caller"}
    for audience in (None, tokens.issuer):
        # RFC 7523 lets the assertion name the endpoint; its successor wants the issuer.
        with oauth2client(r2.PrivateKeyJwt(caller.id, key, aud=audience)) as client:
            token = client.client_credentials(resource=DESK)
            assert is_for(caller, str(token.access_token)) and token.scope == "read"
            facts = client.introspect_token(token)
            assert facts["active"] and facts["iss"] == tokens.issuer
            assert client.revoke_access_token(token)
            assert client.introspect_token(token) == {"active": False}


def test_requests_oauth2client_with_proofs_and_nonces(tokens, caller, oauth2client):
    with oauth2client(r2.ClientSecretBasic(caller.id, caller.secret)) as client:
        token = client.client_credentials(resource=DESK, dpop=True)
        assert isinstance(token, r2.DPoPToken)
        assert claims_of(str(token.access_token))["cnf"] == {"jkt": token.dpop_key.dpop_jkt}
        assert token.dpop_key.as_nonce, "the server's nonce was learnt on the way"
        again = client.client_credentials(resource=DESK, dpop_key=token.dpop_key)
        assert claims_of(str(again.access_token))["cnf"] == {"jkt": token.dpop_key.dpop_jkt}
        assert client.introspect_token(token)["token_type"] == "DPoP"


def test_requests_oauth2client_exchanges_with_an_actor(tokens, caller, oauth2client):
    post = tokens.agent("post")
    secret = tokens.secret(post)
    tokens.resource("api://post", "read", agent="post")
    tokens.resource("api://archive", "read")
    tokens.grant(caller.agent, "api://post", "read")
    tokens.grant(post, "api://archive", "read", use="delegated")
    with oauth2client(r2.ClientSecretPost(caller.id, caller.secret)) as client:
        received = client.client_credentials(resource="api://post")
    with oauth2client(r2.ClientSecretPost(post.client_id, secret)) as client:
        ask = {"subject_token": str(received.access_token), "subject_token_type": ACCESS_TOKEN, "audience": "api://archive"}
        token = client.token_exchange(**ask, actor_token=tokens.jwt_svid(post, tokens.issuer), actor_token_type=JWT)
        claims = claims_of(str(token.access_token))
        assert claims["sub"] == caller.agent.spiffe_id and claims["act"]["sub"] == post.spiffe_id
        with pytest.raises(r2.InvalidRequest):
            client.token_exchange(**ask, actor_token=tokens.jwt_svid(caller.agent, tokens.issuer), actor_token_type=JWT)


def thumbprint(certificate: x509.Certificate) -> str:
    return base64.urlsafe_b64encode(certificate.fingerprint(hashes.SHA256())).rstrip(b"=").decode()


def leaf(path) -> x509.Certificate:
    return x509.load_pem_x509_certificates(path.read_bytes())[0]


def test_curl_with_a_certificate(tokens, caller):
    """`spiffe_x509`: no credential in the request; the token is bound to the certificate and ends with it"""
    certificate, key = caller.svid
    answer = subprocess.run(
        ["curl", "--silent", "--show-error", "--fail-with-body", "--cacert", tokens.roots, "--cert", certificate, "--key", key,
         "-d", "grant_type=client_credentials", "-d", f"resource={DESK}", tokens.endpoint],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stdout + answer.stderr
    claims = claims_of(json.loads(answer.stdout)["access_token"])
    assert claims["sub"] == caller.agent.spiffe_id and claims["cnf"] == {"x5t#S256": thumbprint(leaf(certificate))}


def test_httpx_with_a_certificate_that_ends_soon(tokens, caller, tmp_path):
    short = tokens.x509_svid(caller.agent, tmp_path, ttl="1m")
    end = leaf(short[0]).not_valid_after_utc.timestamp()
    form = {"grant_type": "client_credentials", "resource": DESK}
    with tokens.web(short) as web:
        for client_id in (None, caller.id, caller.agent.spiffe_id):
            reply = web.post("/oauth2/token", data=form | ({"client_id": client_id} if client_id else {}))
            assert reply.status_code == 200, reply.text
            claims = claims_of(reply.json()["access_token"])
            assert claims["cnf"] == {"x5t#S256": thumbprint(leaf(short[0]))} and claims["exp"] <= end
            assert reply.json()["expires_in"] <= end - time.time() + 1
        desk = tokens.domain.cli_json("identity", "show", "-id", "desk")["id"]
        refused = web.post("/oauth2/token", data=form | {"client_id": desk})
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
        # With a secret as well, the token is still bound to the connection.
        both = web.post("/oauth2/token", data=form | {"client_id": caller.id, "client_secret": caller.secret})
        assert claims_of(both.json()["access_token"])["cnf"] == {"x5t#S256": thumbprint(leaf(short[0]))}


def test_a_certificate_of_no_agent_and_of_another_trust_domain(tokens, caller, start, tmp_path):
    form = {"grant_type": "client_credentials", "resource": DESK}
    tokens.domain.cli("x509", "mint", "-spiffeID", f"{tokens.domain.id}/nobody", "-write", tmp_path)
    with tokens.web((tmp_path / "svid.pem", tmp_path / "key.pem")) as web:
        assert web.post("/oauth2/token", data=form).json() == {"error": "invalid_client"}
    stranger = start("oauth-stranger.test", only_server=True)
    folder = tmp_path / "stranger"
    folder.mkdir()
    stranger.cli("x509", "mint", "-spiffeID", f"{stranger.id}/caller", "-write", folder)
    with tokens.web((folder / "svid.pem", folder / "key.pem")) as web:
        try:
            reply = web.post("/oauth2/token", data=form)
        except Exception as error:
            # The handshake may be the end of it.
            assert isinstance(error.__cause__, (ssl.SSLError, OSError)) or "SSL" in str(error) or "reset" in str(error)
        else:
            assert reply.json() == {"error": "invalid_client"}


def test_a_federated_credential_that_names_the_trust_domain(tokens):
    """JWT-SVIDs of a control plane without `-jwtIssuer` have no `iss`: the trust domain stands for it"""
    agent = tokens.agent("federated")
    tokens.federate(agent, issuer=tokens.domain.id)
    tokens.grant(agent, DESK, "read")
    form = {"grant_type": "client_credentials", "client_id": agent.client_id, "client_assertion_type": ASSERTION_TYPE}
    svid = tokens.jwt_svid(agent, AZURE_AUDIENCE)
    assert "iss" not in claims_of(svid)
    with tokens.web() as web:
        for path in (tokens.endpoint, tokens.entra_endpoint):
            reply = web.post(path, data=form | {"client_assertion": svid})
            assert reply.status_code == 200 and claims_of(reply.json()["access_token"])["sub"] == agent.spiffe_id
        for other in (tokens.jwt_svid(agent, "api://another"), tokens.jwt_svid(agent, [AZURE_AUDIENCE, "api://another"])):
            reply = web.post(tokens.endpoint, data=form | {"client_assertion": other})
            assert (reply.status_code, reply.json()) == (401, {"error": "invalid_client"})
