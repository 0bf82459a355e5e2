"""The agent registry with stock clients: httpx as the article's snippet has it, and the resolver of a2a-sdk."""

import asyncio
import hashlib
import json
import os
import re
import threading

import httpx
import pytest
from a2a.client import A2ACardResolver
from fastapi import FastAPI, Response
from google.protobuf.json_format import MessageToJson
from harness import domain as shield
from harness.domain import CommandFailed
from harness.polling import eventually
from harness.service import serving
from harness.tokens import Agent, Tokens
from harness.web import WebCA

from a2a.types import AgentCard

IDENTITY = "https://agentshield.dev/a2a/identity/v1"
APPROVER = "ann@example.org"


def card(spiffe_id: str | None, name: str = "Financial Analysis Agent", version: str = "2.1.0", **changes) -> dict:
    extensions = []
    if spiffe_id is not None:
        domain = spiffe_id.removeprefix("spiffe://").split("/")[0]
        extensions = [{"uri": IDENTITY, "params": {"spiffeId": spiffe_id, "trustDomain": domain}}]
    return {
        "name": name, "description": "Analyses portfolios", "version": version,
        "supportedInterfaces": [
            {"url": "https://agent-a.example.org/rpc", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"},
            {"url": "https://agent-a.example.org/a2a/", "protocolBinding": "HTTP+JSON", "protocolVersion": "1.0"},
        ],
        "capabilities": {"streaming": True, "extensions": extensions},
        "securitySchemes": {
            "tokens": {"oauth2SecurityScheme": {"flows": {"clientCredentials": {
                "tokenUrl": "https://auth.example.org/token", "scopes": {"finance.read": "Reads", "finance.analyze": "Analyses"}}}}},
        },
        "securityRequirements": [{"schemes": {"tokens": {"list": ["finance.read", "finance.analyze"]}}}],
        "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
        "skills": [
            {"id": "portfolio_analysis", "name": "Portfolio analysis", "description": "Ratios", "tags": ["finance"],
             "examples": ["What is the Sharpe ratio of port-abc?", "How risky is port-abc?"]},
            {"id": "risk_scoring", "name": "Risk scoring", "description": "Scores", "tags": ["finance", "risk"]},
        ],
        **changes,
    }  # fmt: skip


def encoded(card: dict) -> bytes:
    """Not canonical on purpose: what is given out has to be these bytes."""
    return json.dumps(card, indent=1, ensure_ascii=False).encode()


class Registry:
    def __init__(self, tokens: Tokens):
        self.tokens, self.domain = tokens, tokens.domain
        self.made: dict[str, tuple[Agent, tuple]] = {}

    def agent(self, name: str) -> tuple[Agent, tuple]:
        """An agent of the directory and the files of its X.509-SVID."""
        if name not in self.made:
            agent = self.tokens.agent(name)
            folder = self.domain.folder / f"svid-{name}"
            folder.mkdir()
            self.made[name] = (agent, self.tokens.x509_svid(agent, folder))
        return self.made[name]

    def web(self, name: str | None = None) -> httpx.Client:
        return self.tokens.web(self.agent(name)[1] if name else None)

    def put(self, name: str, body: bytes, by: str | None = None, **parameters) -> httpx.Response:
        with self.web(by or name) as web:
            return web.put(f"/agents/{name}", params=parameters, content=body, headers={"Content-Type": "application/json"})

    def active(self, name: str, /, visibility: str = "public", **changes) -> bytes:
        """Registers, approves, and gives the bytes of the card."""
        body = encoded(card(self.agent(name)[0].spiffe_id, **changes))
        answer = self.put(name, body, visibility=visibility)
        assert answer.status_code in (200, 201), answer.text
        self.approve(name, body)
        return body

    def approve(self, name: str, body: bytes) -> None:
        self.domain.cli("registry", "approve", "-name", name, "-digest", hashlib.sha256(body).hexdigest())

    def get(self, path: str, by: str | None = None, **options) -> httpx.Response:
        with self.web(by) as web:
            return web.get(path, **options)


@pytest.fixture(scope="module")
def registry():
    domain = shield.start_up("a2a-registry.test", extra=["-socketApprover", f"{os.geteuid()} {APPROVER}"])
    try:
        yield Registry(Tokens(domain))
        assert domain.stop() == [0]
    finally:
        domain.discard()


def test_an_agent_registers_with_its_svid_and_clients_discover_it_as_the_article_does(registry):
    body = encoded(card(registry.agent("agent-b")[0].spiffe_id))
    answer = registry.put("agent-b", body, visibility="public")
    assert answer.status_code == 201 and answer.json()["state"] == "pending"
    assert registry.get("/agents/agent-b").status_code == 404
    registry.approve("agent-b", body)

    async def discover():
        async with httpx.AsyncClient(verify=registry.tokens.context, trust_env=False) as client:
            response = await client.get(f"{registry.tokens.base}/agents/agent-b")
            return response.json()

    agent_card = asyncio.run(discover())
    assert agent_card["authentication"]["type"] == "oauth2"
    assert {name: agent_card[name] for name in ("agentId", "name", "version", "capabilities", "authentication", "endpoints")} == {
        "agentId": "spiffe://a2a-registry.test/agent-b", "name": "Financial Analysis Agent", "version": "2.1.0",
        "capabilities": ["portfolio_analysis", "risk_scoring"],
        "authentication": {"type": "oauth2", "tokenEndpoint": "https://auth.example.org/token", "scopes": ["finance.read", "finance.analyze"]},
        "endpoints": {"task": "https://agent-a.example.org/a2a/task", "status": "https://agent-a.example.org/a2a/status"},
    }  # fmt: skip
    assert agent_card["card"]["digest"] == "sha-256:" + hashlib.sha256(body).hexdigest()


def test_a_registry_address_is_a_base_address_for_the_sdk(registry):
    registry.active("for-sdk")

    async def resolve(base: str) -> AgentCard:
        async with httpx.AsyncClient(verify=registry.tokens.context, trust_env=False) as client:
            return await A2ACardResolver(client, base).get_agent_card()

    found = asyncio.run(resolve(f"{registry.tokens.base}/agents/for-sdk"))
    assert (found.name, found.version) == ("Financial Analysis Agent", "2.1.0")
    assert [skill.id for skill in found.skills] == ["portfolio_analysis", "risk_scoring"]
    assert found.capabilities.extensions[0].params["spiffeId"] == registry.agent("for-sdk")[0].spiffe_id


def test_a_card_that_the_sdk_wrote_is_registered(registry):
    message = AgentCard(name="SDK agent", description="x", version="1")
    message.supported_interfaces.add(url="https://sdk.example.org", protocol_binding="JSONRPC", protocol_version="1.0")
    extension = message.capabilities.extensions.add(uri=IDENTITY)
    extension.params.update({"spiffeId": registry.agent("by-sdk")[0].spiffe_id, "trustDomain": "a2a-registry.test"})
    body = MessageToJson(message).encode()
    assert registry.put("by-sdk", body, visibility="public").status_code == 201
    registry.approve("by-sdk", body)
    assert registry.get("/agents/by-sdk").json()["authentication"] == {"type": "none"}


def test_the_card_is_the_registered_bytes_with_an_etag(registry):
    body = registry.active("tagged")
    path = "/agents/tagged/.well-known/agent-card.json"
    answer = registry.get(path)
    assert answer.content == body
    tag = answer.headers["etag"]
    assert tag == f'"{hashlib.sha256(body).hexdigest()}"' and answer.headers["cache-control"] == "public, no-cache"
    for value in (tag, f'"other", W/{tag}', "*"):
        again = registry.get(path, headers={"If-None-Match": value})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert registry.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
    assert registry.get("/agents/tagged/.well-known/agent.json").content == body
    with registry.web() as web:
        assert web.head(path).headers["etag"] == tag


@pytest.mark.parametrize(
    "change, status, code",
    [
        (lambda body: encoded({**json.loads(body), "capabilities": {"extensions": []}}), 400, "unbound_card"),
        (lambda body: encoded(card("spiffe://a2a-registry.test/somebody-else")), 403, "other_identity"),
        (lambda body: encoded(card("spiffe://elsewhere.test/agent")), 403, "other_identity"),
        (lambda body: encoded({**json.loads(body), "capabilities": ["risk_scoring"]}), 400, "bad_card"),
        (lambda body: body[:-1], 400, "bad_card"),
        (lambda body: b'{"name": "x", "name": "y"}', 400, "bad_card"),
        (lambda body: encoded({**json.loads(body), "padding": "x" * 70_000}), 413, "too_large"),
        (lambda body: encoded({**json.loads(body), "signatures": [{"protected": "e30", "signature": "AA"}]}), 400, "bad_signature"),
    ],
)
def test_what_is_no_proof_or_no_card_is_refused(registry, change, status, code):
    body = encoded(card(registry.agent("refused")[0].spiffe_id))
    answer = registry.put("refused", change(body))
    assert (answer.status_code, answer.json()["error"]) == (status, code)
    assert registry.get("/agents/refused", by="refused").status_code == 404


def test_a_card_that_the_trust_domain_signed_is_verified_as_long_as_its_key_is_trusted(registry, tmp_path):
    plain, signed = tmp_path / "plain.json", tmp_path / "signed.json"
    plain.write_bytes(encoded(card(registry.agent("signed")[0].spiffe_id)))
    # Only what may run is signed for.
    registry.domain.entry("/signed", selectors=["unix:uid:4242"])
    registry.domain.cli("card", "sign", plain, "-write", signed)
    body = signed.read_bytes()
    broken = {**json.loads(body), "description": "Something else"}
    assert registry.put("signed", encoded(broken)).json()["error"] == "bad_signature"
    # What only some readers see belongs to the card too.
    for added in ({"url": "https://evil.example"}, {"security_requirements": [{}]}, {"securityRequirements": [{}]}):
        both = encoded({**json.loads(body), **added})
        assert registry.put("signed", both).status_code >= 400, added
    answer = registry.put("signed", body, visibility="public")
    assert answer.json()["candidate"]["signature"] == "verified", answer.text
    registry.approve("signed", body)
    assert registry.get("/agents/signed").json()["card"]["signature"] == "verified"
    keys = lambda: registry.domain.cli_json("localauthority", "card", "show")  # noqa: E731
    old = keys()["active"]["authority_id"]
    registry.domain.cli("localauthority", "card", "prepare")
    registry.domain.cli("localauthority", "card", "activate", "-authorityID", keys()["prepared"]["authority_id"])
    registry.domain.cli("localauthority", "card", "taint", "-authorityID", old)
    registry.domain.cli("localauthority", "card", "revoke", "-authorityID", old)
    assert registry.get("/agents/signed").json()["card"]["signature"] == "unknown_key"


def test_nobody_registers_without_an_svid_or_under_the_name_of_another(registry):
    body = registry.active("taken")
    with registry.web() as web:
        answer = web.put("/agents/free", content=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["error"]) == (401, "unauthenticated")
        assert web.post("/agents/taken/revoke", json={}).status_code == 401
    mine = encoded(card(registry.agent("rival")[0].spiffe_id))
    assert registry.put("taken", mine, by="rival").json()["error"] == "name_taken"
    with registry.web("rival") as web:
        assert web.post("/agents/taken/revoke", json={}).status_code == 403
        assert web.post("/agents", params={"name": "posted"}, content=mine, headers={"Content-Type": "application/json"}).status_code == 201
        text = web.put("/agents/rival", content=mine, headers={"Content-Type": "text/plain"})
        assert text.status_code == 415
        assert web.put("/agents/not%20a%20name", content=mine, headers={"Content-Type": "application/json"}).status_code == 400
    assert registry.get("/agents/taken").status_code == 200
    assert registry.tokens.log("registry.refuse")


def test_who_may_not_see_an_agent_finds_none(registry):
    body = registry.active("hidden", visibility="private")
    reader, other = registry.agent("reader")[0], registry.agent("stranger")[0]
    card_path = "/agents/hidden/.well-known/agent-card.json"

    def seen(by: str | None) -> set:
        whole = registry.get("/agents", by=by, params={"q": "financial", "page_size": 100}).json()["agents"]
        views = (registry.get("/agents/hidden", by=by), registry.get(card_path, by=by))
        found = {view.status_code for view in views}
        found.add(200 if "hidden" in {agent["registeredName"] for agent in whole} else 404)
        return found

    def nothing(by: str | None) -> None:
        """Byte by byte the same as for a name that nobody has."""
        assert seen(by) == {404}
        assert registry.get("/agents/hidden", by=by).content == registry.get("/agents/nobody-has-this", by=by).content

    for by in (None, "reader", "stranger"):
        nothing(by)
    assert seen("hidden") == {200}
    registry.domain.cli("registry", "visibility", "-name", "hidden", "-entitled", reader.spiffe_id)
    assert seen("reader") == {200} and registry.get(card_path, by="reader").content == body
    assert registry.get(card_path, by="reader").headers["cache-control"] == "private, no-cache"
    for by in (None, "stranger"):
        nothing(by)
    with registry.web("stranger") as web:
        assert web.post("/agents/hidden/heartbeat", json={"status": "healthy"}).status_code == 404
    registry.domain.cli("registry", "visibility", "-name", "hidden", "-visibility", "public")
    for by in (None, "stranger"):
        assert seen(by) == {200}
    assert other.spiffe_id


def test_an_administrator_sees_everything_with_an_svid_of_its_own(registry):
    registry.active("only-for-admins", visibility="private")
    registry.domain.entry("/console", admin=True)
    registry.agent("console")
    assert registry.get("/agents/only-for-admins", by="console").status_code == 200
    # And registers nothing in the name of others this way.
    body = encoded(card(registry.agent("only-for-admins")[0].spiffe_id, version="9"))
    assert registry.put("only-for-admins", body, by="console").json()["error"] == "other_identity"


def test_an_agent_that_is_disabled_is_gone_at_once_and_comes_back(registry):
    body = registry.active("switched")
    path = "/agents/switched/.well-known/agent-card.json"
    with registry.web() as web:
        assert web.get(path).content == body
        registry.domain.cli("identity", "disable", "-id", "switched", "-reason", "compromised")
        # No waiting: the command has returned, so it holds.
        assert web.get(path).status_code == 404
        assert web.get("/agents/switched").status_code == 404
        assert "switched" not in web.get("/.well-known/ai-catalog.json").text
        assert registry.domain.cli_json("registry", "show", "-name", "switched")["barred"]
        registry.domain.cli("identity", "enable", "-id", "switched")
        # Its SPIFFE ID was revoked, too; that is taken back a little later.
        eventually(lambda: web.get(path).status_code == 200, "the agent is back")


def test_an_agent_whose_spiffe_id_is_revoked_is_gone_at_once(registry):
    registry.active("revoked-id")
    with registry.web() as web:
        assert web.get("/agents/revoked-id").status_code == 200
        registry.domain.cli("revoke", "-spiffeID", registry.agent("revoked-id")[0].spiffe_id)
        assert web.get("/agents/revoked-id").status_code == 404
    # Its own certificate proves nothing any more.
    with registry.web("revoked-id") as web:
        assert web.get("/agents/revoked-id").status_code == 404
        assert web.post("/agents/revoked-id/heartbeat", json={"status": "healthy"}).status_code == 401


def test_an_agent_deprecates_and_revokes_itself(registry):
    registry.active("leaving")
    with registry.web("leaving") as web:
        answer = web.post("/agents/leaving/deprecate", json={"reason": "use arriving"})
        assert answer.json()["state"] == "deprecated"
        view = registry.get("/agents/leaving").json()
        assert (view["state"], view["stateReason"]) == ("deprecated", "use arriving")
        assert web.post("/agents/leaving/revoke", json={"reason": "done"}).json()["state"] == "revoked"
    assert registry.get("/agents/leaving").status_code == 404
    assert registry.put("leaving", encoded(card(registry.agent("leaving")[0].spiffe_id, version="3"))).json()["error"] == "revoked"
    assert registry.domain.cli_json("registry", "show", "-name", "leaving")["reason"] == "done"


def test_versions_are_immutable_and_a_new_one_waits_for_a_person(registry):
    first = registry.active("versions", version="1")
    spiffe_id = registry.agent("versions")[0].spiffe_id
    other = encoded(card(spiffe_id, version="1", description="Changed"))
    assert registry.put("versions", other).json()["error"] == "version_exists"
    second = encoded(card(spiffe_id, version="2", description="Changed"))
    assert registry.put("versions", second).json()["candidate"]["stage"] == "pending"
    path = "/agents/versions/.well-known/agent-card.json"
    assert registry.get(path).content == first
    registry.domain.cli("registry", "reject", "-name", "versions", "-reason", "unclear")
    with registry.web("versions") as web:
        again = web.put("/agents/versions", content=second, headers={"Content-Type": "application/json"}, params={"draft": "true"})
        assert again.json()["candidate"]["stage"] == "draft"
    assert registry.put("versions", second).json()["candidate"]["stage"] == "pending"
    with pytest.raises(CommandFailed):
        registry.approve("versions", other)
    registry.approve("versions", second)
    assert registry.get(path).content == second
    shown = registry.domain.cli("registry", "show", "-name", "versions", "-card", "-digest", hashlib.sha256(first).hexdigest())
    assert shown.stdout.encode().rstrip() == first
    (approval,) = [e for e in registry.tokens.log("registry.approve") if e["phase"] == "outcome"
                   and e["effect"]["result"].get("digest") == hashlib.sha256(second).hexdigest()]  # fmt: skip
    assert approval["effect"]["result"]["approver"] == APPROVER


def test_another_card_at_the_agent_raises_an_alarm(registry):
    body = registry.active("drifting")
    right, wrong = hashlib.sha256(body).hexdigest(), hashlib.sha256(b"other").hexdigest()
    with registry.web("drifting") as web:
        beat = lambda digest: web.post(  # noqa: E731
            "/agents/drifting/heartbeat", json={"status": "degraded", "cardDigest": f"sha-256:{digest}"}
        )
        assert "drift" not in beat(right).json()
        assert beat(wrong).json()["drift"] == f"sha-256:{wrong}"
        view = registry.get("/agents/drifting").json()
        assert view["drift"]["digest"] == f"sha-256:{wrong}" and view["health"]["status"] == "degraded"
        assert registry.domain.cli_json("registry", "show", "-name", "drifting")["drift_digest"] == wrong
        assert any(e["effect"]["result"].get("shown") == wrong for e in registry.tokens.log("registry.drift") if e["phase"] == "outcome")
        # An agent's own word does not end the alarm.
        assert beat(right).json()["drift"] == f"sha-256:{wrong}"
    assert registry.get("/agents/drifting").json()["drift"]["digest"] == f"sha-256:{wrong}"


def test_an_administrator_asks_an_agent_for_its_card_and_the_agent_has_to_prove_itself(registry, tmp_path):
    agent, svid = registry.agent("checked")
    _, other = registry.agent("impostor")
    app, served = FastAPI(), {}
    app.get("/.well-known/agent-card.json")(lambda: Response(served["body"], media_type="application/json"))
    check = lambda *flags: registry.domain.cli("registry", "check", "-name", "checked", *flags)  # noqa: E731
    with serving(app, svid) as base, serving(app, other) as elsewhere:
        interface = lambda url: [{"url": f"{url}/a2a", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}]  # noqa: E731
        served["body"] = registry.active("checked", supportedInterfaces=interface(base))
        with pytest.raises(CommandFailed, match="is not allowed"):
            check()
        assert "the card that was approved" in check("-allowPrivate").stdout
        right, served["body"] = served["body"], encoded(card(agent.spiffe_id, name="Changed"))
        with pytest.raises(CommandFailed, match=hashlib.sha256(served["body"]).hexdigest()):
            check("-allowPrivate")
        assert registry.get("/agents/checked").json()["drift"]["digest"] == "sha-256:" + hashlib.sha256(served["body"]).hexdigest()
        served["body"] = right
        check("-allowPrivate")
        assert "drift" not in registry.get("/agents/checked").json()
        # Another agent at the address, with a good certificate of its own and the right card.
        served["body"] = moved = encoded(card(agent.spiffe_id, version="3", supportedInterfaces=interface(elsewhere)))
        registry.put("checked", moved)
        registry.approve("checked", moved)
        with pytest.raises(CommandFailed, match="did not prove who it is"):
            check("-allowPrivate")


def test_watchers_learn_of_changes_as_they_happen(registry):
    registry.active("watched")
    start = registry.get("/agents").json()["revision"]
    answers = []

    def watch():
        with registry.web() as web:
            answers.append(web.get("/agents", params={"since": start, "wait": 60}, timeout=90).json())

    watcher = threading.Thread(target=watch)
    watcher.start()
    # What this caller does not see wakes nobody.
    registry.active("unwatched", visibility="private")
    assert watcher.is_alive()
    registry.domain.cli("identity", "disable", "-id", "watched")
    watcher.join(30)
    (answer,) = answers
    assert answer["changes"] == [{"name": "watched", "state": "gone"}] and not answer["reset"]
    later = registry.get("/agents", params={"since": answer["revision"]}).json()
    assert later["changes"] == []
    assert registry.get("/agents", params={"since": 1}).json()["reset"]
    assert registry.get("/agents", params={"since": "x"}).status_code == 400


def test_search_by_text_skill_tag_scheme_and_trust_domain(registry):
    registry.active("weather", name="Weather", description="Forecasts storms", securitySchemes={}, securityRequirements=[],
                    skills=[{"id": "forecast", "name": "Forecast", "description": "Rain", "tags": ["storms"]}])  # fmt: skip
    for parameters in ({"q": "STORMS"}, {"q": "storms and rain"}, {"skill": "forecast"}, {"tag": "storms"}, {"q": "forecasts", "trust_domain": "a2a-registry.test"}):
        found = registry.get("/agents", params=parameters).json()["agents"]
        assert [agent["registeredName"] for agent in found] == ["weather"], parameters
    assert registry.get("/agents", params={"skill": "forecast", "scheme": "oauth2"}).json()["agents"] == []
    assert registry.get("/agents", params={"q": "storms", "trust_domain": "elsewhere.test"}).json()["agents"] == []
    shown = registry.domain.cli_json("registry", "search", "-text", "storms")["agents"]
    assert [agent["name"] for agent in shown] == ["weather"] and 1 <= shown[0]["score"] <= 100
    for number in range(3):
        registry.active(f"paged-{number}")
    names, token = [], ""
    while True:
        page = registry.get("/agents", params={"page_size": 3, "page_token": token}).json()
        assert len(page["agents"]) <= 3
        names += [agent["registeredName"] for agent in page["agents"]]
        token = page["nextPageToken"]
        if not token:
            break
    assert len(names) == len(set(names)) and "weather" in names and len(names) > 3
    assert registry.get("/agents", params={"page_token": "x"}).status_code == 400


def test_the_catalog_and_the_discovery_api(registry):
    registry.active("cataloged", name="Cataloged")
    catalog = registry.get("/.well-known/ai-catalog.json")
    assert catalog.headers["content-type"] == "application/ai-catalog+json"
    entries = {entry["identifier"]: entry for entry in catalog.json()["entries"]}
    entry = entries["urn:air:a2a-registry.test:agents:cataloged"]
    assert entry["mediaType"] == entry["type"] == "application/a2a-agent-card+json"
    assert entry["trustManifest"] == {"identity": "spiffe://a2a-registry.test/cataloged", "identityType": "spiffe"}
    assert entry["capabilities"] == ["portfolio_analysis", "risk_scoring"] and len(entry["representativeQueries"]) == 2
    for one in entries.values():
        # What ARD's schema asks of an entry.
        assert re.fullmatch(r"urn:air:[a-zA-Z0-9.-]+(:[a-zA-Z0-9._-]+)+", one["identifier"])
        assert one["displayName"] and not any(isinstance(value, (list, dict)) for value in one["metadata"].values())
    exported = json.loads(registry.domain.cli("registry", "export").stdout)
    assert {e["identifier"] for e in exported["entries"]} == set(entries)
    with registry.web() as web:
        assert web.get(entry["url"]).json()["name"] == "Cataloged"
        found = web.post("/ard/search", json={"query": {"text": "cataloged", "filter": {"tags": ["risk"]}}, "federation": "none"})
        (best, *_) = found.json()["results"]
        assert best["identifier"] == entry["identifier"] and 1 <= best["score"] <= 100
        assert best["source"] == f"{registry.tokens.base}/ard/"
        none = web.post("/ard/search", json={"query": {"text": "", "filter": {"type": ["application/mcp-server-card+json"]}}})
        assert none.json()["results"] == []
        explored = web.post("/ard/explore", json={"resultType": {"facets": [{"field": "tags", "limit": 2}, {"field": "capabilities"}]}})
        buckets = {bucket["value"]: bucket["count"] for bucket in explored.json()["facets"]["tags"]["buckets"]}
        assert buckets["finance"] >= 1 and len(buckets) <= 2
        listed = web.get("/ard/agents", params={"filter": "tags = 'risk' AND type = 'application/a2a-agent-card+json'", "pageSize": 100})
        assert entry["identifier"] in {item["identifier"] for item in listed.json()["items"]}
        for bad in (
            web.post("/ard/search", json={}), web.post("/ard/search", json={"query": {"text": ""}, "more": 1}),
            web.post("/ard/search", content=b"{", headers={"Content-Type": "application/json"}),
            web.post("/ard/explore", json={"resultType": {"facets": [{"field": "name"}]}}),
            web.get("/ard/agents", params={"filter": "tags > 'x'"}), web.get("/ard/agents", params={"pageSize": "-1"}),
        ):  # fmt: skip
            assert bad.status_code == 400 and set(bad.json()) == {"errorCode", "message"}


def test_an_administrator_registers_from_a_file_and_from_a_url_over_verified_tls(registry, tmp_path):
    path = tmp_path / "card.json"
    path.write_bytes(encoded(card(None, name="Foreign")))
    registry.domain.cli("registry", "register", "-name", "from-file", "-path", path, "-visibility", "public")
    registry.approve("from-file", path.read_bytes())
    view = registry.get("/agents/from-file").json()
    assert view["agentId"] == "urn:air:a2a-registry.test:agents:from-file"

    ca, app = WebCA(), FastAPI()
    served = {"body": encoded(card(None, name="By URL"))}
    app.get("/.well-known/agent-card.json")(lambda: Response(served["body"], media_type="application/json"))
    app.get("/moved")(lambda: Response(status_code=302, headers={"Location": "/.well-known/agent-card.json"}))
    register = ("registry", "register", "-name", "from-url", "-visibility", "public")
    with serving(app, ca.certificate(tmp_path, "localhost")) as base:
        url, roots = f"{base}/.well-known/agent-card.json", ca.root_file(tmp_path)
        for flags in (
            ("-url", url, "-authorities", roots),  # this machine, without -allowPrivate
            ("-url", url, "-allowPrivate"),  # a server that nobody vouches for
            ("-url", f"{base}/moved", "-authorities", roots, "-allowPrivate"),
            ("-url", f"{base}/absent", "-authorities", roots, "-allowPrivate"),
            ("-url", url.replace("https", "http"), "-allowPrivate"),
        ):
            with pytest.raises(CommandFailed):
                registry.domain.cli(*register, *flags)
        made = registry.domain.cli_json(*register, "-url", url, "-authorities", roots, "-allowPrivate")
        assert made["versions"][0]["url"] == url and made["state"] == "pending"
        registry.approve("from-url", served["body"])
        # A card that has changed at its place becomes a version that waits.
        served["body"] = encoded(card(None, name="By URL", version="3"))
        again = registry.domain.cli_json(*register, "-url", url, "-authorities", roots, "-allowPrivate")
        assert [version["stage"] for version in again["versions"]] == ["approved", "pending"]
    assert registry.get("/agents/from-url").json()["version"] == "2.1.0"


def test_only_a_known_person_approves(registry):
    domain = shield.start_server("a2a-registry-nobody.test")
    try:
        path = domain.folder / "card.json"
        path.write_bytes(encoded(card(None)))
        domain.cli("registry", "register", "-name", "x", "-path", path)
        with pytest.raises(CommandFailed, match="nobody has said which person"):
            domain.cli("registry", "approve", "-name", "x", "-digest", hashlib.sha256(path.read_bytes()).hexdigest())
    finally:
        domain.discard()


def test_the_registry_outlives_a_restart(tmp_path):
    flags = ["-socketApprover", f"{os.geteuid()} {APPROVER}"]
    domain = shield.start_up("a2a-restart.test", extra=flags)
    try:
        registry = Registry(Tokens(domain))
        body = registry.active("staying")
        assert domain.stop() == [0]
        domain = shield.start_up("a2a-restart.test", folder=domain.folder, extra=flags)
        again = Registry(Tokens(domain))
        assert again.get("/agents/staying/.well-known/agent-card.json").content == body
    finally:
        domain.discard()
