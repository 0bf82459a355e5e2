"""Transaction tokens over the wire: authlib asks for them, PyJWT and joserfc read them."""

import json
import uuid

import joserfc.jwk
import joserfc.jwt
import jwt
import pytest
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from harness.tokens import ACCESS_TOKEN, ASSERTION_TYPE, EXCHANGE, JWT, Tokens

TXN = "urn:ietf:params:oauth:token-type:txn_token"
DESK = "api://txn-desk"


class World:
    """A caller, a desk behind a resource, and a vault further on; desk and vault may have transaction tokens."""

    def __init__(self, server):
        tokens = self.tokens = Tokens(server)
        self.domain = server.id
        self.caller, self.desk, self.vault = (tokens.agent(f"txn-{name}") for name in ("caller", "desk", "vault"))
        self.secrets = {agent.name: tokens.secret(agent) for agent in (self.caller, self.desk, self.vault)}
        tokens.resource(DESK, "trade", "read", agent="txn-desk")
        tokens.resource(self.domain, "trade", "read", tokenTTL="2m")
        tokens.grant(self.caller, DESK, "trade", "read")
        for agent in (self.desk, self.vault):
            tokens.grant(agent, self.domain, "trade", "read", use="delegated")

    def session(self, agent) -> OAuth2Session:
        session = OAuth2Session(agent.client_id, self.secrets[agent.name], token_endpoint_auth_method="client_secret_basic")
        session.verify = str(self.tokens.roots)
        return session

    def received(self, **more) -> str:
        with self.session(self.caller) as session:
            return session.fetch_token(
                self.tokens.endpoint, grant_type="client_credentials", resource=DESK, **more
            )["access_token"]  # fmt: skip

    def transaction(self, agent, subject: str, type: str = ACCESS_TOKEN, scope: str = "trade", **more) -> dict:
        with self.session(agent) as session:
            return session.fetch_token(
                self.tokens.endpoint, grant_type=EXCHANGE, requested_token_type=TXN, audience=self.domain,
                subject_token=subject, subject_token_type=type, scope=scope, **more,
            )  # fmt: skip


@pytest.fixture(scope="module")
def world(server):
    return World(server)


@pytest.fixture(autouse=True)
def authorities(monkeypatch, world):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(world.tokens.roots))


def refusal(ask, *arguments, **named) -> str:
    with pytest.raises(OAuthError) as refused:
        ask(*arguments, **named)
    return refused.value.error


def test_a_transaction_and_its_replacement(world):
    received = world.received()
    details = {"action": "BUY", "quantity": "100"}
    answer = world.transaction(
        world.desk, received, request_details=json.dumps(details), request_context='{"req_ip": "192.0.2.7"}'
    )
    assert answer["token_type"] == "N_A" and answer["issued_token_type"] == TXN and "refresh_token" not in answer
    assert answer["expires_in"] <= 120

    with world.tokens.web() as web:
        keys = web.get("/oauth2/jwks").json()
    text = answer["access_token"]
    assert jwt.get_unverified_header(text)["typ"] == "txntoken+jwt"
    key = jwt.PyJWKSet.from_dict(keys)[jwt.get_unverified_header(text)["kid"]]
    claims = jwt.decode(text, key, algorithms=["ES256"], audience=world.domain, issuer=world.tokens.issuer,
                        options={"require": ["iat", "aud", "exp", "txn", "sub", "scope", "req_wl"]})  # fmt: skip
    assert claims == joserfc.jwt.decode(text, joserfc.jwk.KeySet.import_key_set(keys)).claims
    assert claims["sub"] == world.caller.spiffe_id and claims["act"]["sub"] == world.desk.spiffe_id
    assert claims["tctx"] == details and claims["rctx"] == {"req_ip": "192.0.2.7"}
    assert claims["req_wl"] == world.desk.spiffe_id and claims["scope"] == "trade"

    second = world.transaction(world.vault, text, TXN)
    after = jwt.decode(second["access_token"], options={"verify_signature": False})
    assert after["req_wl"] == f"{world.desk.spiffe_id},{world.vault.spiffe_id}"
    for name in ("txn", "sub", "aud", "act", "tctx", "rctx", "chain_root"):
        assert after[name] == claims[name]
    assert after["exp"] <= claims["exp"]
    assert refusal(world.transaction, world.vault, text, TXN, request_details="{}") == "invalid_request"
    assert refusal(world.transaction, world.vault, text, TXN, scope="trade read") == "invalid_scope"


def test_an_agent_begins_one_itself(world):
    svid = world.tokens.jwt_svid(world.desk, world.tokens.issuer)
    claims = jwt.decode(world.transaction(world.desk, svid, JWT)["access_token"], options={"verify_signature": False})
    assert claims["sub"] == world.desk.spiffe_id and "act" not in claims and claims["chain_root"] == claims["txn"]
    other = world.tokens.jwt_svid(world.caller, world.tokens.issuer)
    assert refusal(world.transaction, world.desk, other, JWT) == "invalid_request"


def test_what_is_refused(world):
    received = world.received(scope="read")
    ask = world.transaction
    assert refusal(ask, world.desk, received) == "invalid_scope"
    assert refusal(ask, world.desk, received, scope="unknown") == "invalid_scope"
    assert refusal(ask, world.vault, received, scope="read") == "invalid_request"
    assert refusal(ask, world.caller, received, scope="read") == "invalid_target"
    assert refusal(ask, world.desk, received, scope="read", resource=DESK) == "invalid_target"
    assert refusal(ask, world.desk, received, scope="read", request_details="[1]") == "invalid_request"
    assert refusal(ask, world.desk, received, scope="read", request_context="{" * 3000) == "invalid_request"
    with world.session(world.desk) as session:
        assert refusal(session.fetch_token, world.tokens.endpoint, grant_type="client_credentials", resource=world.domain) == (
            "invalid_target"
        )
    reasons = " ".join(event["decision"]["reason"] for event in world.tokens.refusals())
    assert "the subject token does not have scope `trade`" in reasons and received not in reasons


def test_it_is_no_access_token_and_no_credential(world):
    text = world.transaction(world.desk, world.received())["access_token"]
    with world.session(world.desk) as session:
        answer = session.introspect_token(f"{world.tokens.issuer}/introspect", token=text)
        assert answer.json() == {"active": False}
    assert refusal(world.transaction, world.desk, text, ACCESS_TOKEN) == "invalid_request"
    assert refusal(world.transaction, world.desk, world.received(), TXN) == "invalid_request"
    form = {"grant_type": "client_credentials", "resource": DESK, "client_id": world.desk.client_id,
            "client_assertion": text, "client_assertion_type": ASSERTION_TYPE}  # fmt: skip
    with world.tokens.web() as web:
        reply = web.post("/oauth2/token", data=form)
        assert (reply.status_code, reply.json()) == (401, {"error": "invalid_client"})


def test_the_log_has_intent_and_outcome(world):
    mark = uuid.uuid4().hex
    answer = world.transaction(world.desk, world.received(), request_details=json.dumps({"mark": mark}))
    claims = jwt.decode(answer["access_token"], options={"verify_signature": False})
    events = [e for e in world.tokens.log("transaction_token.issue") if e.get("effect", {}).get("result", {}).get("txn") == claims["txn"]]
    assert len(events) == 1 and events[0]["effect"]["result"]["root"] == claims["chain_root"]
    everything = json.dumps(world.tokens.log("transaction_token.issue"))
    assert mark not in everything and answer["access_token"] not in everything


def test_revocation_ends_a_chain_with_its_transactions(world):
    text = world.transaction(world.desk, world.received())["access_token"]
    claims = jwt.decode(text, options={"verify_signature": False})
    world.transaction(world.vault, text, TXN)
    world.tokens.domain.cli("revoke", "-chainRoot", claims["chain_root"])
    assert refusal(world.transaction, world.vault, text, TXN) == "invalid_request"
