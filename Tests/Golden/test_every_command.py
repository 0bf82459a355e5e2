"""Every command that answers, in both of its forms, against a control plane and a node agent: what it prints is in
`every-command.txt` as it is, but for what differs from run to run, and in `every-command.json` as the shape of the JSON.

UPDATE_GOLDEN=1 writes both anew.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [folder for folder in map(str, (HERE, HERE.parent / "Interop", HERE.parent / "EndToEnd")) if folder not in sys.path]

from harness import domain as shield  # noqa: E402
from harness.polling import eventually  # noqa: E402
from harness.tokens import SVID_ASSERTION_TYPE, Tokens  # noqa: E402
from test_golden import COMMANDS, compare, run  # noqa: E402
from test_upstream import CA, pem, write  # noqa: E402

DIFFERENT = [
    (r"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----", r"PEM of \1"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| \+0000 UTC)", "TIME"),
    (r"eyJ[\w-]+\.[\w-]+\.[\w-]+", "TOKEN"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID"),
    (r"/tmp/as-\w+", "FOLDER"),
    (r"\b[0-9a-f]{32,}\b", "HEX"),
    (r"(?<![\w+/=-])[\w+/-]{40,}={0,2}(?![\w+/=-])", "BASE64"),
    (r"https://(127\.0\.0\.1|localhost):\d+", "https://ADDRESS"),
    (r"\b\d+ s\b", "DURATION"),
    (r"uid([: ])\d+", r"uid\1NUMBER"),
    (r"(?m)^(Transaction +: )\S+", r"\1NAME"),
    (r"\b\d{10}\b", "SECONDS"),
    # How long the log is depends on what the node agent has reported, and columns are as wide as what stands in them.
    (r"(?m)^\d+(?=  *TIME|$)", "INDEX"),
    (r"\b\d+ entries\b", "N entries"),
    (r" {2,}", "  "),
]
"""What differs from run to run, in this order: a part of a UUID is a word of hexadecimal, too."""


def neutral(text: str) -> str:
    for pattern, word in DIFFERENT:
        text = re.sub(pattern, word, text, flags=re.DOTALL)
    # Node agents are listed by their IDs, which are chance.
    head, *blocks = text.split("\n\n")
    return "\n\n".join([head, *sorted(blocks)]) if head.endswith("attested agents") else text


def shape(value):
    """Members and types; of a list the shapes that are in it."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in sorted(value.items())}
    if isinstance(value, list):
        shapes = []
        for inner in map(shape, value):
            if inner not in shapes:
                shapes.append(inner)
        return shapes
    return type(value).__name__


class Transcript:
    """What commands said, by command."""

    def __init__(self):
        self.texts: dict[str, str] = {}
        self.shapes: dict[str, object] = {}

    def readable(self, command: str, *words: object) -> str:
        text = run(*command.split(), *map(str, words)).stdout
        assert text.endswith("\n"), f"`{command}` says nothing"
        self.texts[command] = text
        return text

    def as_json(self, command: str, *words: object) -> dict:
        answer = json.loads(run(*command.split(), *map(str, words), "-output", "json").stdout)
        self.shapes[command] = shape(answer)
        return answer

    def both(self, command: str, *words: object) -> dict:
        """The same words in each form; gives the JSON."""
        self.readable(command, *words)
        return self.as_json(command, *words)

    def each(self, command: str, one, other, *words: object) -> None:
        """What can be done once only: each form has its own."""
        self.readable(command, *one, *words)
        self.as_json(command, *other, *words)


@pytest.fixture(scope="module")
def domain():
    domain = shield.start_server("example.org", extra=["-agentTTL", "8s", "-logLevel", "error",
                                                           "-socketApprover", f"{os.geteuid()} alice@example.org"])  # fmt: skip
    try:
        shield.start_agent(domain, extra=["-adminSocketPath", str(domain.folder / "agent-admin.sock"), "-logLevel", "error"])
        yield domain
    finally:
        domain.discard()


@pytest.fixture(scope="module")
def said(domain):
    """Everything, in the order of a life."""
    said = Transcript()
    gone = nodes(domain, 1)
    for part in (daemons, entries_and_identities, agents, revocations, federation, authorities, upstream_authorities, directory, registry, the_log):
        part(said, domain, ("-socketPath", domain.admin_socket))
    purge(said, domain, gone, ("-socketPath", domain.admin_socket))
    return said


def nodes(domain, count: int) -> list[str]:
    """IDs of further node agents, which have attested and gone."""
    ids = []
    for _ in range(count):
        with domain.spire_agent() as node:
            ids.append(node.attest(domain.admin.join_token().encode()).id)
    return ids


def daemons(said: Transcript, domain, at: tuple) -> None:
    said.both("healthcheck", *at)
    said.both("server healthcheck", *at)
    said.both("agent healthcheck", "-socketPath", domain.workload_socket)
    file = domain.folder / "agentshield.yaml"
    file.write_text("server: {trust_domain: example.org}\nagent: {trust_domain: example.org, insecure_bootstrap: true}\n")
    for command in ("validate", "server validate", "agent validate"):
        said.both(command, "-config", file)
    ready = domain.folder / "up.json"
    ready.write_text(json.dumps({"adminSocket": "/a.sock", "workloadAPISocket": "/w.sock", "trustBundle": "/bundle.pem",
                                 "nodeAPI": "127.0.0.1:1", "https": "127.0.0.1:2"}))  # fmt: skip
    said.both("env", "-readyFile", ready)
    for whose, socket in (("", at), ("agent ", ("-socketPath", domain.folder / "agent-admin.sock"))):
        said.both(f"{whose}logger set", "-level", "warn", *socket)
        said.both(f"{whose}logger get", *socket)
        said.both(f"{whose}logger reset", *socket)
        said.both(f"{whose}debug getinfo", *socket)


def entries_and_identities(said: Transcript, domain, at: tuple) -> None:
    workload = ("-socketPath", domain.workload_socket)
    web = ["-spiffeID", f"{domain.id}/web", "-selector", f"unix:uid:{os.geteuid()}"]
    other = ["-spiffeID", f"{domain.id}/other", "-selector", "unix:uid:4242"]
    said.each("entry create", [*web, "-entryID", "web"], [*other, "-entryID", "other"], *at)
    said.both("entry update", *web, "-entryID", "web", "-parentID", domain.id + shield.ANY_NODE, "-hint", "inside", *at)
    said.both("entry show", "-entryID", "web", *at)
    said.both("entry count", *at)
    domain.wait_for_ids("/web")
    said.both("api fetch x509", *workload)
    (answer,) = said.both("api fetch jwt", "-audience", "shop", *workload)["svids"]
    said.both("api validate jwt", "-audience", "shop", "-svid", answer["svid"], *workload)
    said.both("api fetch wit", *workload)
    said.texts["api watch"], said.shapes["api watch"] = watch(domain, "pretty"), shape(json.loads(watch(domain, "json")))
    for kind in ("x509", "jwt", "wit"):
        said.both(f"{kind} mint", "-spiffeID", f"{domain.id}/minted", *(["-audience", "shop"] if kind == "jwt" else []), *at)
    cards(said, domain, at)
    said.each("entry delete", ["-entryID", "web"], ["-entryID", "other"], *at)
    said.both("entry history", "-entryID", "web", *at)
    said.both("token generate", *at)


def cards(said: Transcript, domain, at: tuple) -> None:
    """Of the entry `web`."""
    card, signed = domain.folder / "card.json", domain.folder / "signed.json"
    card.write_text(json.dumps({
        "name": "Web", "description": "", "version": "1", "capabilities": {"streaming": True},
        "supportedInterfaces": [{"url": "https://web.example", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
        "securitySchemes": {"svid": {"mtlsSecurityScheme": {}}}, "securityRequirements": [{"schemes": {"svid": {"list": ["call"]}}}],
        "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
        "skills": [{"id": "find", "name": "Find", "description": "Finds.", "tags": ["search"]}],
    }))  # fmt: skip
    said.both("card sign", card, "-spiffeID", f"{domain.id}/web", *at)
    run("card", "sign", str(card), "-spiffeID", f"{domain.id}/web", "-write", str(signed), *map(str, at))
    said.both("card verify", signed, *at)
    said.both("card show", signed)
    said.both("card lint", signed)


def watch(domain, form: str) -> str:
    """The first state that `api watch` prints; it would go on for ever."""
    words = [shield.default_binary(), "api", "watch", "-socketPath", domain.workload_socket, "-output", form]
    with subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, text=True) as watching:
        try:
            lines = [watching.stdout.readline()]
            while form == "pretty" and not lines[-1].startswith("CA #1 Valid Until"):
                lines.append(watching.stdout.readline())
                assert lines[-1], "it ended by itself"
            return "".join(lines)
        finally:
            watching.kill()


def agents(said: Transcript, domain, at: tuple) -> None:
    banned, evicted = nodes(domain, 2), nodes(domain, 2)
    said.both("agent show", "-spiffeID", banned[0], *at)
    said.each("agent ban", ["-spiffeID", banned[0]], ["-spiffeID", banned[1]], *at)
    said.each("agent evict", ["-spiffeID", evicted[0]], ["-spiffeID", evicted[1]], *at)
    said.both("agent list", *at)
    said.both("agent count", *at)


def revocations(said: Transcript, domain, at: tuple) -> None:
    said.each("revoke", ["-jti", "one", "-reason", "lost"], ["-jti", "two"], *at)
    said.both("revoke list", *at)
    said.each("unrevoke", ["-jti", "one"], ["-jti", "two"], *at)


def federation(said: Transcript, domain, at: tuple) -> None:
    file = domain.folder / "other.pem"
    file.write_bytes(pem(CA("other").certificate))

    def web(name: str, path: str = "") -> list[str]:
        url = f"https://{name}/{path}"
        return ["-trustDomain", name, "-bundleEndpointURL", url, "-bundleEndpointProfile", "https_web"]

    said.each("federation create", web("b.invalid"), web("c.invalid"), *at)
    said.both("federation update", *web("b.invalid", "new"), *at)
    said.both("federation list", *at)
    said.both("federation show", "-trustDomain", "b.invalid", *at)
    said.each("bundle set", ["-id", "b.invalid", "-path", file], ["-id", "c.invalid", "-path", file], *at)
    said.both("bundle list", *at)
    said.both("bundle count", *at)
    said.both("bundle show", *at)
    said.both("bundle append", "-path", file, *at)
    said.each("bundle delete", ["-id", "b.invalid"], ["-id", "c.invalid"], *at)
    said.both("bundle history", "-id", "b.invalid", *at)
    said.each("federation delete", ["-id", "b.invalid"], ["-id", "c.invalid"], *at)


def authorities(said: Transcript, domain, at: tuple) -> None:
    for kind in ("x509", "jwt", "wit", "oauth", "entra", "card"):
        show = lambda state: run_json("localauthority", kind, "show", *at)[state]["authority_id"]  # noqa: B023, E731
        for form in (said.readable, said.as_json):
            old = show("active")
            form(f"localauthority {kind} prepare", *at)
            form(f"localauthority {kind} activate", "-authorityID", show("prepared"), *at)
            form(f"localauthority {kind} taint", "-authorityID", old, *at)
            form(f"localauthority {kind} revoke", "-authorityID", old, *at)
        said.both(f"localauthority {kind} show", *at)


def upstream_authorities(said: Transcript, domain, at: tuple) -> None:
    folder = domain.folder / "pki"
    folder.mkdir()
    roots = [CA(f"root {number}") for number in range(3)]
    below = shield.start_server("example.org", extra=write(folder, roots[0]))
    try:
        at = ("-socketPath", below.admin_socket)
        for form, old, new in ((said.readable, *roots[:2]), (said.as_json, *roots[1:])):
            write(folder, new)
            prepared = run_json("localauthority", "x509", "prepare", *at)["prepared_authority"]["authority_id"]
            run("localauthority", "x509", "activate", "-authorityID", prepared, *at)
            form("upstreamauthority taint", "-subjectKeyID", old.key_id, *at)
            form("upstreamauthority revoke", "-subjectKeyID", old.key_id, *at)
    finally:
        below.discard()


def directory(said: Transcript, domain, at: tuple) -> None:
    who = ["-owner", "ops@example.org"]
    said.each("blueprint create", *(["-name", name, "-sponsor", "lead@example.org", "-scope", "read write", "-audience", "api://b"]
                                    for name in ("one", "two")), *at)  # fmt: skip
    said.both("blueprint show", "-id", "one", *at)
    said.both("blueprint update", "-id", "one", "-description", "readers", "-maxTokenTTL", "20m",
              "-credential", "federated_assertion,client_secret,private_key_jwt", *at)  # fmt: skip
    said.both("blueprint disable", "-id", "two", *at)
    said.both("blueprint enable", "-id", "two", *at)
    said.both("blueprint list", *at)
    said.each("identity create", *(["-name", name, "-spiffeID", f"{domain.id}/{name}", "-blueprint", "one", *who]
                                   for name in ("a", "b")), *at)  # fmt: skip
    said.both("identity update", "-id", "a", "-sponsor", "chief@example.org", *at)
    said.both("identity disable", "-id", "a", "-reason", "odd", *at)
    said.both("identity enable", "-id", "a", *at)
    said.each("resource create", *(["-id", f"api://{name}", "-scope", "read", "-description", "text"] for name in ("b", "c")), *at)
    said.both("resource update", "-id", "api://b", "-agent", "b", "-tokenTTL", "5m", *at)
    said.both("resource show", "-id", "api://b", *at)
    said.both("resource list", *at)
    said.each("grant create", *(["-agent", name, "-resource", "api://b", "-scope", "read", "-expiresIn", "1d"] for name in ("a", "b")), *at)
    grants = said.both("grant list", "-agent", "a", *at)["grants"] + run_json("grant", "list", "-agent", "b", *at)["grants"]
    key = ec.generate_private_key(ec.SECP256R1())
    said.each("federated-credential create",
              ["-name", "flags", "-issuer", "https://issuer.example", "-subject", "sub", "-audience", "api://x"],
              ["-parameters", json.dumps({"name": "az", "issuer": "https://gitlab.com", "audiences": ["api://x"], "claimsMatchingExpression":
                                          {"value": "claims['sub'] matches 'project:*'", "languageVersion": 1}})],
              "-id", "a", *at)  # fmt: skip
    token = domain.folder / "assertion.jwt"
    token.write_text(jwt.encode({"iss": "https://issuer.example", "sub": "sub", "aud": "api://x", "exp": time.time() + 600}, key, "ES256"))
    said.both("federated-credential test", "-id", "a", "-assertion", token, *at)
    said.both("federated-credential list", "-id", "a", *at)
    public = domain.folder / "client.pem"
    public.write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    said.each("client-credential create", ["-secret"], ["-key", public], "-id", "a", *at)
    said.both("client-credential list", "-id", "a", *at)
    said.both("identity show", "-id", "a", *at)
    ids = [credential["id"] for credential in run_json("client-credential", "list", "-id", "a", *at)["client_credentials"]]
    approvals(said, domain, at)
    said.each("client-credential delete", *(["-credentialID", id] for id in ids), "-id", "a", *at)
    said.each("federated-credential delete", ["-name", "flags"], ["-name", "az"], "-id", "a", *at)
    said.each("grant delete", *(["-id", grant["id"]] for grant in grants), *at)
    said.each("identity retire", ["-id", "a", "-reason", "done"], ["-id", "b"], *at)
    said.both("identity list", "-state", "retired", *at)
    said.each("resource delete", ["-id", "api://b"], ["-id", "api://c"], *at)
    said.each("blueprint delete", ["-id", "one"], ["-id", "two"], *at)


def approvals(said: Transcript, domain, at: tuple) -> None:
    """An agent asks four times, and each form of an answer has its own."""
    said.both("resource update", "-id", "api://b", "-approver", "alice@example.org", "-approvalScope", "read", *at)
    said.each("grant create", *(["-agent", "b", "-resource", "api://b", "-details", '{"type": "payment"}', "-approval", time]
                                for time in ("1m", "2m")), *at)  # fmt: skip
    tokens = Tokens(domain)
    asker = tokens.agent("asker")
    tokens.grant(asker, "api://b", "read")
    svid = tokens.jwt_svid(asker, tokens.issuer)
    form = {"client_assertion": svid, "client_assertion_type": SVID_ASSERTION_TYPE, "resource": "api://b", "scope": "read"}
    with tokens.web() as web:
        for _ in range(4):
            assert web.post("/oauth2/bc-authorize", data=form).status_code == 200
    waiting = said.as_json("approvals list", *at)["approvals"]
    said.readable("approvals list", "-agent", "b", *at)
    ids = [approval["id"] for approval in waiting]
    said.both("approvals show", "-id", ids[0], *at)
    said.each("approvals approve", *(["-id", one["id"], "-hash", one["act_hash"]] for one in waiting[:2]), *at)
    said.each("approvals deny", *(["-id", id] for id in ids[2:]), *at)
    said.readable("approvals list", "-all", "-agent", "b", *at)
    run_json("identity", "retire", "-id", "asker", *at)


def registry(said: Transcript, domain, at: tuple) -> None:
    def card(version: str, **more) -> dict:
        params = {"spiffeId": f"{domain.id}/desk", "trustDomain": "example.org"}
        return {
            "name": "Desk", "description": "Takes orders", "version": version, "defaultInputModes": [], "defaultOutputModes": [],
            "supportedInterfaces": [{"url": "https://desk.example.org", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
            "capabilities": {"extensions": [{"uri": "https://agentshield.dev/a2a/identity/v1", "params": params}]},
            "skills": [{"id": "orders", "name": "Orders", "description": "Takes them", "tags": ["sales"]}], **more,
        }  # fmt: skip

    def file(name: str, version: str) -> pathlib.Path:
        path = domain.folder / f"{name}-{version}.json"
        path.write_text(json.dumps(card(version)))
        return path

    two = [["-name", name, "-path", file(name, "1"), "-visibility", "public"] for name in ("desk", "other")]
    said.each("registry register", *two, *at)
    digest = run_json("registry", "show", "-name", "desk", *at)["versions"][0]["digest"]
    said.each("registry approve", *(["-name", name, "-digest", digest] for name in ("desk", "other")), *at)
    for name in ("desk", "other"):
        run("registry", "register", "-name", name, "-path", str(file(name, "2")), *at)
    said.each("registry reject", *(["-name", name, "-reason", "unclear"] for name in ("desk", "other")), *at)
    said.both("registry show", "-name", "desk", *at)
    said.both("registry search", "-text", "orders", "-tag", "sales", *at)
    said.each("registry visibility", *(["-name", name, "-entitled", f"{domain.id}/a"] for name in ("desk", "other")), *at)
    said.each("registry deprecate", *(["-name", name, "-reason", "old"] for name in ("desk", "other")), *at)
    said.each("registry revoke", *(["-name", name, "-reason", "gone"] for name in ("desk", "other")), *at)
    said.both("registry list", *at)


def the_log(said: Transcript, domain, at: tuple) -> None:
    said.both("log list", "-type", "entry.update", *at)
    said.both("log show", 0, *at)
    said.both("log checkpoint", *at)
    said.both("log verify", *at)
    assert run("log", "prove", "0", *at).stdout.startswith("c2sp.org/tlog-proof@v1\n")


def purge(said: Transcript, domain, gone: list[str], at: tuple) -> None:
    """Of a node whose certificate has ended: it is told of first."""
    dry = ("agent purge", "-expiredFor", "0s", "-dryRun", *at)
    eventually(lambda: gone[0] in json.dumps(said.as_json(*dry)) or None, "its certificate has ended", within=30, every=0.3)
    assert gone[0] in said.readable("agent purge", "-expiredFor", "0s", *at)
    assert gone[0] not in run("agent", "list", *at).stdout


def run_json(*words) -> dict:
    return json.loads(run(*words, "-output", "json").stdout)


def help_of(command: str) -> pathlib.Path:
    """As `test_golden.py` has compared it."""
    return HERE / "help" / f"{command.replace(' ', '-') or 'agentshield'}.txt"


def test_what_people_read(said):
    compare("every-command.txt", "".join(f"$ agentshield {name}\n{neutral(text)}\n" for name, text in said.texts.items()))


def test_what_scripts_read(said):
    compare("every-command.json", json.dumps(said.shapes, indent=1) + "\n")


def test_every_command_that_has_two_forms_is_asked_for_both(said):
    both = {command for command in COMMANDS if "-output <output>" in help_of(command).read_text()}
    # Asks the endpoint of another trust domain: `Interop/test_federation.py`. Calls agents: `Interop/test_a2a_client.py`.
    elsewhere = {"federation refresh", *(command for command in both if command.startswith("a2a "))}
    assert both - elsewhere == set(said.shapes) == set(said.texts)
