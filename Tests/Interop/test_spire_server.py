"""Our node agent under a stand-in for SPIRE's server, which has nothing of ours: no push, no revocations, no WIT-SVIDs.

The server's messages come from the field numbers alone (`wire/proto`); it refuses as SPIRE does, and it keeps every call,
so that the tests also see what the agent asked for, in which order and how often.
"""

import json
import os
import shutil
import threading
import time
from datetime import timedelta
from pathlib import Path

import grpc
import jwt
import pytest
from cryptography import x509

from harness import domain as shield
from harness import rules
from harness.polling import eventually
from harness.process import Process
from wire import messages as m
from wire import x509pop as pop
from wire.spire_authority import JWTAuthority, X509Authority, der
from wire.spire_server import Denied, SpireServer
from wire.workload import Workload, first

ME = f"unix:uid:{os.geteuid()}"


class Agent:
    """`agentshield agent run` under a stand-in."""

    def __init__(self, server: SpireServer, *flags, interval: str = "1s"):
        self.server, self.flags, self.interval = server, flags, interval
        self.folder = shield.temporary_folder()
        self.bundle = self.folder / "bootstrap.pem"
        self.bundle.write_bytes(server.roots_pem)
        self.process = None
        self.socket = self.folder / "w.sock"
        self.ready = self.folder / "ready.json"
        self.spawned = 0.0

    def spawn(self, *flags) -> "Agent":
        self.ready.unlink(missing_ok=True)
        self.spawned = time.time()
        self.process = Process(
            "agent",
            [
                shield.default_binary(), "agent", "run", "-dataDir", self.folder / "data", "-trustDomain",
                self.server.trust_domain, "-serverAddress", "127.0.0.1", "-serverPort", self.server.port,
                "-trustBundle", self.bundle, "-socketPath", self.socket, "-readyFile", self.ready,
                "-syncInterval", self.interval, *self.flags, *flags,
            ],
            self.folder,
        )  # fmt: skip
        return self

    def start(self, *flags) -> "Agent":
        self.spawn(*flags)
        self.process.wait_ready(self.ready)
        return self

    def join(self) -> "Agent":
        return self.start("-joinToken", self.server.join_token())

    @property
    def id(self) -> str:
        """The ID of the only node that the server knows."""
        (node_id,) = self.server.nodes
        return node_id

    def workload(self) -> Workload:
        return Workload(str(self.socket))

    def svids(self) -> dict:
        """What this process gets now, by path; empty when it has no identity."""
        with self.workload() as api:
            try:
                return {one.spiffe_id.removeprefix(self.server.id): one for one in first(api.x509_svids()).svids}
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.PERMISSION_DENIED:
                    raise
                return {}

    def wait_for(self, *paths: str, within: float = 15) -> dict:
        wanted = sorted(paths)
        eventually(
            lambda: sorted(self.svids()) == wanted, f"exactly {wanted}", within=within, ignore=(grpc.RpcError,)
        )
        return self.svids()

    def exit_code(self, within: float = 20) -> int:
        return eventually(lambda: (self.process.popen.poll(),) if self.process.popen.poll() is not None else None,
                          "the agent ends", within=within)[0]  # fmt: skip

    def complaints(self) -> list[str]:
        """Log lines that would alarm an operator."""
        lines = (json.loads(line) for line in self.process.log(10_000).splitlines() if line.startswith("{"))
        return [str(line) for line in lines if line.get("level") in ("warning", "error", "critical")]

    def discard(self) -> None:
        if self.process is not None:
            self.process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture
def spire():
    with SpireServer() as server:
        yield server


@pytest.fixture
def run():
    """Makes node agents for one test."""
    made = []

    def make(server, *flags, **options) -> Agent:
        made.append(Agent(server, "-logFormat", "json", *flags, **options))
        return made[-1]

    yield make
    for agent in made:
        agent.discard()


@pytest.fixture
def joined(spire, run):
    """A node agent that joined, with one entry for this process."""
    agent = run(spire).join()
    agent.entry = spire.entry("/work", agent.id, [ME])
    agent.wait_for("/work")
    return agent


@pytest.fixture
def machine(spire, tmp_path):
    """Flags of a node with a certificate that the stand-in knows."""
    root = pop.authority("machines")
    spire.pop_check = pop.verifier(root)
    certificate, key = pop.issue("node 1", root).write(tmp_path, "node")
    return ["-x509popCertificate", certificate, "-x509popPrivateKey", key]


def leaf_of(svid) -> x509.Certificate:
    return x509.load_der_x509_certificate(rules.split_der(svid.x509_svid)[0])


def unavailable() -> Denied:
    return Denied(grpc.StatusCode.UNAVAILABLE, "the data store is away")


# Order, masks, intervals


def test_the_order_of_the_first_calls_is_that_of_spires_agent(spire, run):
    """Attest and bundle without a certificate; then, with one, entries, bundle and status"""
    agent = run(spire).join()
    eventually(lambda: spire.of("PostStatus"), "the status is posted")
    calls = [(call.method, call.caller) for call in spire.calls[:2]]
    assert calls == [("AttestAgent", None), ("GetBundle", None)]
    assert {call.caller for call in spire.calls[2:]} == {agent.id}
    params = spire.of("AttestAgent")[0].messages[0].params
    assert params.data.type == "join_token" and agent.id.endswith(params.data.payload.decode())
    request = x509.load_der_x509_csr(params.params.csr)
    assert request.is_signature_valid and not [e for e in request.extensions if "spiffe" in str(e.value)]
    assert spire.nodes[agent.id].version


def test_the_mask_is_that_of_spires_agent_and_the_end_of_entries(spire, joined):
    """SPIRE's agent leaves their end to the server's next answer; ours lets entries end by its own clock."""
    (request,) = spire.of("SyncAuthorizedEntries")[0].messages
    asked = {name.name for name, value in request.output_mask.ListFields() if value}
    assert asked == {
        "spiffe_id", "selectors", "federates_with", "admin", "downstream", "revision_number", "store_svid", "hint",
        "created_at", "additional_attributes", "expires_at",
    }  # fmt: skip


def test_without_news_from_the_server_it_is_asked_every_5_seconds(spire, run):
    """The default; and what only our control plane has is tried once, without a word to alarm anybody"""
    agent = run(spire, interval="5s").join()
    time.sleep(11)
    times = [call.at for call in spire.of("SyncAuthorizedEntries")]
    gaps = [later - earlier for earlier, later in zip(times, times[1:])]
    assert len(gaps) == 2 and all(4.5 < gap < 7 for gap in gaps), gaps
    tried = [method for method, _ in spire.unknown]
    assert all("/agentshield." in method for method in tried) and len(tried) == len(set(tried)), tried
    assert agent.complaints() == []


# Credentials


@pytest.mark.parametrize("kind", ["ec-p256", "ec-p384", "rsa-2048"])
def test_every_kind_of_authority(run, kind):
    """SPIRE's `ca_key_type`: certificates and tokens of each verify, and the node renews under it"""
    with SpireServer(f"{kind}.test", kind) as server:
        agent = run(server).join()
        entry = server.entry("/work", agent.id, [ME], dns_names=["work.test"], hint="main")
        svid = agent.wait_for("/work")["/work"]
        assert svid.hint == "main" and svid.bundle == der(server.authority.certificate)
        leaf = rules.check_x509_svid(svid, server.trust_domain, f"{server.id}/work")
        assert leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
            x509.DNSName
        ) == ["work.test"]
        with agent.workload() as api:
            (token,) = api.jwt_svid(["a", "b"]).svids
            claims = jwt.decode(
                token.svid, server.jwt_authority.key.public_key(), ["ES256", "ES384", "RS256"], audience="b"
            )
            assert claims["sub"] == f"{server.id}/work" and claims["aud"] == ["a", "b"]
            assert api.validate("a", token.svid).spiffe_id == f"{server.id}/work"
        (call,) = server.of("NewJWTSVID")
        assert call.request.entry_id == entry.id and list(call.request.audience) == ["a", "b"]


def test_below_an_upstream_authority_the_chain_has_the_intermediate(run):
    with SpireServer("upstream.test", upstream=True) as server:
        agent = run(server).join()
        server.entry("/work", agent.id, [ME])
        svid = agent.wait_for("/work")["/work"]
        chain = rules.split_der(svid.x509_svid)
        assert chain[1:] == [der(server.authority.certificate)]
        assert rules.split_der(svid.bundle) == [der(server.upstream.certificate)]


def test_a_token_is_kept_until_half_of_its_life(spire, joined):
    with joined.workload() as api:
        tokens = {api.jwt_svid(["a"]).svids[0].svid for _ in range(5)}
        assert len(tokens) == 1 and len(spire.of("NewJWTSVID")) == 1
        api.jwt_svid(["other"])
        assert len(spire.of("NewJWTSVID")) == 2


def test_a_server_without_the_jwt_profile(spire, joined):
    """`disable_jwt_svids`: Unavailable to the workload, and certificates go on"""
    spire.refuse("NewJWTSVID", Denied(grpc.StatusCode.UNIMPLEMENTED, "JWT-SVIDs are disabled"))
    with joined.workload() as api, pytest.raises(grpc.RpcError) as error:
        api.jwt_svid(["a"])
    assert error.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNIMPLEMENTED)
    assert set(joined.svids()) == {"/work"}


def test_what_spires_server_does_not_have(spire, joined):
    """No WIT-SVIDs; no revocations either, which must not keep a token from validating"""
    with joined.workload() as api:
        call = api.channel.unary_stream(
            "/SpiffeWorkloadAPI/FetchWITSVID", lambda message: message.SerializeToString(), m.workload.Empty.FromString
        )
        with pytest.raises(grpc.RpcError) as error:
            first(call(m.workload.Empty(), metadata=(("workload.spiffe.io", "true"),), timeout=10))
        assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED
        (token,) = api.jwt_svid(["a"]).svids
        assert api.validate("a", token.svid).spiffe_id == f"{spire.id}/work"
        assert not first(api.x509_svids()).crl


# Entries


def test_changes_are_found_by_asking(spire, joined):
    spire.change(joined.entry.id, hint="changed")
    eventually(lambda: joined.svids()["/work"].hint == "changed", "the hint is there")
    spire.delete(joined.entry.id)
    joined.wait_for()


def test_a_change_that_the_mask_hides_is_signed_anew(spire, joined):
    """DNS names and lifetimes are not in the mask; the revision number is"""
    before = leaf_of(joined.svids()["/work"]).serial_number
    with spire.lock:
        joined.entry.dns_names.append("new.test")
    spire.change(joined.entry.id)
    eventually(lambda: leaf_of(joined.svids()["/work"]).serial_number != before, "a new certificate")
    assert b"new.test" in joined.svids()["/work"].x509_svid


def test_1200_entries_come_as_revisions_and_in_portions_of_500(spire, run):
    """Then only what changed is asked for; signing goes in batches of at most 500"""
    spire.entry("/rack", f"{spire.id}/spire/server", [ME])
    token = spire.join_token()
    node = f"{spire.id}/spire/agent/join_token/{token}"
    made = [spire.entry(f"/many/{i}", node, ["unix:uid:4000000"]) for i in range(1200)]
    agent = run(spire).start("-joinToken", token)
    calls = spire.of("SyncAuthorizedEntries")[0]
    asked = [list(message.ids) for message in calls.messages[1:]]
    assert [len(ids) for ids in asked] == [500, 500, 200] and {i for ids in asked for i in ids} == {e.id for e in made}
    batches = [len(call.request.params) for call in spire.of("BatchNewX509SVID")]
    assert sum(batches) >= 1000 and max(batches) <= 500, batches

    spire.change(made[7].id, hint="changed")
    spire.delete(made[8].id)
    since = time.time()
    eventually(
        lambda: any(len(c.messages) > 1 for c in spire.of("SyncAuthorizedEntries", since)), "the change is asked for"
    )
    (change,) = [c for c in spire.of("SyncAuthorizedEntries", since) if len(c.messages) > 1]
    assert [list(message.ids) for message in change.messages[1:]] == [[made[7].id]]
    assert agent.complaints() == []


def test_a_batch_that_is_too_large_is_halved(spire, run):
    spire.batch = 100
    token = spire.join_token()
    node = f"{spire.id}/spire/agent/join_token/{token}"
    for i in range(300):
        spire.entry(f"/many/{i}", node, [ME] if i == 299 else ["unix:uid:4000000"])
    agent = run(spire).start("-joinToken", token)
    agent.wait_for("/many/299")
    eventually(
        lambda: sum(len(c.request.params) for c in spire.of("BatchNewX509SVID") if len(c.request.params) <= 100) >= 300,
        "everything is signed",
    )


def test_a_refused_signature_of_one_entry_does_not_touch_the_others(spire, run):
    """NotFound for an entry that has gone since it was listed"""
    agent = run(spire).join()
    gone = spire.entry("/gone", agent.id, ["unix:uid:4000000"])
    hidden, authorized = set(), spire.authorized

    def for_signing(node_id):
        return {i: e for i, e in authorized(node_id).items() if i not in hidden}

    original = spire.begin

    def begin(method, context, request=None):
        hidden.clear()
        if method == "BatchNewX509SVID":
            hidden.add(gone.id)
        return original(method, context, request)

    spire.authorized, spire.begin = for_signing, begin
    spire.entry("/stays", agent.id, [ME])
    agent.wait_for("/stays")


@pytest.mark.parametrize("finder", ["the exchange of entries", "the signature"])
def test_an_entry_that_goes_while_a_workload_waits_for_it(spire, run, finder):
    """Whoever finds it first: the answer is that there is no identity, and it comes once and at once"""
    agent = run(spire).join()
    held, go = threading.Event(), threading.Event()
    original = spire.begin

    def begin(method, context, request=None):
        if method == "BatchNewX509SVID":
            held.set()
            go.wait(20)
        return original(method, context, request)

    spire.begin = begin
    entry = spire.entry("/brief", agent.id, [ME])
    assert held.wait(10)
    with agent.workload() as api:
        waiting = api.x509_svids()
        # The agent has the call by now; nothing outside tells.
        assert eventually(lambda: waiting.is_active(), "the call is under way")
        time.sleep(0.5)
        spire.delete(entry.id)
        if finder == "the signature":
            go.set()
        try:
            with pytest.raises(grpc.RpcError) as refused:
                first(waiting)
        finally:
            go.set()
    assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED


def test_an_entry_that_has_gone_when_its_token_is_signed(spire, joined):
    """The server's word counts, though the exchange of entries has not told yet"""
    gone = Denied(grpc.StatusCode.NOT_FOUND, "entry not found or not authorized")
    spire.refuse("NewJWTSVID", gone)
    with joined.workload() as api:
        with pytest.raises(grpc.RpcError) as refused:
            api.jwt_svid(["a"])
        assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
        spire.accept("NewJWTSVID")
        assert api.jwt_svid(["a"]).svids


def test_entries_that_are_not_for_the_workload_api(spire, joined):
    """`store_svid` is for stores; without prefetch it is signed when somebody asks"""
    spire.entry("/stored", joined.id, [ME], store_svid=True)
    lazy = spire.entry(
        "/lazy", joined.id, [ME, "unix:gid:4000000"],
        additional_attributes=m.types.EntryAttributes(disable_x509_svid_prefetch=True),
    )  # fmt: skip
    spire.entry("/third", joined.id, [ME])
    joined.wait_for("/third", "/work")
    signed = {p.entry_id for call in spire.of("BatchNewX509SVID") for p in call.request.params}
    assert lazy.id not in signed
    with spire.lock:
        del lazy.selectors[1:]
    spire.change(lazy.id)
    joined.wait_for("/lazy", "/third", "/work")


def test_entries_that_cannot_be_served_are_left_out(spire, joined):
    broken = spire.entry("/broken", joined.id, [ME])
    with spire.lock:
        broken.spiffe_id.path = "no/slash"
    spire.entry("/bare", joined.id, [])
    spire.entry("/good", joined.id, [ME])
    joined.wait_for("/good", "/work")


# Bundles


def test_a_prepared_authority_is_in_the_bundle_before_it_is_used(spire, joined):
    new = spire.prepare()
    eventually(lambda: der(new.certificate) in rules.split_der(joined.svids()["/work"].bundle), "it is published")
    spire.activate(new)
    spire.tunnel.cut()  # the server's own certificate is now below the new one
    before = leaf_of(joined.svids()["/work"]).serial_number
    spire.change(joined.entry.id)
    eventually(lambda: leaf_of(joined.svids()["/work"]).serial_number != before, "a certificate below the new one")
    rules.check_signed_by(leaf_of(joined.svids()["/work"]), [new.certificate])


def test_an_authority_that_is_newer_than_the_bundle_at_hand(spire, run):
    """Nothing is handed out before the bundle has its authority"""
    agent = run(spire, interval="10m").join()
    spire.entry("/work", agent.id, [ME])
    publish = spire.bundle
    old, new = publish(), spire.prepare()
    spire.tls_authority = spire.authority
    spire.activate(new)
    # A server that answers from an older copy of its data, twice.
    stale = [old, old]
    spire.bundle = lambda: stale.pop() if stale else publish()
    agent.process.stop()
    agent.start()
    svid = agent.wait_for("/work")["/work"]
    rules.check_signed_by(leaf_of(svid), [x509.load_der_x509_certificate(d) for d in rules.split_der(svid.bundle)])


def test_taint_has_everything_signed_anew_and_revocation_takes_it_away(spire, joined):
    """SVIDs by the authority, tokens by the key ID, the node's own certificate too"""
    old, old_key = spire.authority, spire.jwt_authority
    with joined.workload() as api:
        token = api.jwt_svid(["a"]).svids[0].svid
    node_serial = spire.nodes[joined.id].serial
    new = spire.prepare()
    eventually(lambda: der(new.certificate) in rules.split_der(joined.svids()["/work"].bundle), "it is published")
    spire.activate(new)
    spire.rotate_jwt()
    spire.taint(old)
    spire.taint(old_key)
    eventually(
        lambda: leaf_of(joined.svids()["/work"]).issuer == new.certificate.subject, "the workload's is signed anew"
    )

    def other_token():
        with joined.workload() as api:
            return api.jwt_svid(["a"]).svids[0].svid != token

    eventually(other_token, "the token is signed anew")
    eventually(lambda: spire.nodes[joined.id].serial != node_serial, "the node's certificate is another one")
    spire.revoke(old)
    spire.revoke(old_key)
    spire.tunnel.cut()
    eventually(
        lambda: rules.split_der(joined.svids()["/work"].bundle) == [der(new.certificate)],
        "the revoked authority is gone",
        ignore=(grpc.RpcError,),
    )
    with joined.workload() as api, pytest.raises(grpc.RpcError) as error:
        api.validate("a", token)
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_bundles_of_other_trust_domains_come_one_by_one(spire, joined):
    """GetFederatedBundle for what entries name; a bundle that the server lacks keeps nothing else back"""
    other = X509Authority("other.test")
    spire.federated["other.test"] = m.types.Bundle(
        trust_domain="other.test", sequence_number=3, refresh_hint=60,
        x509_authorities=[m.types.X509Certificate(asn1=der(other.certificate))],
        jwt_authorities=[JWTAuthority().message()],
    )  # fmt: skip
    with spire.lock:
        joined.entry.federates_with.extend(["other.test", "missing.test"])
    spire.change(joined.entry.id)

    def federated():
        with joined.workload() as api:
            return dict(first(api.x509_svids()).federated_bundles)

    eventually(lambda: federated() == {"spiffe://other.test": der(other.certificate)}, "the other bundle is there")
    assert {c.request.trust_domain for c in spire.of("GetFederatedBundle")} == {"other.test", "missing.test"}
    del spire.federated["other.test"]
    eventually(lambda: federated() == {}, "the other bundle is gone")


# The node's own certificate


def test_the_serial_numbers_at_a_renewal(spire, run):
    """Current and next: each new certificate becomes current with its first use, and no call is refused meanwhile"""
    spire.agent_ttl = timedelta(seconds=12)
    agent = run(spire).join()
    spire.entry("/work", agent.id, [ME])
    agent.wait_for("/work")
    serials = set()

    def renewed_twice():
        serials.add(spire.nodes[agent.id].serial)
        return len(serials) >= 3

    eventually(renewed_twice, "two renewals were taken up", within=40)
    assert len(spire.of("RenewAgent")) >= 2 and len(spire.of("AttestAgent")) == 1
    assert agent.complaints() == []
    assert set(agent.svids()) == {"/work"}


def test_a_renewal_that_was_lost(spire, run):
    """The server signed, the answer never came: the old certificate is still the current one, and it is tried again"""
    spire.agent_ttl = timedelta(seconds=10)
    agent = run(spire).join()
    spire.refuse("RenewAgent", unavailable(), times=1)
    eventually(lambda: len(spire.of("RenewAgent")) >= 2, "it is tried again", within=20)
    spire.entry("/work", agent.id, [ME])
    agent.wait_for("/work")


def test_a_restart_needs_no_token(spire, joined):
    joined.process.stop()
    joined.start()
    joined.wait_for("/work")
    assert len(spire.of("AttestAgent")) == 1


# Away and back


def test_a_server_that_is_away(spire, joined):
    """What is at hand is served; afterwards changes are found again"""
    spire.stop()
    assert set(joined.svids()) == {"/work"}
    time.sleep(3)
    assert set(joined.svids()) == {"/work"} and joined.process.popen.poll() is None
    spire.start()
    spire.entry("/new", joined.id, [ME])
    joined.wait_for("/new", "/work", within=30)


@pytest.mark.long
@pytest.mark.parametrize("method", ["SyncAuthorizedEntries", "GetBundle"])
def test_waits_grow_while_the_server_is_unavailable(spire, joined, method):
    """SPIRE's back-off: half as long again each time, a tenth more or less, up to 48 times the interval"""
    spire.refuse(method, unavailable())
    since = time.time()
    eventually(lambda: len(spire.of("SyncAuthorizedEntries", since)) >= 7, "seven attempts", within=60)
    times = [call.at for call in spire.of("SyncAuthorizedEntries", since)]
    gaps = [later - earlier for earlier, later in zip(times, times[1:])][:6]
    assert all(later > earlier * 1.05 for earlier, later in zip(gaps, gaps[1:])), gaps
    spire.accept()
    spire.entry("/new", joined.id, [ME])
    joined.wait_for("/new", "/work", within=30)
    since = time.time()
    eventually(lambda: len(spire.of("SyncAuthorizedEntries", since)) >= 3, "every second again", within=6)


def test_signing_is_not_hurried_while_the_server_is_unavailable(spire, joined):
    spire.refuse("BatchNewX509SVID", unavailable())
    spire.entry("/new", joined.id, [ME])
    since = time.time()
    time.sleep(6)
    assert 1 <= len(spire.of("BatchNewX509SVID", since)) <= 8
    spire.accept()
    joined.wait_for("/new", "/work", within=30)


def test_connections_that_the_server_closes_after_a_while(run):
    """SPIRE's server does so every 3 minutes; no call may fail because of it"""
    server = SpireServer("aging.test")
    server.max_connection_age_ms = 1000
    with server:
        agent = run(server).join()
        server.entry("/work", agent.id, [ME])
        agent.wait_for("/work")
        before = server.tunnel.accepted
        time.sleep(8)
        assert server.tunnel.accepted - before >= 3, "connections were closed"
        assert agent.complaints() == []
        server.entry("/new", agent.id, [ME])
        agent.wait_for("/new", "/work")


def test_connections_that_break(spire, joined):
    for number in range(5):
        spire.tunnel.cut()
        spire.entry(f"/new/{number}", joined.id, [ME])
        joined.wait_for("/work", *(f"/new/{n}" for n in range(number + 1)))


def test_a_server_that_is_not_yet_there(spire, run):
    """The agent waits, and the token is spent once"""
    spire.stop()
    agent = run(spire).spawn("-joinToken", spire.join_token())
    time.sleep(2)
    assert agent.process.popen.poll() is None
    spire.start()
    agent.process.wait_ready(agent.ready)
    assert len(spire.of("AttestAgent")) == 1


# Refusals and their reasons

LOST = ["AGENT_EXPIRED", "AGENT_NOT_ATTESTED", "AGENT_NOT_ACTIVE"]


@pytest.mark.parametrize("reason", LOST)
def test_a_node_that_joined_by_token_ends(spire, joined, reason):
    """It cannot attest again by itself; with a new token it comes back, as another node"""
    spire.refuse("SyncAuthorizedEntries", Denied.agent(reason))
    assert joined.exit_code() != 0
    spire.accept()
    old = joined.id
    spire.evict(old)
    joined.process.stop()
    joined.start("-joinToken", spire.join_token())
    assert joined.id != old


@pytest.mark.parametrize("reason", LOST)
def test_a_node_with_a_certificate_attests_again(spire, run, machine, reason):
    agent = run(spire, *machine).start()
    spire.entry("/work", agent.id, [ME])
    agent.wait_for("/work")
    spire.refuse("SyncAuthorizedEntries", Denied.agent(reason), times=1)
    eventually(lambda: len(spire.of("AttestAgent")) == 2, "it attested again", within=20)
    assert set(agent.wait_for("/work")) == {"/work"}
    assert agent.process.popen.poll() is None and len(spire.of("AttestAgent")) == 2


def test_a_banned_node_forgets_its_certificate_and_ends(spire, joined):
    kept = joined.folder / "data" / "svid.pem"
    assert kept.exists()
    spire.ban(joined.id)
    assert joined.exit_code() != 0
    assert not kept.exists()


def test_a_banned_node_with_a_certificate_ends_too(spire, run, machine):
    agent = run(spire, *machine).start()
    spire.ban(agent.id)
    assert agent.exit_code() != 0
    assert len(spire.of("AttestAgent")) == 1 and not (agent.folder / "data" / "svid.pem").exists()


def test_evicted_nodes(spire, run, machine, joined):
    """A real eviction: one that joined by token ends, one with a certificate is back"""
    joined_id = joined.id
    agent = run(spire, *machine).start()
    (other,) = set(spire.nodes) - {joined_id}
    spire.evict(joined_id)
    spire.evict(other)
    assert joined.exit_code() != 0
    eventually(lambda: other in spire.nodes, "the node with a certificate is back", within=20)
    assert agent.process.popen.poll() is None


def test_renewal_of_a_node_that_must_attest_again(spire, run, machine):
    """Re-attestable nodes attest anew at half of their life, also after a restart that forgot what they are"""
    spire.agent_ttl = timedelta(seconds=10)
    agent = run(spire, *machine).start()
    eventually(lambda: len(spire.of("AttestAgent")) >= 2, "it attests again", within=20)
    assert not spire.of("RenewAgent")
    agent.process.stop()
    since = time.time()
    agent.start()
    eventually(lambda: spire.of("AttestAgent", since), "it attests again", within=20)
    assert len(spire.nodes) == 1


def test_a_node_that_joined_by_token_and_must_attest_again(spire, run):
    spire.agent_ttl = timedelta(seconds=10)
    agent = run(spire).join()
    spire.refuse("RenewAgent", Denied.agent("AGENT_MUST_REATTEST"))
    assert agent.exit_code() != 0


def test_a_refusal_without_a_reason_is_not_the_end(spire, joined):
    """Authorization of the server's operator: asked again, served on"""
    spire.refuse("SyncAuthorizedEntries", Denied(grpc.StatusCode.PERMISSION_DENIED, "authorization denied"))
    time.sleep(3)
    assert joined.process.popen.poll() is None and set(joined.svids()) == {"/work"}
    spire.accept()
    spire.entry("/new", joined.id, [ME])
    joined.wait_for("/new", "/work", within=30)


@pytest.mark.parametrize("token", ["used", "unknown"])
def test_a_token_that_is_refused_ends_the_start(spire, run, token):
    agent = run(spire).spawn("-joinToken", "11111111-2222-3333-4444-555555555555")
    if token == "used":
        agent.exit_code()
        agent.process.stop()
        given = spire.join_token()
        with run(spire).start("-joinToken", given).workload():
            agent.spawn("-joinToken", given)
    assert agent.exit_code() != 0
    assert not agent.ready.exists()


def test_a_post_of_the_status_that_fails_is_not_missed(spire, run):
    spire.refuse("PostStatus", Denied(grpc.StatusCode.UNIMPLEMENTED, "older than this call"))
    agent = run(spire).join()
    spire.entry("/work", agent.id, [ME])
    agent.wait_for("/work")
    assert agent.complaints() == []


# Servers that are not to be believed


def test_a_server_with_another_id(run):
    server = SpireServer("impostor.test")
    issue = server.authority.issue
    server.authority.issue = lambda key, spiffe_id, ttl, dns=(): issue(
        key, spiffe_id.replace("/spire/server", "/spire/agent/x"), ttl, dns
    )
    with server:
        agent = run(server).spawn("-joinToken", server.join_token())
        eventually(lambda: server.tunnel.accepted >= 2, "it tried")
        assert not server.calls and not agent.ready.exists()


def test_a_server_of_another_authority(spire, run):
    with SpireServer(spire.trust_domain) as stranger:
        agent = run(spire)
        spire.stop()
        agent.server = stranger
        agent.spawn("-joinToken", spire.join_token())
        eventually(lambda: stranger.tunnel.accepted >= 2, "it tried")
        assert not stranger.calls


def test_an_svid_of_another_identity_is_not_handed_out(spire, joined):
    """Signed by the right authority, and for an ID that the entry does not have"""
    issue = spire.authority.issue
    spire.authority.issue = lambda key, spiffe_id, ttl, dns=(): issue(
        key, spiffe_id.replace("/swapped", "/admin"), ttl, dns
    )
    spire.entry("/swapped", joined.id, [ME])
    eventually(lambda: len({p.entry_id for c in spire.of("BatchNewX509SVID") for p in c.request.params}) == 2, "signed")
    time.sleep(2)
    assert not {"/admin", "/swapped"} & set(joined.svids())
