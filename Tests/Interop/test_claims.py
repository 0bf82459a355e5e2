"""Claims that the operator's configuration adds to tokens: PyJWT reads them, and wrong rules are refused by name."""

import json

import grpc
import jwt
import pytest
from google.protobuf.json_format import MessageToDict

from harness.domain import run_cli, start_up, temporary_folder
from test_wit import check, fetch, first, keys
from wire import messages as m

RULES = """
claims:
  - for: /team/*/agent/**
    add:
      team: "{path[2]}"
      https://example.org/agent: "{path}"
      groups: ["team-{path[2]}", agents]
      limits: {calls: 20, ratio: 0.5, human: false}
      hint: "{hint}"
      registered: "{entry_id}"
  - for: /team/blue/agent/**
    kinds: [jwt]
    add: {team: never, colour: blue}
  - for: /strict/*
    required: true
    add: {purpose: "{hint}"}
"""


@pytest.fixture(scope="module")
def domain():
    folder = temporary_folder()
    configuration = folder / "agentshield.yaml"
    configuration.write_text(RULES)
    domain = start_up("claims.test", folder, extra=["-config", str(configuration)])
    try:
        yield domain
        assert domain.stop() == [0]
    finally:
        domain.discard()


@pytest.fixture(autouse=True)
def no_entries(domain):
    yield
    domain.forget_entries()


def decoded(domain, token: str) -> dict:
    """By PyJWT, with the keys that the trust domain publishes."""
    jwks = json.loads(domain.cli("bundle", "show", "-format", "spiffe").stdout)
    (key,) = [key for key in jwks["keys"] if key.get("kid") == jwt.get_unverified_header(token)["kid"]]
    return jwt.decode(token, jwt.PyJWK(key, algorithm="ES256").key, algorithms=["ES256"], audience="weather")


def own(claims: dict) -> dict:
    return {name: value for name, value in claims.items() if name not in ("sub", "aud", "exp", "iat", "cnf", "jti")}


def test_a_token_through_the_workload_api_has_them(domain):
    made = domain.entry("/team/red/agent/planner/7", hint="planning")
    domain.wait_for_ids("/team/red/agent/planner/7")
    with domain.workload() as api:
        token = api.jwt_svid(["weather"]).svids[0].svid
        again = api.jwt_svid(["weather"]).svids[0].svid
        validated = api.validate("weather", token)
    expected = {
        "team": "red",
        "https://example.org/agent": "/team/red/agent/planner/7",
        "groups": ["team-red", "agents"],
        "limits": {"calls": 20, "ratio": 0.5, "human": False},
        "hint": "planning",
        "registered": made.id,
    }
    assert own(decoded(domain, token)) == expected
    assert again == token, "the node agent keeps it as it is"
    assert own(MessageToDict(validated.claims)) == expected, "validation shows claims of the own trust domain"


def test_a_claim_without_a_value_is_left_out_and_the_first_rule_wins(domain):
    domain.entry("/team/blue/agent/x")
    domain.entry("/team/blue/tool")
    domain.wait_for_ids("/team/blue/agent/x", "/team/blue/tool")
    with domain.workload() as api:
        tokens = {svid.spiffe_id: svid.svid for svid in api.jwt_svid(["weather"]).svids}
    claims = own(decoded(domain, tokens[f"{domain.id}/team/blue/agent/x"]))
    assert claims["team"] == "blue" and claims["colour"] == "blue"
    assert "hint" not in claims
    assert own(decoded(domain, tokens[f"{domain.id}/team/blue/tool"])) == {}


def test_wit_svids_have_them_by_kind(domain):
    domain.entry("/team/blue/agent/x")
    domain.wait_for_ids("/team/blue/agent/x")
    with grpc.insecure_channel(f"unix:{domain.workload_socket}") as channel:
        published = keys(channel, domain)
        claims = own(check(first(fetch(channel)).svids[0], published))
    assert claims["team"] == "blue" and claims["groups"] == ["team-blue", "agents"]
    assert "colour" not in claims, "that rule is for JWT-SVIDs"


def test_minted_tokens_have_them_without_an_entry(domain):
    token = domain.cli("jwt", "mint", "-spiffeID", f"{domain.id}/team/red/agent/m", "-audience", "weather").stdout.strip()
    claims = own(decoded(domain, token))
    assert claims["team"] == "red"
    assert "registered" not in claims and "hint" not in claims


def test_a_required_claim_refuses_the_token_and_nothing_else(domain):
    domain.entry("/strict/without")
    domain.wait_for_ids("/strict/without")
    with domain.workload() as api:
        with pytest.raises(grpc.RpcError) as failure:
            api.jwt_svid(["weather"])
    assert failure.value.code() == grpc.StatusCode.UNAVAILABLE
    refused = domain.cli("jwt", "mint", "-spiffeID", f"{domain.id}/strict/m", "-audience", "weather", check=False)
    assert refused.returncode == 1 and "`purpose`" in refused.stderr
    domain.forget_entries()
    domain.entry("/strict/with", hint="billing")
    domain.wait_for_ids("/strict/with")
    with domain.workload() as api:
        assert own(decoded(domain, api.jwt_svid(["weather"]).svids[0].svid)) == {"purpose": "billing"}


def test_the_log_has_their_names_and_not_what_they_say(domain):
    domain.cli("jwt", "mint", "-spiffeID", f"{domain.id}/team/secretteam/agent/m", "-audience", "weather")
    listed = domain.cli("log", "list", "-type", "svid", "-count", "2", "-output", "json").stdout
    intent, outcome = [entry["event"] for entry in json.loads(listed)["entries"]]
    assert outcome["effect"]["result"]["claims"] == "groups https://example.org/agent limits team"
    assert "team-secretteam" not in listed


def test_x509_svids_are_as_they_were(domain):
    domain.entry("/team/red/agent/x")
    domain.wait_for_ids("/team/red/agent/x")
    with domain.workload() as api:
        svid = first(api.x509_svids()).svids[0]
    assert svid.spiffe_id == f"{domain.id}/team/red/agent/x"
    assert b"team-red" not in svid.x509_svid


def wrong(rule: str) -> str:
    return f"claims:\n  - for: /ok\n    add: {{fine: true}}\n  - {rule}\n"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (wrong("{for: /a, add: {sub: x}}"), ["rule 2", "`sub`"]),
        (wrong("{for: /a, add: {Aud: x}}"), ["rule 2", "`Aud`"]),
        (wrong("{for: /a, add: {may_act: {sub: x}}}"), ["rule 2", "`may_act`"]),
        (wrong("{for: /a, add: {tid: x}}"), ["rule 2", "`tid`"]),
        (wrong("{for: /a, add: {team: '{selectors}'}}"), ["rule 2", "`team`", "{selectors}"]),
        (wrong("{for: /a, add: {team: '{path[0]}'}}"), ["rule 2", "`team`"]),
        (wrong("{for: /a, add: {team: null}}"), ["rule 2", "`team`"]),
        (wrong("{for: /a, add: {team: 010}}"), ["rule 2", "`team`", "`010`"]),
        (wrong("{for: /a, add: {team: yes}}"), ["rule 2", "`team`", "`yes`"]),
        (wrong("{for: /a, add: {team: [12:30]}}"), ["rule 2", "`team`"]),
        (wrong("{for: /a, add: {team: !!binary aGk=}}"), ["rule 2", "`team`"]),
        (wrong("{for: /a, add: {team: [[[[[x]]]]]}}"), ["rule 2", "`team`"]),
        (wrong("{for: /a, add: {}}"), ["rule 2", "`add`"]),
        (wrong("{for: /a, add: 7}"), ["rule 2", "`add`"]),
        (wrong("{for: /a}"), ["rule 2", "`add`"]),
        (wrong("{add: {team: x}}"), ["rule 2", "`for`"]),
        (wrong("{for: spiffe://other.test/a, add: {team: x}}"), ["rule 2", "`for`"]),
        (wrong("{for: /a*, add: {team: x}}"), ["rule 2", "`for`"]),
        (wrong("{for: /a, kinds: [x509], add: {team: x}}"), ["rule 2", "`kinds`"]),
        (wrong("{for: /a, kinds: [], add: {team: x}}"), ["rule 2", "`kinds`"]),
        (wrong("{for: /a, required: maybe, add: {team: x}}"), ["rule 2", "`required`"]),
        (wrong("{for: /a, ad: {team: x}}"), ["rule 2", "`ad`"]),
        ("claims: {for: /a}\n", ["`claims`"]),
        ("claims:\n" + "  - {for: /a, add: {x: y}}\n" * 65, ["`claims`", "64"]),
        ("claims:\n  - {for: /a, add: {x: " + "a" * 1025 + "}}\n", ["rule 1", "`x`"]),
    ],
)  # fmt: skip
def test_a_wrong_rule_is_named_at_validation_and_at_start(tmp_path, text, named):
    file = tmp_path / "agentshield.yaml"
    file.write_text(f"server:\n  trust_domain: bad.test\n  data_dir: {tmp_path}/data\n" + text)
    for command in (["validate"], ["server", "run"]):
        refused = run_cli(*command, "-config", file, check=False, timeout=10)
        assert refused.returncode == 1
        (line,) = refused.stderr.strip().splitlines()
        assert all(word in line for word in [*named, str(file)]), line
    assert not (tmp_path / "data").exists()


def test_a_good_file_is_valid(tmp_path):
    file = tmp_path / "agentshield.yaml"
    file.write_text("server:\n  trust_domain: good.test\n" + RULES)
    assert "is valid" in run_cli("validate", "-config", file).stdout
