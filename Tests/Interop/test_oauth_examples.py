"""The examples of `Examples/python/oauth`, run as their README says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from harness.domain import run_cli, start_up
from harness.polling import eventually
from harness.ports import free_port
from harness.tokens import AZURE_AUDIENCE, Tokens

EXAMPLES = Path(__file__).resolve().parents[2] / "Examples" / "python" / "oauth"
SCOPE = "AI.Task.Execute"


@pytest.fixture(scope="module")
def tokens():
    port = free_port()
    domain = start_up("oauth-examples.test", extra=["-httpsPort", str(port), "-jwtIssuer", f"https://localhost:{port}"])
    try:
        tokens = Tokens(domain)
        folder = domain.folder / "svid"
        tokens.caller = tokens.agent("agent-a", "-tokenDir", str(folder))
        tokens.federate(tokens.caller)
        for resource, profile in (("api://agent-b", "entra"), ("api://agent-c", "standard")):
            tokens.resource(resource, SCOPE, "AI.Task.Read", profile=profile)
            tokens.grant(tokens.caller, resource, SCOPE)
        domain.entry("/agent-a", jwt_svid_ttl=3600)
        domain.wait_for_ids("/agent-a")
        run_cli("svid", "watch", "-dir", folder, "-jwtAudience", AZURE_AUDIENCE, "-once", "-socketPath", domain.workload_socket)
        yield tokens
        assert domain.stop() == [0]
    finally:
        domain.discard()


def environment(tokens) -> dict:
    """What `identity create` and `agentshield env` print."""
    authorities = {"SSL_CERT_FILE": str(tokens.roots), "REQUESTS_CA_BUNDLE": str(tokens.roots)}
    return {**os.environ, **tokens.caller.environment, **authorities, "SPIFFE_ENDPOINT_SOCKET": tokens.domain.endpoint}


@pytest.fixture(scope="module")
def agents(tokens):
    """`agent_fastapi.py` twice: one that takes tokens in Entra's form, one that takes our own."""
    domain = tokens.domain
    domain.cli("x509", "mint", "-spiffeID", f"{domain.id}/agent-b", "-dns", "localhost", "-write", domain.folder)
    started, urls = [], []
    try:
        for issuer, audience in ((tokens.entra_issuer, "api://agent-b"), (tokens.issuer, "api://agent-c")):
            output = open(domain.folder / f"{len(started)}.out", "w+")
            started.append(
                subprocess.Popen(
                    [sys.executable, EXAMPLES / "agent_fastapi.py", "--issuer", issuer, "--audience", audience, "--port", "0",
                     "--cert", domain.folder / "svid.pem", "--key", domain.folder / "key.pem"],
                    env=environment(tokens), stdout=output,
                )  # fmt: skip
            )
        for number in range(len(started)):
            text = eventually((domain.folder / f"{number}.out").read_text, "the agent listens", within=30)
            urls.append(json.loads(text)["listening"])
        yield urls
    finally:
        for process in started:
            process.terminate()
            process.wait(15)


def run(tokens, program: str, *options: str) -> tuple[int, list[dict], str]:
    done = subprocess.run(
        [sys.executable, EXAMPLES / program, *options], env=environment(tokens), capture_output=True, text=True, timeout=60
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_azure_identity_is_served(tokens, agents):
    code, lines, errors = run(tokens, "caller_azure.py", "--agent", agents[0])
    caller = tokens.caller.spiffe_id
    assert code == 0, errors
    assert lines == [{"status": 200, "done": True, "for": caller, "called_by": caller}]


def test_authlib_is_served(tokens, agents):
    code, lines, errors = run(
        tokens, "caller_authlib.py", "--issuer", tokens.issuer, "--agent", agents[1], "--resource", "api://agent-c"
    )
    assert code == 0, errors
    assert lines == [{"status": 200, "done": True, "for": tokens.caller.spiffe_id, "called_by": tokens.caller.spiffe_id}]


def test_a_bound_token_is_refused_by_an_agent_that_checks_no_proofs(tokens, agents):
    code, lines, errors = run(
        tokens, "caller_dpop.py", "--issuer", tokens.issuer, "--agent", agents[1], "--resource", "api://agent-c"
    )
    assert code == 0, errors
    assert lines == [{"token_type": "DPoP", "bound_to_our_key": True}, {"status": 401, "detail": lines[1]["detail"]}]


def test_the_agent_refuses_everything_else(tokens, agents):
    """No token, tokens for others, tokens of the other issuer, SVIDs, too little scope"""
    reader = tokens.agent("reader")
    for resource in ("api://agent-b", "api://agent-c"):
        tokens.grant(reader, resource, "AI.Task.Read")

    def token(agent, resource: str) -> str:
        form = {"grant_type": "client_credentials", "resource": resource, "client_id": agent.client_id,
                "client_assertion": tokens.jwt_svid(agent, tokens.issuer),
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}  # fmt: skip
        with tokens.web() as web:
            return web.post("/oauth2/token", data=form).json()["access_token"]

    good = token(tokens.caller, "api://agent-b")
    head, _, signature = good.rpartition(".")
    with httpx.Client(verify=tokens.context, trust_env=False) as web:
        url = f"{agents[0]}/api/task"

        def status(text: str | None) -> int:
            return web.post(url, headers={"authorization": f"Bearer {text}"} if text else {}).status_code

        assert status(good) == 200
        assert status(None) in (401, 403)
        others = (tokens.jwt_svid(tokens.caller, "api://agent-b"), token(tokens.caller, "api://agent-c"))
        for text in (f"{head}.{signature[::-1]}", "nonsense", "a.b.c", *others):
            assert status(text) == 401, text
        assert status(token(reader, "api://agent-b")) == 403


def test_callers_say_why_they_have_no_token(tokens, agents):
    code, lines, errors = run(tokens, "caller_azure.py", "--agent", agents[0], "--scope", "api://nowhere/.default")
    assert (code, lines) == (1, []) and "invalid_target" in errors
    options = ("--issuer", tokens.issuer, "--resource", "api://nowhere")
    for program in ("caller_authlib.py", "caller_dpop.py"):
        code, lines, errors = run(tokens, program, *options)
        assert (code, lines) == (1, []) and "invalid_target" in errors, errors
