"""The keys of access tokens, replaced by hand: prepare, activate, taint, revoke. PyJWT is the verifier outside."""

import jwt
import pytest
from harness import domain as shield
from harness.tokens import ACCESS_TOKEN, EXCHANGE, Tokens


@pytest.fixture(scope="module")
def tokens():
    domain = shield.start_server("oauth-authorities.test")
    try:
        yield Tokens(domain)
        assert set(domain.stop()) == {0}
    finally:
        domain.discard()


class Desk:
    """A resource of one profile, the agent behind it and a caller with a secret."""

    def __init__(self, tokens: Tokens, kind: str):
        self.tokens, self.kind = tokens, kind
        self.resource, self.next = f"api://{kind}-desk", f"api://{kind}-next"
        self.behind, self.caller = tokens.agent(f"{kind}-behind"), tokens.agent(f"{kind}-caller")
        profile = {"profile": "entra"} if kind == "entra" else {}
        tokens.resource(self.resource, "read", agent=self.behind.client_id, **profile)
        tokens.resource(self.next, "read", **profile)
        tokens.grant(self.caller, self.resource, "read")
        tokens.grant(self.behind, self.next, "read", use="delegated")
        self.secrets = {agent.client_id: tokens.secret(agent) for agent in (self.behind, self.caller)}
        self.algorithm, self.issuer, self.keys_url = (
            ("RS256", tokens.entra_issuer, f"{tokens.base}/{tokens.domain.name}/discovery/v2.0/keys")
            if kind == "entra"
            else ("ES256", tokens.issuer, f"{tokens.issuer}/jwks")
        )

    def post(self, path: str, agent, **form: str):
        with self.tokens.web() as web:
            return web.post(path, data={"client_id": agent.client_id, "client_secret": self.secrets[agent.client_id], **form})

    def token(self) -> str:
        reply = self.post("/oauth2/token", self.caller, grant_type="client_credentials", resource=self.resource)
        assert reply.status_code == 200, reply.text
        return reply.json()["access_token"]

    def is_active(self, token: str) -> bool:
        return self.post("/oauth2/introspect", self.behind, token=token).json()["active"]

    def exchange(self, token: str) -> int:
        return self.post(
            "/oauth2/token", self.behind, grant_type=EXCHANGE, subject_token=token, subject_token_type=ACCESS_TOKEN,
            audience=self.next,
        ).status_code  # fmt: skip

    def keys(self) -> list[str]:
        with self.tokens.web() as web:
            return [key["kid"] for key in web.get(self.keys_url).json()["keys"]]

    def verifies(self, token: str) -> bool:
        """With the keys as they are published now."""
        with self.tokens.web() as web:
            keys = jwt.PyJWKSet.from_dict(web.get(self.keys_url).json())
        try:
            key = keys[kid(token)]
        except KeyError:
            return False
        return bool(jwt.decode(token, key, algorithms=[self.algorithm], audience=self.resource, issuer=self.issuer))

    def authority(self, act: str, *flags: str) -> dict:
        return self.tokens.domain.cli_json("localauthority", self.kind, act, *flags)

    def refusal(self, act: str, id: str) -> str:
        done = self.tokens.domain.cli("localauthority", self.kind, act, "-authorityID", id, check=False)
        assert done.returncode != 0
        return done.stderr


def kid(token: str) -> str:
    return jwt.get_unverified_header(token)["kid"]


@pytest.mark.parametrize("kind", ["oauth", "entra"])
def test_a_key_is_replaced_by_hand(tokens, kind):
    desk = Desk(tokens, kind)
    before = desk.authority("show")
    old = before["active"]["authority_id"]
    assert before["prepared"] is None and before["old"] is None
    first = desk.token()
    assert kid(first) == old and desk.keys() == [old]
    for act in ("taint", "revoke"):
        assert "active" in desk.refusal(act, old)
        assert "no authority has this ID" in desk.refusal(act, "nobody")
    assert "only prepared" in desk.refusal("activate", old)
    spared = tokens.domain.cli("revoke", "-key", old, check=False)
    assert spared.returncode != 0 and "localauthority" in spared.stderr

    fresh = desk.authority("prepare")["prepared_authority"]["authority_id"]
    assert desk.keys() == [old, fresh], "the one that signs stands first"
    assert kid(desk.token()) == old, "a prepared key does not sign"
    for act in ("taint", "revoke"):
        assert "prepared" in desk.refusal(act, fresh)

    assert desk.authority("activate", "-authorityID", fresh)["activated_authority"]["authority_id"] == fresh
    second = desk.token()
    assert kid(second) == fresh and desk.keys() == [fresh, old]
    shown = desk.authority("show")
    assert (shown["active"]["authority_id"], shown["old"]["authority_id"]) == (fresh, old)
    assert "taint it first" in desk.refusal("revoke", old)
    for token in (first, second):
        assert desk.verifies(token) and desk.is_active(token) and desk.exchange(token) == 200

    desk.authority("taint", "-authorityID", old)
    assert "already tainted" in desk.refusal("taint", old)
    assert desk.keys() == [fresh, old] and desk.is_active(first), "a taint takes nothing away"

    assert desk.authority("revoke", "-authorityID", old)["revoked_authority"]["authority_id"] == old
    assert desk.keys() == [fresh]
    assert not desk.verifies(first) and not desk.is_active(first) and desk.exchange(first) == 400
    assert desk.verifies(second) and desk.is_active(second) and desk.exchange(second) == 200
    assert desk.authority("show")["old"] is None
    # Verifiers that have kept the key learn it from the revocations.
    revoked = tokens.domain.cli_json("revoke", "list")["items"]
    assert [item["value"] for item in revoked if item["kind"] == "key" and item["value"] == old] == [old]
    assert "no authority has this ID" in desk.refusal("revoke", old)

    acts = {}
    for act in ("prepare", "activate", "taint", "revoke"):
        events = [event for event in tokens.log(f"authority.{act}") if event["resource"]["kind"] == f"{kind}-authority"]
        acts[act] = {event["decision"]["result"] for event in events if event["agent"].get("auth_method") == "unix_socket"}
    assert acts == {"prepare": {"permit"}, "activate": {"permit", "deny"}, "taint": {"permit", "deny"}, "revoke": {"permit", "deny"}}


def test_the_kinds_are_apart(tokens):
    """An ID of one kind is none of the other's"""
    oauth = tokens.domain.cli_json("localauthority", "oauth", "prepare")["prepared_authority"]["authority_id"]
    done = tokens.domain.cli("localauthority", "entra", "activate", "-authorityID", oauth, check=False)
    assert done.returncode != 0 and "no authority has this ID" in done.stderr
    tokens.domain.cli("localauthority", "oauth", "activate", "-authorityID", oauth)


def test_a_key_that_was_revoked_stays_so_after_a_restart(start):
    domain = start("oauth-restart.test", only_server=True)
    desk = Desk(Tokens(domain), "oauth")
    first, old = desk.token(), desk.authority("show")["active"]["authority_id"]
    fresh = desk.authority("prepare")["prepared_authority"]["authority_id"]
    desk.authority("activate", "-authorityID", fresh)
    desk.authority("taint", "-authorityID", old)
    desk.authority("revoke", "-authorityID", old)
    assert set(domain.stop()) == {0}
    again = start("oauth-restart.test", folder=domain.folder, only_server=True)
    desk.tokens = Tokens(again)
    desk.keys_url = f"{desk.tokens.issuer}/jwks"
    assert desk.keys() == [fresh] and not desk.is_active(first)
    assert kid(desk.token()) == fresh
