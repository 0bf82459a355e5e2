"""Our issuer, accepted by others: relying parties that do what Entra, AWS, Keycloak and plain OpenID Connect ones do.

Each knows the issuer's name and finds everything else by discovery, over TLS with a certificate of the web.
"""

import json
import ssl
import urllib.request

import joserfc.jwk
import joserfc.jwt
import jwt
import pytest
from azure.identity import WorkloadIdentityCredential
from harness.domain import run_cli, start_up
from harness.ports import free_port
from harness.tokens import ACCESS_TOKEN, AZURE_AUDIENCE, EXCHANGE, SVID_ASSERTION_TYPE, Tokens
from harness.web import WebCA
from joserfc.errors import JoseError

STS, REALM, PLAIN = "https://sts.amazonaws.com", "https://sso.acme.example/realms/agents", "https://api.acme.example"
AUDIENCES = {"entra": AZURE_AUDIENCE, "aws": STS, "keycloak": REALM, "plain": PLAIN}


class Refused(Exception):
    pass


class Party:
    """What all of them do: the metadata of exactly this issuer, its keys, one of RS256 by `kid`, times."""

    def __init__(self, issuer: str, roots: bytes):
        self.issuer, self.context = issuer, ssl.create_default_context(cadata=roots.decode())

    def get(self, url: str) -> dict:
        with urllib.request.urlopen(url, context=self.context, timeout=10) as reply:
            assert reply.headers["content-type"] == "application/json"
            return json.load(reply)

    def discover(self) -> dict:
        document = self.get(self.issuer + "/.well-known/openid-configuration")
        if document["issuer"] != self.issuer or not document["jwks_uri"].startswith("https://"):
            raise Refused("metadata")
        if "RS256" not in document["id_token_signing_alg_values_supported"]:
            raise Refused("algorithms")
        return document

    def claims(self, token: str) -> dict:
        header = jwt.get_unverified_header(token)
        if header["alg"] != "RS256":
            raise Refused("algorithm")
        keys = jwt.PyJWKClient(self.discover()["jwks_uri"], ssl_context=self.context)
        try:
            key = keys.get_signing_key(header["kid"]).key
            return jwt.decode(
                token, key, ["RS256"], issuer=self.issuer,
                options={"verify_aud": False, "require": ["iss", "sub", "aud", "exp", "iat", "nbf"]},
            )  # fmt: skip
        except jwt.PyJWTError as error:
            raise Refused(str(error)) from error


class Entra(Party):
    """A federated credential: issuer, subject and the only audience exactly."""

    def accept(self, token: str, subject: str, audience: str) -> None:
        claims = self.claims(token)
        found = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        if found != [audience] or claims["sub"] != subject:
            raise Refused("no federated credential matches")


class AWS(Party):
    """A provider with client IDs, and a role whose trust policy has conditions on `aud` and `sub`."""

    def accept(self, token: str, subject: str, audience: str) -> None:
        claims = self.claims(token)
        if claims["aud"] != audience or claims["sub"] != subject:
            raise Refused("not authorized to perform sts:AssumeRoleWithWebIdentity")


class Keycloak(Party):
    """An identity provider by issuer, a client by its federated subject, the realm as audience, assertions that are short."""

    longest = 600

    def accept(self, token: str, subject: str, audience: str) -> None:
        claims = self.claims(token)
        audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        if claims["sub"] != subject or audience not in audiences or claims["exp"] - claims["iat"] > self.longest + 60:
            raise Refused("invalid_client")


class Plain(Party):
    """A service with joserfc and a fixed list of algorithms."""

    def accept(self, token: str, subject: str, audience: str) -> None:
        keys = joserfc.jwk.KeySet.import_key_set(self.get(self.discover()["jwks_uri"]))
        try:
            decoded = joserfc.jwt.decode(token, keys, algorithms=["RS256"])
            joserfc.jwt.JWTClaimsRegistry(
                iss={"essential": True, "value": self.issuer}, aud={"essential": True, "value": audience},
                sub={"essential": True, "value": subject}, exp={"essential": True},
            ).validate(decoded.claims)  # fmt: skip
        except (JoseError, ValueError) as error:
            raise Refused(str(error)) from error


PARTIES = {"entra": Entra, "aws": AWS, "keycloak": Keycloak, "plain": Plain}


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    folder, port, ca = tmp_path_factory.mktemp("web"), free_port(), WebCA()
    chain, key = ca.certificate(folder, "localhost")
    base = f"https://localhost:{port}"
    extra = ["-httpsPort", str(port), "-publicURL", base, "-jwtIssuer", base, "-webCertificate", f"{chain}:{key}"]
    domain = start_up("oauth-elsewhere.test", extra=extra)
    try:
        tokens = Tokens(domain, ca.pem)
        tokens.ca = ca.pem
        for audience in AUDIENCES.values():
            tokens.resource(audience, "federate", profile="entra", tokenTTL="10m")
        tokens.resource("api://ours", "federate")
        tokens.robot, tokens.other = (tokens.agent(name, "-tokenDir", str(domain.folder / name)) for name in ("robot", "other"))
        for agent in (tokens.robot, tokens.other):
            for resource in (*AUDIENCES.values(), "api://ours"):
                tokens.grant(agent, resource, "federate")
        yield tokens
        assert domain.stop() == [0]
    finally:
        domain.discard()


def token(tokens, agent, resource: str) -> str:
    form = {"grant_type": "client_credentials", "resource": resource, "client_assertion_type": SVID_ASSERTION_TYPE,
            "client_assertion": tokens.jwt_svid(agent, tokens.issuer)}  # fmt: skip
    with tokens.web() as web:
        reply = web.post("/oauth2/token", data=form)
    assert reply.status_code == 200, reply.text
    return reply.json()["access_token"]


@pytest.mark.parametrize("name", PARTIES)
def test_an_agent_is_a_client_elsewhere(tokens, name):
    party, audience = PARTIES[name](tokens.entra_issuer, tokens.ca), AUDIENCES[name]
    good = token(tokens, tokens.robot, audience)
    party.accept(good, tokens.robot.spiffe_id, audience)
    head, _, signature = good.rpartition(".")
    other = next(value for value in AUDIENCES.values() if value != audience)
    for why, wrong in {
        "another agent": token(tokens, tokens.other, audience),
        "another audience": token(tokens, tokens.robot, other),
        "a token of our other issuer": token(tokens, tokens.robot, "api://ours"),
        "a jwt-svid": tokens.jwt_svid(tokens.robot, audience),
        "another signature": f"{head}.{signature[:-8]}AAAAAAAA",
    }.items():
        with pytest.raises(Refused):
            party.accept(wrong, tokens.robot.spiffe_id, audience)
            pytest.fail(why)
    with pytest.raises(Refused):
        party.accept(good, tokens.robot.spiffe_id.upper(), audience)


@pytest.mark.parametrize("name", PARTIES)
def test_an_issuer_is_its_name_byte_by_byte(tokens, name):
    audience = AUDIENCES[name]
    good = token(tokens, tokens.robot, audience)
    # RFC 8414 and Entra's other spelling lead to documents of ours, whose issuer is another one.
    for issuer in (tokens.issuer, tokens.base):
        with pytest.raises(Refused):
            PARTIES[name](issuer, tokens.ca).accept(good, tokens.robot.spiffe_id, audience)


def test_a_stock_client_of_entra_gets_the_assertion(tokens, monkeypatch):
    """What `azure-identity` gets from us by an SVID is what Entra takes as client assertion"""
    tokens.federate(tokens.robot)
    tokens.domain.entry("/robot", jwt_svid_ttl=3600)
    tokens.domain.wait_for_ids("/robot")
    run_cli("svid", "watch", "-dir", tokens.domain.folder / "robot", "-jwtAudience", AZURE_AUDIENCE, "-once",
            "-socketPath", tokens.domain.workload_socket)  # fmt: skip
    for name, value in (tokens.robot.environment | {"REQUESTS_CA_BUNDLE": str(tokens.roots)}).items():
        monkeypatch.setenv(name, value)
    with WorkloadIdentityCredential() as credential:
        assertion = credential.get_token(f"{AZURE_AUDIENCE}/.default").token
    Entra(tokens.entra_issuer, tokens.ca).accept(assertion, tokens.robot.spiffe_id, AZURE_AUDIENCE)


def test_nobody_speaks_for_another_there(tokens):
    """With grants of use `own` there is no token on behalf of somebody, which others would take for that somebody"""
    tokens.domain.cli("resource", "update", "-id", "api://ours", "-agent", tokens.other.client_id)
    received = token(tokens, tokens.robot, "api://ours")
    form = {"grant_type": EXCHANGE, "subject_token": received, "subject_token_type": ACCESS_TOKEN, "audience": AZURE_AUDIENCE,
            "client_assertion_type": SVID_ASSERTION_TYPE, "client_assertion": tokens.jwt_svid(tokens.other, tokens.issuer)}  # fmt: skip
    with tokens.web() as web:
        reply = web.post("/oauth2/token", data=form)
    assert (reply.status_code, reply.json()["error"]) == (403, "actor_unauthorized"), reply.text
