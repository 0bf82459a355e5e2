"""Each process stopped and killed, also in the middle of issuing: nothing that a client got is lost."""

import itertools
import signal
import threading

import grpc
import pytest
from cryptography import x509
from spiffe import TrustDomain, X509Source

from harness import rules
from harness.domain import run_cli
from harness.polling import eventually
from stage.deployment import issued_serials, log_events, uid_selector
from stage.load import Load
from wire import messages as m
from wire.admin import Admin, entry
from wire.keys import csr, new_key, spiffe_id
from wire.workload import first

ENDINGS = pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL], ids=["orderly", "killed"])


def code_after(sign: int) -> int:
    return 0 if sign == signal.SIGTERM else -sign


def serial_of(der: bytes) -> int:
    return x509.load_der_x509_certificate(der).serial_number


def minting(domain) -> "callable":
    """A client that mints X.509-SVIDs over a connection of its own."""
    admin = Admin(domain.admin_socket)
    request = m.svid.MintX509SVIDRequest(csr=csr(new_key(), uri=f"{domain.id}/minted"), ttl=60)

    def work() -> list:
        return [("serial", serial_of(admin.svids.MintX509SVID(request, timeout=20).svid.cert_chain[0]))]

    return work


def creating(domain, name: str) -> "callable":
    """A client that creates entries over a connection of its own."""
    admin = Admin(domain.admin_socket)
    numbers = itertools.count()

    def work() -> list:
        made = entry(f"{domain.id}/load/{name}/{next(numbers)}", f"{domain.id}/node", ["unix:uid:4242"])
        return [("entry", admin.create_one(made).id)]

    return work


def tokening(domain) -> "callable":
    admin = Admin(domain.admin_socket)
    request = m.svid.MintJWTSVIDRequest(id=spiffe_id(f"{domain.id}/minted"), audience=["a"], ttl=60)

    def work() -> list:
        return [("kid", rules.jwt_parts(admin.svids.MintJWTSVID(request, timeout=20).svid.token)[0]["kid"])]

    return work


def check_nothing_lost(domain, got: list) -> None:
    """Serials are in the log, entries in the registry, and the log verifies."""
    events = log_events(domain)
    serials = {value for kind, value in got if kind == "serial"}
    lost = serials - issued_serials(events)
    assert serials and not lost, f"{len(lost)} of {len(serials)} serials that clients got are not in the log"
    there = {one.id for one in domain.admin.list_entries()}
    assert {value for kind, value in got if kind == "entry"} <= there, "an entry that was confirmed is gone"
    assert domain.cli("log", "verify").returncode == 0


@ENDINGS
def test_the_server_ends_while_it_issues(deployment, sign):
    """Intent before signing, outcome before the answer: a serial in a client's hands is in the log"""
    domain = deployment("crash.test")
    made = [domain.entry(f"/crash/{n}", [uid_selector()]) for n in range(20)]
    stand_in = domain.spire_agent()
    stand_in.attest(domain.admin.join_token().encode())
    stand_in.sync()

    def batch() -> list:
        signed = stand_in.sign([one.id for one in made])
        assert {one.code for one in signed.values()} == {0}
        return [("serial", serial_of(one.chain[0])) for one in signed.values()]

    load = Load(
        batch, *[minting(domain) for _ in range(4)], *[creating(domain, str(n)) for n in range(2)], tokening(domain)
    )
    try:
        eventually(lambda: load.count > 100, "the load runs", within=20)
        assert domain.end(domain.server, sign) == code_after(sign)
    finally:
        got = load.stop()
        stand_in.close()
    domain.start_server()
    check_nothing_lost(domain, got)
    keys = {key.key_id for key in domain.admin.bundles.GetBundle(m.bundle.GetBundleRequest(), timeout=20).jwt_authorities}
    assert {value for kind, value in got if kind == "kid"} <= keys
    domain.wait_for_ids(*[f"/crash/{n}" for n in range(20)], within=30)
    domain.stop()
    assert run_cli("log", "verify", "-dataDir", domain.data).returncode == 0


def test_the_server_is_killed_again_and_again_while_it_issues(deployment):
    domain = deployment("again.test")
    got: list = []
    for _ in range(3):
        load = Load(*[minting(domain) for _ in range(3)], creating(domain, f"{len(got)}"))
        try:
            eventually(lambda: load.count > 20, "the load runs", within=20)
            domain.end(domain.server, signal.SIGKILL)
        finally:
            got += load.stop()
        domain.start_server()
    check_nothing_lost(domain, got)


def test_one_process_killed_while_it_issues(one_process):
    domain = one_process("alone.test")
    domain.entry("/alone", [uid_selector()])
    domain.wait_for_ids("/alone")
    load = Load(*[minting(domain) for _ in range(3)], creating(domain, "up"))
    try:
        eventually(lambda: load.count > 50, "the load runs", within=20)
        assert domain.end(signal.SIGKILL) == -signal.SIGKILL
    finally:
        got = load.stop()
    roots = domain.roots
    domain.start()
    assert domain.roots == roots
    check_nothing_lost(domain, got)
    domain.wait_for_ids("/alone")
    assert domain.end() == 0


class HeldSource:
    """A stock `X509Source` over a restart."""

    def __init__(self, domain):
        self.domain = domain
        self.source = X509Source(socket_path=domain.endpoint, timeout_in_seconds=20)
        self.updated = threading.Event()
        self.source.subscribe_for_updates(self.updated.set)

    def serial(self) -> int:
        svid = self.source.get_x509_context().default_svid
        bundle = self.source.get_bundle_for_trust_domain(TrustDomain(self.domain.name))
        rules.check_signed_by(svid.leaf, list(bundle.x509_authorities))
        return svid.leaf.serial_number


@ENDINGS
def test_the_server_comes_back_and_held_sources_never_notice(deployment, sign):
    """The node agent goes on from its cache and rotates again once the server is there"""
    domain = deployment("back.test")
    domain.entry("/back", [uid_selector()], x509_svid_ttl=14)
    domain.wait_for_ids("/back")
    roots = domain.roots
    held = HeldSource(domain)
    with held.source:
        before = held.serial()
        with domain.workload() as api:
            stream = api.x509_svids(timeout=120)
            assert serial_of(rules.split_der(next(stream).svids[0].x509_svid)[0])
            domain.end(domain.server, sign)
            assert domain.ids() == [f"{domain.id}/back"], "the cache serves meanwhile"
            domain.start_server()
            assert domain.roots == roots, "the same authority"
            eventually(lambda: held.serial() != before, "the source has a rotated SVID", within=30)
            assert next(stream).svids[0].spiffe_id == f"{domain.id}/back", "the same stream goes on"
            stream.cancel()
    late = domain.entry("/back/late", [uid_selector()])
    domain.wait_for_ids("/back", "/back/late", within=30)
    assert late.id


@ENDINGS
def test_the_agent_comes_back_without_a_new_token(deployment, sign):
    domain = deployment("agentback.test")
    domain.entry("/agentback", [uid_selector()])
    domain.wait_for_ids("/agentback")

    def nodes() -> list[str]:
        reply = domain.admin.agents.ListAgents(m.agent.ListAgentsRequest(), timeout=20)
        return sorted(node.id.path for node in reply.agents)

    known = nodes()
    held = HeldSource(domain)
    with held.source:
        with domain.workload() as api:
            stream = api.x509_svids(timeout=120)
            next(stream)
            load = Load(*[lambda: [len(first(api.x509_svids()).svids)] for _ in range(4)])
            try:
                eventually(lambda: load.count > 20, "workloads fetch", within=20)
                assert domain.end(domain.agent, sign) == code_after(sign)
            finally:
                load.stop()
            with pytest.raises(grpc.RpcError) as ended:
                for _ in range(5):
                    next(stream)
            assert ended.value.code() == grpc.StatusCode.UNAVAILABLE
        held.updated.clear()
        domain.start_agent()
        assert held.updated.wait(30), "the source gets the SVID of the new process"
        assert held.serial()
    assert nodes() == known, "the agent is the one it was"
    assert domain.cli("log", "verify").returncode == 0


def test_the_agents_record_survives_its_death(deployment):
    """What the agent handed out right before it was killed reaches the log from its spool"""
    domain = deployment("spool.test")
    domain.entry("/spool", [uid_selector()])
    domain.wait_for_ids("/spool")
    domain.end(domain.server, signal.SIGKILL)
    with domain.workload() as api:
        for _ in range(7):
            first(api.x509_svids())
    domain.end(domain.agent, signal.SIGKILL)
    domain.start_server()
    before = sum(item["event"]["type"] == "workload.attest" for item in log_events(domain))
    domain.start_agent()

    def shipped() -> bool:
        now = sum(item["event"]["type"] == "workload.attest" for item in log_events(domain))
        return now >= before + 7

    eventually(shipped, "seven records came from the spool", within=20, every=0.3)
    assert domain.cli("log", "verify").returncode == 0
