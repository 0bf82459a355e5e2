"""The agent directory over the command line: a life from blueprint to retirement, restarts, and what is refused."""

import hashlib
import json
import os
import re
import sqlite3
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from harness.domain import run_cli
from harness.polling import eventually
from stage.deployment import Deployment, log_events

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
AUDIENCE = "api://AzureADTokenExchange"
ISSUER = "https://issuer.example"


@pytest.fixture(scope="module")
def domain():
    domain = Deployment("identities.test")
    domain.start_server()
    yield domain
    domain.discard()


@pytest.fixture(scope="module")
def agent(domain) -> dict:
    """An agent that most tests need."""
    return create(domain, "shared")


def create(domain, name: str, *flags: str) -> dict:
    return domain.cli_json("identity", "create", "-name", name, "-spiffeID", f"{domain.id}/{name}", "-owner", "ops@example.org",
                           "-sponsor", "lead@example.org", *flags)  # fmt: skip


def refusal(domain, *words: object) -> str:
    """What is refused ends with 1 and one line, and prints nothing else."""
    result = domain.cli(*words, check=False)
    assert result.returncode == 1, result.stdout + result.stderr
    assert result.stdout == ""
    (line,) = result.stderr.strip().splitlines()
    return line


def public_pem(key) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def test_a_life_from_blueprint_to_retirement_is_kept_over_restarts_and_told_by_the_log(domain):
    blueprint = domain.cli_json("blueprint", "create", "-name", "reader", "-sponsor", "boss@example.org", "-scope", "read",
                                "-scope", "list", "-audience", "api://agent-b")  # fmt: skip
    assert "client_secret" not in blueprint["credential_kinds"], "a shared secret has to be asked for"
    made = domain.cli_json("identity", "create", "--name", "agent-a", "--spiffe-id", f"{domain.id}/agent-a", "--owner", "ops",
                           "--blueprint", "reader", "--expiresIn", "90d")  # fmt: skip
    assert UUID.fullmatch(made["clientId"])
    assert made["tenantId"] == "identities.test" and made["spiffeId"] == f"{domain.id}/agent-a"
    address = made["environment"]["AZURE_AUTHORITY_HOST"]
    assert address == f"https://localhost:{domain.https_port}" and made["issuer"] == address + "/oauth2"
    assert made["environment"]["AZURE_CLIENT_ID"] == made["clientId"]
    assert made["environment"]["AZURE_TENANT_ID"] == "identities.test"
    assert made["environment"]["AZURE_FEDERATED_TOKEN_FILE"].endswith("/jwt_svid.token")
    assert made["identity"]["sponsor"] == "boss@example.org", "the blueprint's"
    assert abs(int(made["identity"]["expires_at"]) - time.time() - 90 * 86400) < 60
    domain.cli("resource", "create", "-id", "api://agent-b", "-scope", "read", "-scope", "write")
    grant = domain.cli_json("grant", "create", "-agent", f"{domain.id}/agent-a", "-resource", "api://agent-b", "-scope", "read")
    domain.cli("federated-credential", "create", "-id", made["clientId"], "-parameters",
               json.dumps({"name": "k8s", "issuer": ISSUER, "subject": "agent-a", "audiences": [AUDIENCE], "description": "d"}))  # fmt: skip
    before = domain.cli_json("identity", "show", "-id", "agent-a")
    domain.end(domain.server)
    domain.start_server()
    for name in ("agent-a", made["clientId"], f"{domain.id}/agent-a"):
        assert domain.cli_json("identity", "show", "-id", name) == before
    assert domain.cli_json("grant", "list", "-agent", "agent-a")["grants"] == [grant]
    assert domain.cli_json("identity", "disable", "-id", "agent-a", "-reason", "odd calls")["state"] == "disabled"
    assert domain.cli_json("identity", "enable", "-id", "agent-a")["state"] == "enabled"
    retired = domain.cli_json("identity", "retire", "-id", "agent-a", "-reason", "replaced")
    assert retired["state"] == "retired" and retired["federated_credentials"] == []
    domain.end(domain.server)
    domain.start_server()
    assert domain.cli_json("identity", "show", "-id", made["clientId"]) == retired
    assert "agent not found" in refusal(domain, "identity", "show", "-id", "agent-a")
    assert domain.cli_json("grant", "list")["grants"] == []
    again = create(domain, "agent-a")
    assert again["clientId"] != made["clientId"]
    events = [entry["event"] for entry in log_events(domain)]
    outcomes = [(event["type"], event["resource"]["id"]) for event in events if event.get("phase") == "outcome"]
    for kind in ("identity.create", "federated_credential.create", "identity.disable", "identity.enable", "identity.retire"):
        assert (kind, made["clientId"]) in outcomes
    (disabled,) = [event for event in events if event["type"] == "identity.disable" and event["phase"] == "outcome"]
    assert disabled["remediation"]["cause"] == "odd calls"
    assert disabled["agent"]["peer"]["uid"] == os.getuid()


def test_who_is_retired_after_being_disabled_loses_its_entries_and_its_revocation_gets_an_end(domain):
    create(domain, "leaving")
    identity = f"{domain.id}/leaving"
    domain.cli("entry", "create", "-spiffeID", identity, "-parentID", f"{domain.id}/node", "-selector", "unix:uid:1")

    def revocation() -> dict:
        return {item["value"]: item for item in domain.cli_json("revoke", "list")["items"]}.get(identity, {})

    domain.cli("identity", "disable", "-id", "leaving")
    eventually(lambda: revocation().get("reason") == "identity disabled", "a disabled agent is revoked")
    domain.cli("identity", "retire", "-id", "leaving")
    ended = eventually(lambda: revocation().get("reason") == "identity retired" and revocation(), "the revocation is replaced")
    assert int(ended["expires_at"]) > time.time()
    eventually(
        lambda: identity not in domain.cli("entry", "show", "-spiffeID", identity).stdout, "a retired agent's entries are deleted"
    )


def test_a_secret_is_printed_once_and_kept_as_digest_only(domain, agent):
    made = domain.cli_json("client-credential", "create", "-id", "shared", "-secret", "-expiresIn", "30d")
    secret = made["secret"]
    assert len(secret) == 43 and made["credential"]["kind"] == "client_secret"
    listed = domain.cli("client-credential", "list", "-id", "shared", "-output", "json").stdout
    assert made["credential"]["id"] in listed and secret not in listed
    digest = hashlib.sha256(secret.encode()).digest()
    everything = json.dumps(log_events(domain)) + domain.server.log(100_000)
    assert secret not in everything and digest.hex() not in everything
    for file in domain.data.rglob("*"):
        if file.is_file():
            assert secret.encode() not in file.read_bytes(), file
    domain.cli("client-credential", "delete", "-id", "shared", "-credentialID", made["credential"]["id"])
    assert made["credential"]["id"] not in domain.cli("client-credential", "list", "-id", "shared").stdout


def test_keys_and_certificates_are_registered_by_what_is_public(domain, agent):
    folder = domain.folder
    for name, key in (("p256", ec.generate_private_key(ec.SECP256R1())), ("p384", ec.generate_private_key(ec.SECP384R1())),
                      ("rsa", rsa.generate_private_key(65537, 2048))):  # fmt: skip
        (folder / name).write_bytes(public_pem(key))
        made = domain.cli_json("client-credential", "create", "-id", "shared", "-key", folder / name)
        assert made["credential"]["kind"] == "private_key_jwt" and "secret" not in made
        assert "already" in refusal(domain, "client-credential", "create", "-id", "shared", "-key", folder / name)
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "jwk").write_text(json.dumps(json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))))
    domain.cli("client-credential", "create", "-id", "shared", "-key", folder / "jwk")
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for name, text in (("private", private), ("private.jwk", json.dumps(json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key))).encode())):
        (folder / name).write_bytes(text)
        assert "holds a private key" in refusal(domain, "client-credential", "create", "-id", "shared", "-key", folder / name)
    (folder / "ed").write_bytes(public_pem(ed25519.Ed25519PrivateKey.generate()))
    assert "rsa from 2048 bits" in refusal(domain, "client-credential", "create", "-id", "shared", "-key", folder / "ed")
    assert "exactly one of" in refusal(domain, "client-credential", "create", "-id", "shared")
    assert "exactly one of" in refusal(domain, "client-credential", "create", "-id", "shared", "-secret", "-key", folder / "p256")
    made = domain.cli_json("client-credential", "create", "-id", "shared", "-certificateDNS", "a.example.org")
    assert made["credential"]["kind"] == "tls_client_auth" and made["credential"]["value"] == "a.example.org"


@pytest.fixture(scope="module")
def federated(domain) -> str:
    create(domain, "federated")
    domain.cli("federated-credential", "create", "-id", "federated", "-name", "one", "-issuer", ISSUER, "-subject", "sub-1")
    expression = {"value": "claims['sub'] matches 'repo:acme/*' and claims['repository_id'] eq '42'", "languageVersion": 1}
    file = domain.folder / "github.json"
    file.write_text(json.dumps({"name": "github", "issuer": "https://token.actions.githubusercontent.com", "subject": None,
                                "audiences": [AUDIENCE], "claimsMatchingExpression": expression}))  # fmt: skip
    domain.cli("federated-credential", "create", "-id", "federated", "-parameters", f"@{file}")
    return "federated"


class TestFederatedCredential:
    def tried(self, domain, agent: str, claims: dict, headers: dict | None = None, key=None) -> tuple[int, dict]:
        """What `federated-credential test` says to a token."""
        times = {"exp": int(time.time()) + 600, "iat": int(time.time())}
        token = jwt.encode({**times, **claims}, key or ec.generate_private_key(ec.SECP256R1()), "ES256", headers=headers)
        return self.tried_text(domain, agent, token)

    def tried_text(self, domain, agent: str, token: str) -> tuple[int, dict]:
        file = domain.folder / "assertion.jwt"
        file.write_text(token)
        result = domain.cli("federated-credential", "test", "-id", agent, "-assertion", file, "-output", "json", check=False)
        return result.returncode, json.loads(result.stdout)

    def finding(self, report: dict, name: str, credential: str | None = None) -> str | None:
        """Why a check failed, or None."""
        lines = report["token"]
        if credential:
            (one,) = [one for one in report["credentials"] if one["name"] == credential]
            lines = one["checks"]
        (line,) = [line for line in lines if line["check"] == name]
        return None if line["ok"] else line["detail"]

    def test_a_token_that_matches(self, domain, federated):
        code, report = self.tried(domain, federated, {"iss": ISSUER, "sub": "sub-1", "aud": AUDIENCE})
        assert code == 0 and report["usable"]
        assert {one["name"]: one["matches"] for one in report["credentials"]} == {"one": True, "github": False}
        (signature,) = [line for line in report["token"] if line["check"] == "signature"]
        assert signature["detail"] == "not checked here"

    def test_white_space_around_a_token_does_not_matter(self, domain, federated):
        token = jwt.encode({"iss": ISSUER, "sub": "sub-1", "aud": AUDIENCE, "exp": time.time() + 60},
                           ec.generate_private_key(ec.SECP256R1()), "ES256")  # fmt: skip
        assert self.tried_text(domain, federated, f" {token}\n")[0] == 0

    @pytest.mark.parametrize(
        ("claims", "name", "said"),
        [
            ({"iss": ISSUER + "/"}, "iss", "only a slash at the end differs"),
            ({"iss": "https://ISSUER.example"}, "iss", "only upper and lower case differs"),
            ({"iss": "https://other.example"}, "iss", "is \"https://other.example\"; the credential wants"),
            ({"sub": " sub-1"}, "sub", "only white space"),
            ({"sub": "sub-2"}, "sub", "the credential wants \"sub-1\""),
            ({"aud": "api://other"}, "aud", "the credential wants"),
            ({"aud": [AUDIENCE, "other"]}, "aud", "2 audiences"),
            ({"aud": None}, "aud", "missing"),
        ],
    )
    def test_what_does_not_match_is_named(self, domain, federated, claims, name, said):
        claims = {"iss": ISSUER, "sub": "sub-1", "aud": AUDIENCE, **claims}
        code, report = self.tried(domain, federated, {name: value for name, value in claims.items() if value is not None})
        assert code == 1 and not report["usable"]
        assert said in self.finding(report, name, "one")

    @pytest.mark.parametrize(
        ("claims", "headers", "check", "said"),
        [
            ({"exp": 1000}, None, "times", "expired at 1970-01-01T00:16:40"),
            ({"nbf": int(time.time()) + 3600}, None, "times", "not valid before"),
            ({"iat": int(time.time()) + 3600}, None, "times", "future"),
            ({}, {"typ": "at+jwt"}, "typ", "another kind of token"),
            ({}, {"jku": "https://evil.example"}, "form", "jku"),
        ],
    )
    def test_a_token_that_matches_and_is_refused_all_the_same(self, domain, federated, claims, headers, check, said):
        code, report = self.tried(domain, federated, {"iss": ISSUER, "sub": "sub-1", "aud": AUDIENCE, **claims}, headers)
        assert code == 1 and not report["usable"]
        assert said in self.finding(report, check)

    def test_conditions_are_told_one_by_one(self, domain, federated):
        claims = {"iss": "https://token.actions.githubusercontent.com", "sub": "repo:acme/site:ref:refs/heads/main",
                  "aud": AUDIENCE, "repository_id": "42"}  # fmt: skip
        assert self.tried(domain, federated, claims)[0] == 0
        code, report = self.tried(domain, federated, {**claims, "repository_id": "43"})
        assert code == 1
        assert self.finding(report, "sub", "github") is None
        assert "the expression wants \"42\"" in self.finding(report, "repository_id", "github")

    def test_algorithms_that_nobody_takes(self, domain, federated):
        claims = {"iss": ISSUER, "sub": "sub-1", "aud": AUDIENCE, "exp": time.time() + 60}
        for token in (jwt.encode(claims, "x" * 64, "HS256"), jwt.encode(claims, None, "none") + "AA"):
            code, report = self.tried_text(domain, federated, token)
            assert code == 1 and self.finding(report, "form")

    def test_the_signature_of_an_own_token_is_checked(self, domain, federated):
        sub = f"{domain.id}/federated"
        domain.cli("federated-credential", "create", "-id", "federated", "-name", "own", "-issuer", ISSUER, "-subject", sub)
        code, report = self.tried(domain, federated, {"iss": ISSUER, "sub": sub, "aud": AUDIENCE}, {"kid": "made-up"})
        assert code == 1 and "no key of this trust domain" in self.finding(report, "signature")
        token = domain.cli_json("jwt", "mint", "-spiffeID", sub, "-audience", AUDIENCE)["svid"]["token"]
        code, report = self.tried_text(domain, federated, token)
        assert self.finding(report, "signature") is None
        # This control plane was given no issuer.
        assert code == 1 and "missing" in self.finding(report, "iss", "own")

    def test_the_id_of_a_trust_domain_stands_for_its_svids_with_issuer_and_without(self, domain, agent):
        sub = f"{domain.id}/shared"
        domain.cli("federated-credential", "create", "-id", "shared", "-name", "td", "-issuer", domain.id, "-subject", sub)
        token = domain.cli_json("jwt", "mint", "-spiffeID", sub, "-audience", AUDIENCE)["svid"]["token"]
        code, report = self.tried_text(domain, "shared", token)
        assert code == 0 and report["usable"], report
        other = domain.cli_json("jwt", "mint", "-spiffeID", f"{domain.id}/other", "-audience", AUDIENCE)["svid"]["token"]
        code, report = self.tried_text(domain, "shared", other)
        assert code == 1 and self.finding(report, "iss", "td") is None and self.finding(report, "sub", "td")

    def test_a_disabled_agent_has_no_credential(self, domain, federated):
        domain.cli("identity", "disable", "-id", federated)
        code, report = self.tried(domain, federated, {"iss": ISSUER, "sub": "sub-1", "aud": AUDIENCE})
        domain.cli("identity", "enable", "-id", federated)
        assert code == 1 and self.finding(report, "agent") == "is disabled"

    @pytest.mark.parametrize("text", ["", "a.b", "a.b.c.d", "!.!.!", "e30.W10.AA", "e30.e30"])
    def test_what_is_no_token_at_all(self, domain, federated, text):
        file = domain.folder / "assertion.jwt"
        file.write_text(text)
        assert "-assertion: " in refusal(domain, "federated-credential", "test", "-id", federated, "-assertion", file)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"audience": ["x"]}, "unknown member `audience`"),
            ({"name": None}, "`name` is missing"),
            ({"issuer": 7}, "`issuer` is not a text"),
            ({"subject": None}, "exactly one of"),
            ({"claimsMatchingExpression": {"value": "claims['sub'] eq 'x'", "languageVersion": 1}}, "exactly one of"),
            ({"audiences": "x"}, "`audiences`"),
            ({"issuer": "http://issuer.example"}, "https url"),
            ({"name": "-x"}, "a name has"),
            ({"name": "one", "subject": "other"}, "of this name"),
            ({"name": "other"}, "this issuer and subject"),
        ],
    )
    def test_parameters_that_are_refused(self, domain, federated, change, said):
        parameters = {"name": "new", "issuer": ISSUER, "subject": "sub-1", "audiences": [AUDIENCE], **change}
        parameters = {name: value for name, value in parameters.items() if value is not None}
        assert said in refusal(domain, "federated-credential", "create", "-id", federated, "-parameters", json.dumps(parameters))

    @pytest.mark.parametrize(
        ("expression", "said"),
        [
            ({"value": "claims['sub'] eq 'x'", "languageVersion": 2}, "languageVersion"),
            ({"value": "claims['sub'] eq 'x'", "other": 1}, "claimsMatchingExpression"),
            ({"value": "claims['email'] eq 'x'", "languageVersion": 1}, "an expression is"),
            ({"value": "claims['sub'] matches '*'", "languageVersion": 1}, "repository_id"),
        ],
    )
    def test_expressions_that_are_refused(self, domain, federated, expression, said):
        parameters = {"name": "new", "issuer": "https://token.actions.githubusercontent.com", "audiences": [AUDIENCE],
                      "claimsMatchingExpression": expression}  # fmt: skip
        assert said in refusal(domain, "federated-credential", "create", "-id", federated, "-parameters", json.dumps(parameters))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["identity", "create", "-name", "x", "-spiffeID", "TD/x", "-sponsor", "s"], "needs an owner"),
        (["identity", "create", "-name", "x", "-spiffeID", "TD/x", "-owner", "o"], "needs a sponsor"),
        (["identity", "create", "-name", "x y", "-spiffeID", "TD/x", "-owner", "o"], "a name has"),
        (["identity", "create", "-name", "x", "-spiffeID", "x", "-owner", "o"], "-spiffeID"),
        (["identity", "create", "-name", "x", "-spiffeID", "spiffe://other.test/x", "-owner", "o", "-sponsor", "s"], "trust domain"),
        (["identity", "create", "-name", "x", "-spiffeID", "TD/spire/x", "-owner", "o", "-sponsor", "s"], "/spire"),
        (["identity", "create", "-name", "shared", "-spiffeID", "TD/x", "-owner", "o", "-sponsor", "s"], "name is taken"),
        (["identity", "create", "-name", "x", "-spiffeID", "TD/shared", "-owner", "o", "-sponsor", "s"], "spiffe id"),
        (["identity", "create", "-name", "x", "-spiffeID", "TD/x", "-owner", "o", "-blueprint", "none"], "blueprint not found"),
        (["identity", "create", "-name", "x", "-spiffeID", "TD/x", "-owner", "o", "-expiresIn", "soon"], "-expiresIn"),
        (["identity", "create", "-name", "x", "-spiffeID", "TD/x", "-owner", "o", "-expiresAt", "2020-01-01T00:00:00Z", "-sponsor", "s"],
         "not in the future"),
        (["identity", "update", "-id", "shared", "-expiresIn", "1d", "-neverExpires"], "-neverExpires"),
        (["identity", "list", "-state", "gone"], "`state`"),
        (["resource", "create", "-id", "agent-b"], "absolute uri"),
        (["resource", "create", "-id", "api://x", "-tokenTTL", "2h"], "60 to 3600 seconds"),
        (["resource", "create", "-id", "api://x", "-profile", "other"], "`standard`, `entra`"),
        (["resource", "delete", "-id", "api://none"], "resource not found"),
        (["blueprint", "create", "-name", "x", "-sponsor", "s", "-credential", "password"], "`client_secret`"),
        (["blueprint", "update", "-id", "none"], "blueprint not found"),
        (["grant", "create", "-agent", "shared", "-resource", "api://none", "-scope", "x"], "resource not found"),
        (["grant", "delete", "-id", "none"], "grant not found"),
    ],
)
def test_bad_input_is_refused_with_its_reason(domain, agent, words, said):
    words = [word.replace("TD/", f"{domain.id}/") for word in words]
    assert said in refusal(domain, *words)


def test_what_a_blueprint_does_not_allow_no_grant_gives(domain):
    domain.cli("blueprint", "create", "-name", "narrow", "-sponsor", "s", "-scope", "read", "-audience", "api://narrow")
    create(domain, "narrow", "-blueprint", "narrow")
    domain.cli("resource", "create", "-id", "api://narrow", "-scope", "read write")
    domain.cli("resource", "create", "-id", "api://wide", "-scope", "read")
    grant = ["grant", "create", "-agent", "narrow"]
    assert "scopes `write`" in refusal(domain, *grant, "-resource", "api://narrow", "-scope", "read write")
    assert "does not allow the resource" in refusal(domain, *grant, "-resource", "api://wide", "-scope", "read")
    assert "no scopes `fly`" in refusal(domain, *grant, "-resource", "api://narrow", "-scope", "fly")
    impersonation = [*grant, "-resource", "api://narrow", "-scope", "read", "-use", "impersonation"]
    assert "expressly" in refusal(domain, *impersonation)
    made = domain.cli_json(*impersonation, "-allowImpersonation")
    assert "grants name the resource: 1" in refusal(domain, "resource", "delete", "-id", "api://narrow")
    assert "made from the blueprint: 1" in refusal(domain, "blueprint", "delete", "-id", "narrow")
    assert "client_secret" in refusal(domain, "client-credential", "create", "-id", "narrow", "-secret")
    domain.cli("grant", "delete", "-id", made["id"])
    domain.cli("resource", "delete", "-id", "api://narrow")


def test_ended_grants_go_by_themselves(domain, agent):
    domain.cli("resource", "create", "-id", "api://short", "-scope", "read")
    domain.cli("grant", "create", "-agent", "shared", "-resource", "api://short", "-scope", "read", "-expiresIn", "1s")
    deadline = time.monotonic() + 30
    while domain.cli_json("grant", "list", "-resource", "api://short")["grants"]:
        assert time.monotonic() < deadline, "it is still there"
        time.sleep(0.3)


def test_a_damaged_record_keeps_the_control_plane_from_starting(domain):
    create(domain, "damaged")
    domain.end(domain.server)
    with sqlite3.connect(domain.data / "registry.sqlite") as database:
        (kept,) = database.execute("SELECT body FROM directory_record WHERE CAST(body AS TEXT) LIKE '%\"damaged\"%'").fetchone()
        database.execute("UPDATE directory_record SET body = replace(CAST(body AS TEXT), '\"state\"', '\"stat\"') WHERE body = ?", (kept,))
    result = run_cli("server", "run", "-dataDir", domain.data, "-trustDomain", domain.name, "-socketPath", domain.folder / "b.sock",
                     "-serverPort", "0", "-httpsPort", "0", check=False)  # fmt: skip
    assert result.returncode == 1 and "the stored agent" in result.stderr
    with sqlite3.connect(domain.data / "registry.sqlite") as database:
        database.execute("UPDATE directory_record SET body = ? WHERE CAST(body AS TEXT) LIKE '%\"damaged\"%'", (kept,))
    domain.start_server()
    assert domain.cli_json("identity", "show", "-id", "damaged")["state"] == "enabled"
