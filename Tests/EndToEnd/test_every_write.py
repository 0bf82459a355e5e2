"""The control plane dies at one write after another of each act that it records, and comes back.

Whatever it was about: the log verifies, the act is wholly there with its record or wholly absent, and what a client was told
is so. Each act dies at its first write, then at later ones, until it survives or its share of AGENTSHIELD_CRASH_SECONDS is over;
what was cut short is told in a warning.
"""

import contextlib
import hashlib
import json
import os
import sqlite3
import subprocess
import time
import warnings
from pathlib import Path
from typing import Callable, Optional

import grpc
import pytest

from harness.domain import CommandFailed, run_cli
from harness.polling import eventually
from stage.deployment import Deployment
from stage.tracer import Deadly, DiedAlready, Writes, why_not
from wire import messages as m
from wire.admin import entry
from wire.spire_agent import SpireAgent

SECONDS = float(os.environ.get("AGENTSHIELD_CRASH_SECONDS", "60"))


class Act(Writes):
    """Something that an administrator does, and how to see whether it has happened."""

    def __init__(self, name: str, kind: str, lead: Callable, do: Callable, there: Callable):
        super().__init__()
        self.name, self.kind = name, kind
        self.lead, self.do, self.there = lead, do, there


class Plane:
    """A control plane that is killed and started again, and what its acts look at."""

    def __init__(self, domain: Optional[Deployment]):
        self.domain = domain
        self.number = 0
        self.seen = 0
        self._node: Optional[SpireAgent] = None

    def cli(self, *words: object) -> dict:
        return self.domain.cli_json(*words)

    def file(self, trust_domain: str) -> str:
        """A bundle document of another trust domain: a key for tokens is enough."""
        path = self.domain.folder / "other.json"
        path.write_text(json.dumps({"keys": [{
            "use": "jwt-svid", "kid": trust_domain, "kty": "EC", "crv": "P-256",
            # The example of RFC 7515 A.3.
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        }], "spiffe_sequence": 1}))  # fmt: skip
        return str(path)

    def batch(self) -> list:
        return [
            entry(f"{self.domain.id}/w/{self.number}/{part}", f"{self.domain.id}/node", [f"unix:uid:{part}"], dns_names=["a.test"])
            for part in range(3)
        ]

    def entries(self) -> list:
        prefix = f"/w/{self.number}/"
        return [one for one in self.domain.admin.list_entries() if one.spiffe_id.path.startswith(prefix)]

    def has_batch(self) -> bool:
        """All or nothing, and each as it was asked for."""
        found = {one.spiffe_id.path: one for one in self.entries()}
        if not found:
            return False
        assert len(found) == 3, f"{len(found)} entries of a batch of 3"
        for wanted in self.batch():
            one = found[wanted.spiffe_id.path]
            assert list(one.selectors) == list(wanted.selectors) and list(one.dns_names) == ["a.test"]
        return True

    def tokens(self) -> int:
        path = self.domain.data / "registry.sqlite"
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            return database.execute("SELECT count(*) FROM join_token").fetchone()[0]

    def authority(self, state: str, kind: str = "x509") -> str:
        return (self.cli("localauthority", kind, "show")[state] or {}).get("authority_id", "")

    def outcomes(self, kind: str) -> int:
        """How often the log says that such an act has happened."""
        records = self.cli("log", "list", "-type", kind, "-count", 5000)["entries"]
        return sum(one["event"].get("effect", {}).get("observed") == "occurred" for one in records)

    def node(self) -> SpireAgent:
        """A node agent that nobody has attested yet."""
        if self._node is not None:
            self._node.close()
        self._node = self.domain.spire_agent()
        return self._node

    def close(self) -> None:
        if self._node is not None:
            self._node.close()
        self.domain.discard()

    def bundle(self) -> dict[bytes, bool]:
        reply = self.domain.admin.bundles.GetBundle(m.bundle.GetBundleRequest(), timeout=20)
        return {one.asn1: one.tainted for one in reply.x509_authorities}

    def relationships(self) -> set[str]:
        listed = self.cli("federation", "list")["federation_relationships"]
        return {one["trust_domain"] for one in listed}

    def has_bundle(self, trust_domain: str) -> bool:
        request = m.bundle.GetFederatedBundleRequest(trust_domain=trust_domain)
        try:
            held = self.domain.admin.bundles.GetFederatedBundle(request, timeout=20)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.NOT_FOUND:
                raise
            return False
        assert [key.key_id for key in held.jwt_authorities] == [trust_domain]
        return True

    def agents(self) -> set[str]:
        return {one["name"] for one in self.cli("identity", "list")["identities"]}

    def revoked(self) -> set[str]:
        return {item["value"] for item in self.cli("revoke", "list")["items"]}

    def events(self) -> list[dict]:
        """The log's records since this was asked the last time."""
        first, events = self.seen, []
        while True:
            page = json.loads(
                run_cli(
                    "log", "list", "-first", first + len(events), "-count", 5000, "-output", "json",
                    "-socketPath", self.domain.admin_socket,
                ).stdout
            )["entries"]  # fmt: skip
            if not page:
                self.seen = first + len(events)
                return [record["event"] for record in events]
            events.extend(page)


class Refused(Exception):
    """The answer was an error."""


def good(results: list) -> list:
    for result in results:
        if result.status.code != 0:
            raise Refused(result.status.message)
    return results


def acts(plane: Plane) -> list[Act]:
    name = lambda: f"td{plane.number}.test"  # noqa: E731
    jti = lambda: f"jti-{plane.number}"  # noqa: E731
    before: dict = {}

    def nothing() -> None:
        pass

    def remember(key: str, look: Callable) -> Callable:
        def lead() -> None:
            before[key] = look()

        return lead

    def prepared() -> None:
        before["prepared"] = plane.authority("prepared")

    def ready_to_activate() -> None:
        before["next"] = plane.authority("prepared") or plane.cli("localauthority", "x509", "prepare")[
            "prepared_authority"
        ]["authority_id"]

    def one_old() -> None:
        # One that an earlier round has tainted goes first; another one is not tainted, and that is refused.
        if old := plane.authority("old"):
            plane.domain.cli("localauthority", "x509", "revoke", "-authorityID", old, check=False)
        ready_to_activate()
        if not plane.authority("old"):
            plane.domain.cli("localauthority", "x509", "activate", "-authorityID", before["next"])
        before["old"] = plane.authority("old")
        before["tainted"] = sum(plane.bundle().values())

    def tainted_old() -> None:
        one_old()
        plane.domain.cli("localauthority", "x509", "taint", "-authorityID", before["old"], check=False)
        before["count"] = len(plane.bundle())

    def tainted_token_key() -> None:
        before["key"] = plane.authority("old", "oauth")
        if not before["key"]:
            fresh = plane.authority("prepared", "oauth") or plane.cli("localauthority", "oauth", "prepare")[
                "prepared_authority"
            ]["authority_id"]
            plane.domain.cli("localauthority", "oauth", "activate", "-authorityID", fresh)
            before["key"] = plane.authority("old", "oauth")
        plane.domain.cli("localauthority", "oauth", "taint", "-authorityID", before["key"], check=False)

    def token_key_is_gone() -> bool:
        if plane.authority("old", "oauth") == before["key"]:
            return False
        assert before["key"] in plane.revoked(), "gone from the key set, and verifiers that have kept it are not told"
        return True

    def local(act: str, which: str) -> Callable:
        return lambda: plane.domain.cli("localauthority", "x509", act, "-authorityID", before[which])

    def of_kind(kind: str) -> tuple:
        """An authority of tokens: how to prepare and activate one, as with those of certificates."""

        def ready() -> None:
            before["next"] = plane.authority("prepared", kind) or plane.cli("localauthority", kind, "prepare")[
                "prepared_authority"
            ]["authority_id"]

        return (
            Act(f"prepare a key for {kind.upper()}s", "authority.prepare", remember("prepared", lambda: plane.authority("prepared", kind)),
                lambda: plane.domain.cli("localauthority", kind, "prepare"),
                lambda: plane.authority("prepared", kind) != before["prepared"]),
            Act(f"activate a key for {kind.upper()}s", "authority.activate", ready,
                lambda: plane.domain.cli("localauthority", kind, "activate", "-authorityID", before["next"]),
                lambda: plane.authority("active", kind) == before["next"]),
        )  # fmt: skip

    def joining() -> None:
        before["node"], before["token"] = plane.node(), plane.domain.admin.join_token()

    def attested() -> bool:
        listed = plane.cli("agent", "list")["agents"]
        return any(one["id"]["path"].endswith(before["token"]) for one in listed)

    def joined() -> None:
        joining()
        node = before["node"]
        node.attest(before["token"].encode())
        made = plane.domain.admin.create_one(entry(f"{plane.domain.id}/issued/{plane.number}", node.identity.id, ["unix:uid:1"]))
        node.sync()
        before["entry"] = made.id

    def issuing(kind: str) -> Callable:
        """Nothing is stored but the record: whoever got something has to be in it."""

        def lead() -> None:
            joined()
            before["outcomes"] = plane.outcomes(kind)

        return lead

    def sign() -> None:
        (signed,) = before["node"].sign([before["entry"]]).values()
        if signed.code != 0:
            raise Refused(signed.message)

    def issue(name: str, kind: str, do: Callable) -> Act:
        return Act(name, kind, issuing(kind), do, lambda: plane.outcomes(kind) == before["outcomes"] + 1)

    def create_agent() -> str:
        name = f"agent-{plane.number}"
        return plane.cli("identity", "create", "-name", name, "-spiffeID", f"{plane.domain.id}/{name}", "-owner", "o", "-sponsor",
                         "s")["clientId"]  # fmt: skip

    def granted() -> None:
        before["agent"] = create_agent()
        plane.domain.cli("resource", "create", "-id", f"api://{plane.number}", "-scope", "read")
        plane.domain.cli("grant", "create", "-agent", before["agent"], "-resource", f"api://{plane.number}", "-scope", "read")

    def retired() -> bool:
        """Both or neither: the state and the grant."""
        state = plane.cli("identity", "show", "-id", before["agent"])["state"]
        grants = plane.cli("grant", "list", "-agent", before["agent"])["grants"]
        assert (state, len(grants)) in (("enabled", 1), ("retired", 0))
        return state == "retired"

    def serving_agent() -> None:
        """An agent with a registration entry, which go together."""
        before["agent"], before["id"] = create_agent(), f"{plane.domain.id}/agent-{plane.number}"
        plane.cli("entry", "create", "-spiffeID", before["id"], "-parentID", f"{plane.domain.id}/node", "-selector", "unix:uid:1")

    def has_followed(state: str) -> bool:
        """What has to follow from a state of the agent has followed: revocation and entry."""
        items = plane.cli("revoke", "list")["items"]
        reasons = [item["reason"] for item in items if item["value"] == before["id"]]
        has_entry = before["id"] in plane.domain.cli("entry", "show", "-spiffeID", before["id"]).stdout
        return (reasons, has_entry) == {
            "enabled": ([], True), "disabled": (["identity disabled"], True), "retired": (["identity retired"], False),
        }[state]  # fmt: skip

    def bar(act: str) -> Callable:
        def do() -> None:
            plane.domain.cli("identity", act, "-id", before["agent"])
            # The rest happens by itself, and dies at its writes too.
            eventually(lambda: has_followed(f"{act}d"), "what holds the agent up is taken back")

        return do

    def is_barred() -> bool:
        state = plane.cli("identity", "show", "-id", before["agent"])["state"]
        # Whatever was cut off: the next start makes it good, and takes nothing from whom nobody barred.
        eventually(lambda: has_followed(state), f"what follows from an agent that is {state}, over a restart too")
        return state != "enabled"

    def disabled_agent() -> None:
        serving_agent()
        bar("disable")()

    def is_enabled() -> bool:
        state = plane.cli("identity", "show", "-id", before["agent"])["state"]
        eventually(lambda: has_followed(state), f"what follows from an agent that is {state}, over a restart too")
        return state == "enabled"

    def card() -> Path:
        path = plane.domain.folder / f"card-{plane.number}.json"
        params = {"spiffeId": f"{plane.domain.id}/listed-{plane.number}", "trustDomain": plane.domain.name}
        path.write_text(json.dumps({
            "name": "Listed", "version": "1", "skills": [],
            "supportedInterfaces": [{"url": "https://listed.test", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
            "capabilities": {"extensions": [{"uri": "https://agentshield.dev/a2a/identity/v1", "params": params}]},
        }))  # fmt: skip
        return path

    def register_card() -> None:
        plane.cli("registry", "register", "-name", f"listed-{plane.number}", "-path", card())

    def approve_card() -> None:
        digest = hashlib.sha256(card().read_bytes()).hexdigest()
        plane.cli("registry", "approve", "-name", f"listed-{plane.number}", "-digest", digest)

    def is_listed(state: str) -> bool:
        """The agent with its card, or neither."""
        name = f"listed-{plane.number}"
        found = [one for one in plane.cli("registry", "list")["agents"] if one["name"] == name]
        if not found or found[0]["state"] != state:
            return False
        digest = found[0]["versions"][-1]["digest"]
        shown = plane.domain.cli("registry", "show", "-name", name, "-card", "-digest", digest).stdout
        assert shown.rstrip("\n") == card().read_text()
        return True

    def made_batch() -> None:
        before["entry"] = good(plane.domain.admin.create(*plane.batch()))[1].entry.id

    return [
        Act("create entries", "entry.create", nothing, lambda: good(plane.domain.admin.create(*plane.batch())), plane.has_batch),
        # One of them: each deletion of a batch is an act of its own.
        Act("delete an entry", "entry.delete", made_batch, lambda: good(plane.domain.admin.delete(before["entry"])),
            lambda: before["entry"] not in {one.id for one in plane.entries()}),
        Act("create a relationship", "federation.create", nothing,
            lambda: plane.domain.cli("federation", "create", "-trustDomain", name(), "-bundleEndpointURL",
                                     f"https://{name()}/", "-bundleEndpointProfile", "https_web"),
            lambda: name() in plane.relationships()),
        Act("set a bundle", "bundle.set", nothing,
            lambda: plane.domain.cli("bundle", "set", "-id", f"spiffe://{name()}", "-path", plane.file(name()), "-format", "spiffe"),
            lambda: plane.has_bundle(name())),
        Act("revoke", "revocation.add", nothing, lambda: plane.domain.cli("revoke", "-jti", jti()),
            lambda: jti() in plane.revoked()),
        Act("take back", "revocation.remove", lambda: plane.domain.cli("revoke", "-jti", jti()),
            lambda: plane.domain.cli("unrevoke", "-jti", jti()), lambda: jti() not in plane.revoked()),
        Act("make a join token", "token.create", remember("tokens", plane.tokens), lambda: plane.domain.admin.join_token(),
            lambda: plane.tokens() == before["tokens"] + 1),
        Act("prepare an authority", "authority.prepare", prepared,
            lambda: plane.domain.cli("localauthority", "x509", "prepare"),
            lambda: plane.authority("prepared") != before["prepared"]),
        Act("activate an authority", "authority.activate", ready_to_activate, local("activate", "next"),
            lambda: plane.authority("active") == before["next"]),
        Act("taint an authority", "authority.taint", one_old, local("taint", "old"),
            lambda: sum(plane.bundle().values()) > before["tainted"]),
        Act("revoke an authority", "authority.revoke", tainted_old, local("revoke", "old"),
            lambda: len(plane.bundle()) < before["count"]),
        Act("revoke a key of access tokens", "authority.revoke", tainted_token_key,
            lambda: plane.domain.cli("localauthority", "oauth", "revoke", "-authorityID", before["key"]), token_key_is_gone),
        Act("create an agent", "identity.create", nothing, lambda: create_agent(), lambda: f"agent-{plane.number}" in plane.agents()),
        Act("retire an agent with its grant", "identity.retire", granted,
            lambda: plane.domain.cli("identity", "retire", "-id", f"agent-{plane.number}"), retired),
        Act("disable an agent, and all that follows", "identity.disable", serving_agent, bar("disable"), is_barred),
        Act("enable an agent, and all that follows", "identity.enable", disabled_agent, bar("enable"), is_enabled),
        Act("retire an agent, and all that follows", "identity.retire", serving_agent, bar("retire"), is_barred),
        Act("register an agent card", "registry.register", nothing, register_card, lambda: is_listed("pending")),
        Act("approve an agent card", "registry.approve", register_card, approve_card, lambda: is_listed("active")),
        *of_kind("jwt"),
        *of_kind("wit"),
        *of_kind("card"),
        Act("attest a node", "node.attest", joining, lambda: before["node"].attest(before["token"].encode(), adopt=False), attested),
        issue("renew a node", "node.renew", lambda: before["node"].renew()),
        issue("issue a certificate", "svid.x509.issue", sign),
        issue("issue a token", "svid.jwt.issue", lambda: before["node"].jwt(before["entry"], ["a"])),
    ]  # fmt: skip


def round_of(plane: Plane, act: Act, number: int) -> None:
    domain = plane.domain
    plane.number += 1
    act.lead()
    plane.events()
    assert not act.there(), f"{act.name}: it is there before it is done"
    try:
        deadly = Deadly(domain.server.pid, number)
    except DiedAlready:
        # Of a write of its own, as of the keys that it makes a moment after its start: the act is for the next round.
        domain.end(domain.server, 9)
        domain.start_server()
        domain.cli("log", "verify")
        assert not act.there(), f"{act.name}: it is there and was not done"
        return
    try:
        act.do()
        told = True
    except (grpc.RpcError, CommandFailed, Refused) as error:
        told, failure = False, error
    finally:
        deadly.detach()
    if not told:
        with contextlib.suppress(subprocess.TimeoutExpired):
            domain.server.popen.wait(20)
    act.tried.add(number)
    if domain.server.popen.poll() is None:
        act.survives = min(number, act.survives or number)
        assert told, f"{act.name} failed without a kill: {failure}"
        assert act.there()
        return
    domain.end(domain.server, 9)
    domain.start_server()
    where = f"{act.name}, killed at write {number}"
    domain.cli("log", "verify")
    there = act.there()
    # Keys for access tokens are made by themselves too, an RSA key a moment after the start: no act of this test.
    events = [e for e in plane.events() if e["type"] == act.kind and not is_by_itself(e)]
    intents = [event for event in events if event["phase"] == "intent"]
    outcomes = [event for event in events if event["phase"] == "outcome"]
    assert len(outcomes) <= len(intents), where
    assert not told or there, f"{where}: a client was told of what is not there"
    if there:
        assert intents, f"{where}: there without a record"
    if told or any(event["effect"]["observed"] == "occurred" for event in outcomes):
        assert there, f"{where}: recorded and not there"
    # Nothing half-written is left: of each kind the key that signs, at most one that will, and those of former authorities.
    keys = [path.name for path in (domain.data / "keys" / "authorities").iterdir()]
    assert all(name.endswith(".pem") for name in keys), f"{where}: {sorted(keys)}"


def is_by_itself(event: dict) -> bool:
    own = event["resource"]["kind"] in ("oauth-authority", "entra-authority")
    return own and event["agent"]["auth_method"] == "internal"


ACTS = [act.name for act in acts(Plane(None))]


@pytest.fixture
def plane():
    plane = Plane(Deployment("every-write.test", server=["-socketApprover", f"{os.geteuid()} ann@example.org"]))
    try:
        plane.domain.start_server()
        yield plane
    finally:
        plane.close()


@pytest.fixture(scope="module")
def cut_short():
    """Acts whose later writes were not all tried."""
    told: list[str] = []
    yield told
    if told:
        warnings.warn("not every write was tried: " + "; ".join(told), stacklevel=1)


@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
@pytest.mark.parametrize("name", ACTS)
def test_an_act_is_wholly_there_or_wholly_absent_at_whatever_write_it_dies(plane, name, cut_short):
    (act,) = (one for one in acts(plane) if one.name == name)
    deadline = time.monotonic() + SECONDS / len(ACTS)
    while (number := act.next()) is not None:
        round_of(plane, act, number)
        if time.monotonic() > deadline and len(act.tried) > 2:
            break
    if act.next() is not None:
        cut_short.append(f"{name}: {sorted(act.tried)} of {act.survives - 1 if act.survives else 'an unknown number'}")
    print(f"{act.name}: tried {sorted(act.tried)}, survives {act.survives}")
    assert 1 in act.tried and act.survives != 1, "it has died once at least"
    plane.domain.stop()
    assert run_cli("log", "verify", "-dataDir", plane.domain.data).returncode == 0
