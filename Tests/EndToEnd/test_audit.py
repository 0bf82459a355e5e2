"""After a session of everything: every kind of event is in the log, each record is whole, and no secret is anywhere."""

import base64
import json
import re
import shutil
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from harness import rules
from harness.domain import ANY_NODE, run_cli
from harness.polling import eventually
from stage.deployment import Deployment, log_events, uid_selector
from stage.relay import PERL, Relay
from wire import messages as m
from wire.admin import entry
from wire.keys import selector, spiffe_id
from wire.workload import first

AIMS = ("agent", "delegation", "resource", "decision", "correlation", "posture", "remediation")
"""The seven fields, by the names of the record; the time belongs to the correlation (AIMS, monitoring)."""

EXPECTED = {
    "server.start", "server.stop", "agent.start", "agent.stop", "authority.prepare", "authority.activate",
    "node.attest", "node.ban", "node.evict", "node.renew", "token.create", "entry.create", "entry.update",
    "entry.delete", "svid.x509.issue", "svid.x509.mint", "svid.jwt.issue", "svid.jwt.mint", "workload.attest",
    "workload.refuse", "request.refuse",
}  # fmt: skip


class Session:
    """What was done, what it left, and the secrets that went through it.

    A token that was used is none of them: it is the last part of its node agent's ID, as in SPIRE, and worth nothing.
    """

    def __init__(self):
        self.domain = Deployment("audited.test").start()
        self.secrets: dict[str, bytes] = {}
        self.serials: set[int] = set()
        self.before: list[dict] = []
        self.answers = ""

    def keep(self, name: str, value) -> None:
        self.secrets[name] = value.encode() if isinstance(value, str) else value

    def keep_key(self, name: str, key) -> None:
        """A private key as its number: that is in every encoding of it."""
        number = key.private_numbers().private_value
        self.keep(name, number.to_bytes(32, "big"))

    def run(self) -> None:
        domain = self.domain
        made = domain.entry("/audited", [uid_selector()])
        domain.wait_for_ids("/audited")
        with domain.workload() as api:
            (svid,) = first(api.x509_svids()).svids
            leaf = x509.load_der_x509_certificate(rules.split_der(svid.x509_svid)[0])
            self.serials.add(leaf.serial_number)
            self.keep_key("a workload's key", serialization.load_der_private_key(svid.x509_svid_key, None))
            (token,) = api.jwt_svid(["audience"]).svids
            self.keep("a workload's token", token.svid)
            self.keep("its signature", token.svid.rpartition(".")[2])
            api.validate("audience", token.svid)
            with pytest.raises(grpc.RpcError):
                api.validate("another audience", token.svid)
            with pytest.raises(grpc.RpcError):
                first(api.x509_svids(headers=()))

        domain.admin.entries.BatchUpdateEntry(
            m.entry.BatchUpdateEntryRequest(
                entries=[m.types.Entry(id=made.id, hint="h")], input_mask=m.types.EntryMask(hint=True)
            ),
            timeout=20,
        )
        minted = domain.folder / "minted"
        minted.mkdir()
        domain.cli("x509", "mint", "-spiffeID", f"{domain.id}/minted", "-write", minted)
        self.keep_key("a minted key", serialization.load_pem_private_key((minted / "key.pem").read_bytes(), None))
        self.serials.add(x509.load_pem_x509_certificate((minted / "svid.pem").read_bytes()).serial_number)
        token = domain.admin.svids.MintJWTSVID(
            m.svid.MintJWTSVIDRequest(id=spiffe_id(f"{domain.id}/minted"), audience=["a"], ttl=60), timeout=20
        ).svid.token
        self.keep("a minted token", token)

        for name, ending in (("banned", domain.admin.ban), ("evicted", domain.admin.evict)):
            join = domain.admin.join_token()
            with domain.spire_agent() as agent:
                agent.attest(join.encode())
                agent.adopt(agent.renew())
                agent.sync()
                self.serials.add(agent.identity.serial)
                self.keep_key(f"the {name} agent's key", agent.identity.key)
                ending(agent.identity.id)
                with pytest.raises(grpc.RpcError):
                    agent.sync()
            with domain.spire_agent() as stranger, pytest.raises(grpc.RpcError):
                stranger.attest(join.encode())
        wrong = "this-token-was-never-given-out"
        self.keep("a token that was tried", wrong)
        with domain.spire_agent() as stranger, pytest.raises(grpc.RpcError):
            stranger.attest(wrong.encode())
        unused = domain.admin.join_token()
        self.keep("an unused token", unused)
        with pytest.raises(grpc.RpcError):
            domain.admin.agents.BanAgent(m.agent.BanAgentRequest(id=spiffe_id("spiffe://other.test/x")), timeout=20)
        (refused,) = domain.admin.create(entry("spiffe://other.test/x", f"{domain.id}/node", ["unix:uid:1"]))
        assert refused.status.code != 0

        domain.admin.delete(made.id)
        domain.wait_for_ids()
        eventually(
            lambda: {"workload.attest", "workload.refuse"} <= {i["event"]["type"] for i in log_events(domain)},
            "the agent's records came from its spool", every=0.3,
        )  # fmt: skip
        assert domain.end(domain.agent) == 0
        with domain.spire_agent() as agent:
            agent.get_bundle()
        assert domain.cli("log", "verify").returncode == 0
        self.answers = domain.cli("log", "list", "-count", 5000).stdout
        assert domain.end(domain.server) == 0


@pytest.fixture(scope="module")
def session():
    session = Session()
    try:
        session.run()
        yield session
    finally:
        session.domain.discard()


@pytest.fixture(scope="module")
def events(session) -> list[dict]:
    return [item["event"] for item in log_events(session.domain, session.domain.data)]


def test_every_kind_of_event_is_there(events):
    missing = EXPECTED - {event["type"] for event in events}
    assert not missing, f"not in the log: {sorted(missing)}"


def test_every_record_has_the_seven_fields(events):
    for event in events:
        for field in AIMS:
            assert field in event, f"{event['type']} lacks {field}"
        assert event["v"] == 1 and re.fullmatch(r"[0-9a-f]{32}", event["id"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["time"])
        assert set(event["agent"]) >= {"id", "auth_method"}
        assert set(event["resource"]) >= {"id", "kind"}
        assert set(event["decision"]) >= {"action", "result"}
        assert event["correlation"]["request_id"]
        if event["decision"]["result"] == "deny":
            assert event["decision"].get("reason"), f"a refusal without reason: {event}"


def test_ids_are_unique(events):
    assert len({event["id"] for event in events}) == len(events)


def test_every_intent_has_its_outcome(events):
    """Both bear the same request and the outcome names the intent, which came before it"""
    intents = {event["id"]: event for event in events if event["phase"] == "intent"}
    assert intents
    seen = set()
    for event in events:
        if event["phase"] == "intent":
            seen.add(event["id"])
        if event["phase"] == "outcome":
            intent = intents[event["correlation"]["intent_id"]]
            assert intent["id"] in seen, "an outcome before its intent"
            assert (intent["type"], intent["resource"]["kind"]) == (event["type"], event["resource"]["kind"])
            assert intent["correlation"]["request_id"] == event["correlation"]["request_id"]
            seen.remove(intent["id"])
    assert not seen, f"intents without outcome: {[intents[id]['type'] for id in seen]}"


def test_every_certificate_that_was_handed_out_is_named(session, events):
    logged = {int(e["effect"]["result"]["serial"], 16) for e in events if "serial" in e.get("effect", {}).get("result", {})}
    assert session.serials <= logged


def test_the_workloads_record_says_who_and_what(session, events):
    handed = [event for event in events if event["type"] == "workload.attest"]
    assert handed
    for event in handed:
        assert event["agent"]["id"] == f"{session.domain.id}/audited"
        assert event["agent"]["auth_method"] == "kernel"
        assert event["agent"]["peer"]["pid"] > 0
        assert event["posture"]["level"] == "attested" and event["posture"]["evidence_hash"]
        assert event["decision"]["result"] == "permit"


def test_refusals_tell_the_reason(events):
    reasons = " ".join(
        event["decision"]["reason"] for event in events if event["decision"]["result"] == "deny"
    )  # fmt: skip
    assert "no_identity" in reasons
    assert "banned" in reasons.lower()
    assert "token" in reasons.lower()


class TestSecrets:
    """Searched as bytes, in hexadecimal and in base64, in every file outside `keys/` and in everything that was said"""

    def places(self, session) -> dict[str, bytes]:
        domain = session.domain
        texts = {
            "log list": session.answers.encode(),
            "log list -output json": json.dumps(log_events(domain, domain.data), ensure_ascii=False).encode(),
            "verify": run_cli("log", "verify", "-dataDir", domain.data).stdout.encode(),
        }
        for file in domain.folder.rglob("*"):
            inside = file.relative_to(domain.folder).parts
            if file.is_file() and inside[0] != "minted" and "keys" not in inside:
                texts[str(file)] = file.read_bytes()
        # PEM breaks its lines.
        return texts | {f"{name} in one line": text.replace(b"\n", b"") for name, text in texts.items()}

    @staticmethod
    def spellings(secret: bytes) -> list[bytes]:
        # In base64 a text looks different at each of three offsets; the middle is the same for each offset.
        base64s = [base64.b64encode(b"\0" * shift + secret)[4:-4] for shift in (0, 1, 2)]
        urlsafe = [text.translate(bytes.maketrans(b"+/", b"-_")) for text in base64s]
        return [secret, secret.hex().encode(), secret.hex().upper().encode(), *base64s, *urlsafe]

    def test_the_search_finds_what_is_there(self, session):
        """The search itself is tested on something public"""
        texts = self.places(session)
        public = x509.load_pem_x509_certificate(session.domain.roots_pem).public_bytes(serialization.Encoding.DER)[40:90]
        found = [name for name, text in texts.items() if any(s in text for s in self.spellings(public))]
        assert any("bundle.pem" in name for name in found)
        assert any("registry.sqlite" in name for name in found)
        assert len(session.secrets) >= 8

    def test_no_secret_is_anywhere(self, session):
        texts = self.places(session)
        assert any(name.endswith("audit.sqlite") for name in texts)
        found = [
            f"{name} in {place}"
            for name, secret in session.secrets.items()
            for place, text in texts.items()
            if any(spelling in text for spelling in self.spellings(secret))
        ]
        assert not found

    def test_keys_are_for_their_owner_only(self, session):
        folders = [session.domain.data, session.domain.folder / "agent"]
        for folder in folders:
            assert folder.stat().st_mode & 0o077 == 0, folder
        for file in (session.domain.data / "keys").rglob("*"):
            assert file.stat().st_mode & 0o077 == 0, file

    def test_private_keys_lie_only_in_key_folders(self, session):
        marked = [
            file
            for file in session.domain.folder.rglob("*")
            if file.is_file() and b"PRIVATE KEY" in file.read_bytes() and file.parts[-2] != "minted"
        ]
        assert marked, "the authorities' keys are there"
        for file in marked:
            assert "keys" in Path(file).parts or file.parent == session.domain.folder / "agent", file
            assert file.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(PERL is None, reason="the workload of this test needs perl")
def test_selectors_are_never_logged():
    """Their values can be secrets (SPIRE 1.14.3): both daemons say all that they can, and nothing of these"""
    entrys, workloads = "hunter2-is-my-password", "correct-horse-battery"
    domain = Deployment(
        "silent.test", server=["-logLevel", "trace"],
        agent=["-logLevel", "trace", "-discoverWorkloadPath", "-adminSocketPath", "agent-admin.sock", "-syncInterval", "1s"],
    ).start()  # fmt: skip
    relay = None
    try:
        level = run_cli("agent", "logger", "get", "-socketPath", domain.folder / "agent-admin.sock").stdout
        for said in (domain.cli("logger", "get").stdout, level):
            assert said.startswith("Logger Level : trace\n")
        # A workload whose own selectors have such a value, with an identity by it, without one, and refused.
        program = domain.folder / workloads
        shutil.copyfile(PERL, program)
        program.chmod(0o755)
        relay = Relay(domain.workload_socket, domain.folder, program=program)
        made = domain.entry("/silent", [f"unix:path:{program}"])
        eventually(lambda: svids(relay.api) == [f"{domain.id}/silent"], "its selector is known")
        assert relay.api.jwt_svid(["audience"]).svids
        # An entry that changes to one that nobody has, and what becomes of an entry that is there or is wrong.
        wanted = [selector(f"unix:path:/{entrys}")]
        change = m.types.Entry(id=made.id, selectors=wanted)
        mask = m.types.EntryMask(selectors=True)
        domain.admin.entries.BatchUpdateEntry(m.entry.BatchUpdateEntryRequest(entries=[change], input_mask=mask), timeout=20)
        eventually(lambda: svids(relay.api) is None, "it has no identity")
        (similar,) = domain.admin.create(entry(f"{domain.id}/silent", domain.id + ANY_NODE, [f"unix:path:/{entrys}"]))
        assert similar.status.code == grpc.StatusCode.ALREADY_EXISTS.value[0]
        (refused,) = domain.admin.create(entry("spiffe://other.test/x", f"{domain.id}/node", [f"unix:path:/{entrys}"]))
        assert refused.status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
        domain.admin.delete(made.id)
        kinds = {"entry.create", "entry.update", "entry.delete", "workload.attest", "workload.refuse"}
        eventually(
            lambda: kinds <= {item["event"]["type"] for item in log_events(domain)}, "all of it is in the log", every=0.3
        )
        said = {"audit log": json.dumps(log_events(domain), ensure_ascii=False)}
        assert domain.end(domain.agent) == 0 and domain.end(domain.server) == 0
        said |= {name: (domain.folder / f"{name}.log").read_text() for name in ("server", "agent")}
        assert all(said.values())
        found = [(value, where) for value in (entrys, workloads) for where, text in said.items() if value in text]
        assert not found
    finally:
        if relay is not None:
            relay.close()
        domain.discard()


def svids(api) -> list[str] | None:
    try:
        return [svid.spiffe_id for svid in first(api.x509_svids()).svids]
    except grpc.RpcError as error:
        assert error.code() in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAVAILABLE)
        return None
