"""Agent cards: PyPI `a2a-sdk` verifies what the trust domain's card key signs, and signs what we verify."""

import copy
import json

import jwt
import pytest
from a2a.client.card_resolver import parse_agent_card
from a2a.utils.signing import InvalidSignaturesError, NoSignatureError, create_agent_card_signer, create_signature_verifier
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf.json_format import MessageToDict
from harness import domain as shield
from harness.domain import run_cli
from harness.polling import eventually
from harness.tokens import Tokens
from jwt.algorithms import ECAlgorithm

KEYS = "/.well-known/agent-card-keys.json"
IDENTITY = "https://agentshield.dev/a2a/identity/v1"

PLAIN = {
    "name": "Recipe Agent", "description": "Helps with recipes.", "version": "1.0.0",
    "supportedInterfaces": [{"url": "https://recipes.example/a2a", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
    "capabilities": {"streaming": True}, "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
    "skills": [{"id": "find", "name": "Find", "description": "Finds recipes.", "tags": ["food"]}],
}  # fmt: skip


def client_credentials(scopes: dict) -> dict:
    return {"o": {"oauth2SecurityScheme": {"flows": {"clientCredentials": {"tokenUrl": "https://as.example/t", "scopes": scopes}}}}}


MTLS = {"m": {"mtlsSecurityScheme": {"description": "SVIDs of example.org"}}}
SHAPES = {
    "plain": {},
    "explicit false capabilities": {"capabilities": {"streaming": False, "pushNotifications": False}},
    "not ASCII": {"description": "Käse, 日本, \U0001f9c0 \ufb33 \u2028 \" \\ \n\u007f"},
    "mutual TLS with a description": {"securitySchemes": MTLS},
    "empty description": {"description": ""},
    "no skills": {"skills": []},
    "empty capabilities": {"capabilities": {}},
    "no scopes": {"securitySchemes": client_credentials({})},
    "a scope without words": {"securitySchemes": client_credentials({"read": "", "write": "Writes."})},
    "a requirement without scopes": {"securitySchemes": MTLS, "securityRequirements": [{"schemes": {"m": {"list": []}}}]},
    "mutual TLS without a description": {"securitySchemes": {"m": {"mtlsSecurityScheme": {}}}},
    "an extension that says that it is not required": {"capabilities": {"extensions": [{"uri": "https://x.example/e", "required": False}]}},
    "parameters with empty members": {
        "capabilities": {"extensions": [{"uri": "https://x.example/e", "params": {"a": "", "b": [], "c": {}, "d": None, "e": [[], ""]}}]}
    },
    "parameters with numbers": {
        "capabilities": {"extensions": [{"uri": "https://x.example/e", "params": {"n": [1.5, 1e21, 100, 1e-7, 0.000001, -1, 9007199254740991]}}]}
    },
    "an empty documentation URL": {"documentationUrl": ""},
    "members of version 0.3": {"url": "https://recipes.example/a2a", "preferredTransport": "JSONRPC", "protocolVersion": "0.3.0"},
    "an unknown member": {"agentId": "spiffe://example.org/a", "later": {"empty": []}},
}  # fmt: skip
"""Cards that verifiers disagree about, and some that they do not."""


class Cards:
    def __init__(self, tokens: Tokens):
        self.tokens, self.domain = tokens, tokens.domain
        self.number = 0

    def file(self, card: object, kind: str = "card"):
        self.number += 1
        path = self.domain.folder / f"{kind}-{self.number}.json"
        path.write_text(card if isinstance(card, str) else json.dumps(card, ensure_ascii=False))
        return path

    def sign(self, card: dict, *more: str) -> dict:
        return json.loads(self.domain.cli("card", "sign", self.file(card), *more).stdout)

    def refused(self, card: dict, *more: str) -> str:
        done = self.domain.cli("card", "sign", self.file(card), *more, check=False)
        assert done.returncode == 1 and not done.stdout
        return done.stderr

    def verify(self, card: dict, *more: object) -> dict:
        """With the keys of the control plane, or with those that are named."""
        return self.domain.cli_json("card", "verify", self.file(card), *more)

    def unverified(self, card: dict, *more: object) -> str:
        done = self.domain.cli("card", "verify", self.file(card), *more, check=False)
        assert done.returncode == 1 and not done.stdout
        return done.stderr

    @property
    def keys(self) -> dict:
        with self.tokens.web() as web:
            answer = web.get(KEYS)
            assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
            assert "max-age" in answer.headers["cache-control"]
            return answer.json()

    def sdk_verifies(self, card: dict) -> None:
        """As a client of the SDK does, with the keys that we publish."""
        keys = jwt.PyJWKSet.from_dict(self.keys)
        verify = create_signature_verifier(lambda kid, jku: keys[kid], ["ES256"])
        verify(parse_agent_card(copy.deepcopy(card)))


@pytest.fixture(scope="module")
def cards():
    domain = shield.start_server("cards.test")
    try:
        domain.entry("/recipes")
        yield Cards(Tokens(domain))
        assert set(domain.stop()) == {0}
    finally:
        domain.discard()


@pytest.fixture(scope="module")
def signed(cards):
    return cards.sign(PLAIN, "-spiffeID", f"{cards.domain.id}/recipes")


class SDK:
    """Somebody who signs cards with the SDK and a key of their own."""

    def __init__(self):
        key = ec.generate_private_key(ec.SECP256R1())
        self.private = jwt.PyJWK(json.loads(ECAlgorithm.to_jwk(key)) | {"alg": "ES256"})
        self.keys = {"keys": [json.loads(ECAlgorithm.to_jwk(key.public_key())) | {"kid": "sdk", "alg": "ES256", "use": "sig"}]}

    def sign(self, card: dict, **header) -> list[dict]:
        message = parse_agent_card(copy.deepcopy(card))
        create_agent_card_signer(self.private, {"kid": "sdk", "alg": "ES256", "typ": "JOSE", "jku": None, **header})(message)
        return MessageToDict(message)["signatures"]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_sdk_verifies_every_card_that_we_sign(cards, shape):
    card = PLAIN | SHAPES[shape]
    done = cards.sign(card, "-spiffeID", f"{cards.domain.id}/recipes")
    cards.sdk_verifies(done)
    ours = cards.verify(done)
    assert (ours["spiffe_id"], ours["form"], ours["covers_all"]) == (f"{cards.domain.id}/recipes", "standard", True)
    # Nothing was lost on the way, and only the identity was added.
    done["capabilities"]["extensions"] = [known for known in done["capabilities"]["extensions"] if known["uri"] != IDENTITY]
    if not done["capabilities"]["extensions"]:
        del done["capabilities"]["extensions"]
    del done["signatures"]
    assert done == card
    # Changed, neither takes it.
    cards_of = cards.sign(card, "-spiffeID", f"{cards.domain.id}/recipes")
    cards_of["skills"] = [{"id": "steal", "name": "Steal", "description": "Steals.", "tags": ["x"]}]
    with pytest.raises(InvalidSignaturesError):
        cards.sdk_verifies(cards_of)
    assert "not over this card" in cards.unverified(cards_of)


@pytest.mark.parametrize("shape", SHAPES)
def test_we_verify_every_card_that_the_sdk_signs(cards, shape):
    card = PLAIN | SHAPES[shape]
    sdk = SDK()
    card["signatures"] = sdk.sign(card)
    keys = cards.file(sdk.keys, "keys")
    ours = cards.verify(card, "-keys", keys)
    assert (ours["name"], ours["spiffe_id"], ours["trust_domain"], ours["key_id"]) == (PLAIN["name"], None, None, "sdk")
    card["version"] = "6.6.6"
    assert "not over this card" in cards.unverified(card, "-keys", keys)


def test_a_signature_says_where_its_key_is_and_nobody_follows_it(cards, signed):
    header = jwt.get_unverified_header(signed["signatures"][-1]["protected"] + "..")
    assert len(header.pop("card_sha256")) == 43
    assert header == {"alg": "ES256", "kid": cards.keys["keys"][0]["kid"], "typ": "JOSE", "jku": cards.tokens.base + KEYS}
    # Of somebody who signs with a key of their own and says where it is, nothing is believed.
    sdk = SDK()
    bare = {key: value for key, value in signed.items() if key != "signatures"}
    forged = sdk.sign(bare, jku=cards.tokens.base + KEYS, kid=header["kid"])
    assert "not over this card" in cards.unverified(bare | {"signatures": forged})
    assert "none of the trusted keys" in cards.unverified(bare | {"signatures": sdk.sign(bare)})


def test_signatures_stripped_swapped_and_mixed(cards, signed):
    bare = {key: value for key, value in signed.items() if key != "signatures"}
    assert "no signature" in cards.unverified(bare)
    with pytest.raises(NoSignatureError):
        cards.sdk_verifies(bare)
    other = cards.sign(PLAIN | {"name": "Other"}, "-spiffeID", f"{cards.domain.id}/recipes")
    assert "not over this card" in cards.unverified(bare | {"signatures": other["signatures"]})
    # One that holds is enough.
    mixed = bare | {"signatures": other["signatures"] + signed["signatures"]}
    assert cards.verify(mixed)["spiffe_id"] == f"{cards.domain.id}/recipes"
    cards.sdk_verifies(mixed)
    many = bare | {"signatures": signed["signatures"] * 9}
    assert "more than 8 signatures" in cards.unverified(many)


def test_what_the_sdk_does_not_see_cannot_be_changed_unseen(cards):
    card = PLAIN | {"securitySchemes": MTLS, "securityRequirements": [{"schemes": {"m": {"list": []}}}], "agentId": "a"}
    done = cards.sign(card, "-spiffeID", f"{cards.domain.id}/recipes")
    assert len(done["signatures"]) == 2
    # The one for the SDK alone, as if somebody on the way had taken the other away.
    done["signatures"] = done["signatures"][:1]
    cards.sdk_verifies(done)
    ours = cards.verify(done)
    assert (ours["form"], ours["covers_all"]) == ("pruned", True)
    for change in ({"securityRequirements": []}, {"securityRequirements": [{}]}, {"agentId": "king"}):
        cards.sdk_verifies(done | change)
        assert "have changed" in cards.unverified(done | change)


def test_keys_vouch_for_their_own_trust_domain_alone(cards, signed):
    keys = cards.file(cards.keys, "keys")
    assert cards.verify(signed, "-keys", keys, "-trustDomain", "cards.test")["trust_domain"] == "cards.test"
    for domain in ((), ("-trustDomain", "other.test")):
        assert "cannot vouch" in cards.unverified(signed, "-keys", keys, *domain)
    # A key that is trusted for another trust domain cannot speak for this one.
    sdk = SDK()
    bare = {key: value for key, value in signed.items() if key != "signatures"}
    foreign = bare | {"signatures": sdk.sign(bare)}
    assert "cannot vouch" in cards.unverified(foreign, "-keys", cards.file(sdk.keys, "keys"), "-trustDomain", "other.test")


def test_only_agents_that_exist_and_may_work_get_a_signature(cards):
    domain, tokens = cards.domain, cards.tokens
    assert "no registration entry" in cards.refused(PLAIN, "-spiffeID", f"{domain.id}/nobody")
    assert "does not say whose" in cards.refused(PLAIN)
    assert "trust domain" in cards.refused(PLAIN, "-spiffeID", "spiffe://other.test/recipes")
    assert "reserved" in cards.refused(PLAIN, "-spiffeID", f"{domain.id}/spire/server")
    whose = {"uri": IDENTITY, "params": {"spiffeId": f"{domain.id}/recipes", "trustDomain": domain.name}}
    bound = PLAIN | {"capabilities": {"extensions": [whose]}}
    assert cards.verify(cards.sign(bound))["spiffe_id"] == f"{domain.id}/recipes"
    assert cards.verify(cards.sign(bound, "-spiffeID", f"{domain.id}/recipes"))["spiffe_id"] == f"{domain.id}/recipes"
    domain.entry("/other")
    assert "another agent" in cards.refused(bound, "-spiffeID", f"{domain.id}/other")
    assert "twice" in cards.refused(PLAIN | {"capabilities": {"extensions": [whose, whose]}})
    assert "version: is required" in cards.refused({key: value for key, value in bound.items() if key != "version"})
    assert "must be an object" in cards.refused(PLAIN | {"capabilities": ["chat"]})

    agent = tokens.agent("directory")
    domain.entry("/directory")
    cards.sign(PLAIN, "-spiffeID", agent.spiffe_id)
    domain.cli("identity", "disable", "-id", agent.client_id, "-reason", "odd")
    assert "not enabled" in cards.refused(PLAIN, "-spiffeID", agent.spiffe_id)
    domain.cli("identity", "enable", "-id", agent.client_id)
    # What followed from it is taken back by itself.
    eventually(lambda: agent.spiffe_id not in domain.cli("revoke", "list").stdout, "the agent is revoked no more")
    cards.sign(PLAIN, "-spiffeID", agent.spiffe_id)
    domain.cli("identity", "retire", "-id", agent.client_id, "-reason", "done")
    assert "not enabled" in cards.refused(PLAIN, "-spiffeID", agent.spiffe_id)

    events = tokens.log("agent_card.sign")
    by_whom = {event["agent"]["auth_method"] for event in events}
    assert by_whom == {"unix_socket"}
    ours = [event for event in events if event["resource"]["id"] == agent.spiffe_id]
    seen = [(event["phase"], event["decision"]["result"]) for event in ours]
    signed = [("intent", "permit"), ("outcome", "permit")]
    assert seen == [*signed, ("single", "deny"), *signed, ("single", "deny")]
    assert {event["resource"]["kind"] for event in ours} == {"agent-card"}


def test_an_identity_that_was_revoked_gets_no_card(cards):
    cards.domain.entry("/revoked")
    cards.sign(PLAIN, "-spiffeID", f"{cards.domain.id}/revoked")
    cards.domain.cli("revoke", "-spiffeID", f"{cards.domain.id}/revoked", "-reason", "stolen")
    assert "revoked" in cards.refused(PLAIN, "-spiffeID", f"{cards.domain.id}/revoked")


def test_the_card_key_is_no_other_key_and_is_replaced_by_hand(cards):
    """Prepare, activate, taint, revoke; what the old key signed verifies until the last step"""
    domain, whose = cards.domain, f"{cards.domain.id}/recipes"

    def authority(act: str, *flags: str) -> dict:
        return domain.cli_json("localauthority", "card", act, *flags)

    def published() -> list[str]:
        return [key["kid"] for key in cards.keys["keys"]]

    before = cards.sign(PLAIN, "-spiffeID", whose)
    old = authority("show")["active"]["authority_id"]
    assert published() == [old]
    with cards.tokens.web() as web:
        others = web.get("/oauth2/jwks").json()["keys"] + web.get(f"/{domain.name}/discovery/v2.0/keys").json()["keys"]
        others += web.get("/spiffe/bundle").json()["keys"]
    assert len(others) >= 4
    assert not {key["x"] for key in cards.keys["keys"]} & {key.get("x") for key in others}

    fresh = authority("prepare")["prepared_authority"]["authority_id"]
    assert published() == [old, fresh]
    assert jwt.get_unverified_header(cards.sign(PLAIN, "-spiffeID", whose)["signatures"][0]["protected"] + "..")["kid"] == old
    authority("activate", "-authorityID", fresh)
    assert published() == [fresh, old]
    after = cards.sign(PLAIN, "-spiffeID", whose)
    assert jwt.get_unverified_header(after["signatures"][0]["protected"] + "..")["kid"] == fresh
    for card in (before, after):
        assert cards.verify(card)["spiffe_id"] == whose
        cards.sdk_verifies(card)
    authority("taint", "-authorityID", old)
    assert cards.verify(before)["key_id"] == old
    authority("revoke", "-authorityID", old)
    assert published() == [fresh]
    assert "none of the trusted keys" in cards.unverified(before)
    assert cards.verify(after)["key_id"] == fresh


def test_lint_and_show_need_nobody(cards, signed):
    def command(*words: object, code: int = 0):
        done = run_cli("card", *words, check=False)
        assert done.returncode == code, done.stderr
        return done

    good = cards.file(signed)
    found = json.loads(command("lint", good, "-output", "json").stdout)["findings"]
    assert [finding["rule"] for finding in found] == ["no-requirement"]
    shown = command("show", good).stdout
    assert f"{cards.domain.id}/recipes" in shown and "Nothing of this was verified" in shown
    bad = cards.file(PLAIN | {"capabilities": ["chat"], "signatures": []})
    done = command("lint", bad, code=1)
    assert "error: capabilities" in done.stdout and "1 error" in done.stderr
    command("show", bad, code=1)
