"""Which process is it? Ended, replaced by another program, of two users, or with a connection from somebody else."""

import hashlib
import os
import shutil
import subprocess

import grpc
import pytest

from harness.polling import eventually
from stage.deployment import OneProcess, log_events, uid_selector
from stage.relay import PERL, Pump, Relay, passed_connection
from wire import messages as m
from wire.workload import first

NOBODY = 65534
pytestmark = pytest.mark.skipif(PERL is None, reason="the workload of these tests needs perl")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")


@pytest.fixture(scope="module")
def domain():
    domain = OneProcess("processes.test", extra=["-discoverWorkloadPath"]).start()
    try:
        yield domain
    finally:
        domain.discard()


@pytest.fixture
def registry(domain):
    yield domain
    domain.forget_entries()


@pytest.fixture
def relay(domain):
    made = []

    def start(**options) -> Relay:
        made.append(Relay(domain.workload_socket, domain.folder, **options))
        return made[-1]

    yield start
    for one in made:
        one.close()


@pytest.fixture
def programs(domain):
    """Copies of the interpreter, each with content of its own: `programs(name, owner=…, mode=…)`."""
    folder = domain.folder / "programs"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    folder.chmod(0o755)

    def make(name: str, owner: int = -1, mode: int = 0o755):
        file = folder / name
        # Bytes after the end of an ELF file change its digest and nothing else.
        file.write_bytes(open(PERL, "rb").read() + name.encode())
        if owner >= 0:
            os.chown(file, owner, owner)
        file.chmod(mode)
        return file

    return make


def sha256(file) -> str:
    return "unix:sha256:" + hashlib.sha256(file.read_bytes()).hexdigest()


def ids(api) -> list[str]:
    return sorted(svid.spiffe_id.partition(".test")[2] for svid in first(api.x509_svids()).svids)


def code(api) -> grpc.StatusCode:
    """How the Workload API answers; both of its calls say the same."""
    with pytest.raises(grpc.RpcError) as x509:
        first(api.x509_svids())
    with pytest.raises(grpc.RpcError) as token:
        api.jwt_svid(["me"])
    assert x509.value.code() == token.value.code()
    return x509.value.code()


REFUSED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.PERMISSION_DENIED)


def refusals(domain) -> int:
    return sum(item["event"].get("counted") or 1 for item in log_events(domain)
               if item["event"]["type"] == "workload.refuse")  # fmt: skip


class TestEndedProcess:
    def test_its_connection_is_worth_nothing_in_other_hands(self, registry):
        registry.entry("/ended", [uid_selector()])
        registry.wait_for_ids("/ended")
        before = refusals(registry)
        _, connection = passed_connection(registry.workload_socket)
        pump = Pump(connection, registry.folder, "ended")
        try:
            assert code(pump.api) in REFUSED
        finally:
            pump.close()
        eventually(lambda: refusals(registry) > before, "the refusal is in the log", every=0.3)

    @needs_root
    def test_nor_when_its_pid_is_somebody_elses(self, registry):
        """The kernel is asked to give the number out again, to a process that would have an identity"""
        registry.entry("/reused", [uid_selector()])
        registry.wait_for_ids("/reused")
        pid, connection = passed_connection(registry.workload_socket)
        successor = None
        try:
            for _ in range(200):
                with open("/proc/sys/kernel/ns_last_pid", "w") as file:
                    file.write(str(pid - 1))
                candidate = subprocess.Popen(["/bin/sleep", "60"])
                if candidate.pid == pid:
                    successor = candidate
                    break
                candidate.kill()
                candidate.wait(10)
        except OSError as error:
            connection.close()
            pytest.skip(f"the kernel does not let us choose a PID: {error}")
        if successor is None:
            connection.close()
            pytest.skip("the PID was not given out again in 200 tries")
        pump = Pump(connection, registry.folder, "reused")
        try:
            assert code(pump.api) in REFUSED
        finally:
            pump.close()
            successor.kill()
            successor.wait(10)

    def test_a_connection_speaks_for_the_process_that_made_it(self, registry, relay, programs):
        """Its program counts, not the one of the test that sends the bytes"""
        program = programs("maker")
        registry.entry("/maker", [f"unix:path:{program}"])
        registry.entry("/tester", [uid_selector()])
        registry.wait_for_ids("/tester")
        one = relay(program=program)
        eventually(lambda: ids(one.api) == ["/maker", "/tester"], "its identities", ignore=(grpc.RpcError,))
        assert registry.ids() == [f"{registry.id}/tester"]


@needs_root
class TestTwoUsers:
    @pytest.fixture(autouse=True)
    def entries(self, registry):
        registry.entry("/root", ["unix:uid:0"])
        registry.entry("/nobody", [f"unix:uid:{NOBODY}"])
        registry.wait_for_ids("/root")

    def test_a_setuid_program_has_the_identity_of_its_effective_user(self, relay, programs):
        """As the kernel reports the peer, and as SPIRE does"""
        program = programs("setuid-nobody", owner=NOBODY, mode=0o4755)
        one = relay(program=program)
        status = open(f"/proc/{one.pid}/status").read()
        assert f"Uid:\t0\t{NOBODY}\t{NOBODY}" in status, "the program runs setuid here"
        assert ids(one.api) == ["/nobody"]

    def test_a_setuid_program_of_root_run_by_another_user(self, relay, programs):
        program = programs("setuid-root", owner=0, mode=0o4755)
        one = relay(program=program, user=NOBODY)
        assert f"Uid:\t{NOBODY}\t0\t0" in open(f"/proc/{one.pid}/status").read()
        assert ids(one.api) == ["/root"]

    def test_an_entry_can_demand_the_program_as_well(self, registry, relay, programs):
        """What the effective user alone does not say, the path and digest selectors do"""
        good, bad = programs("good"), programs("bad", owner=0, mode=0o4755)
        registry.entry("/exact", ["unix:uid:0", f"unix:path:{good}", sha256(good)])
        eventually(lambda: "/exact" in ids(relay(program=good).api), "the right program", every=0.3)
        assert "/exact" not in ids(relay(program=bad, user=NOBODY).api)

    def test_a_process_that_drops_its_rights_loses_the_connection(self, relay):
        one = relay()
        assert ids(one.api) == ["/root"]
        one.drop_privileges()
        assert code(one.api) in REFUSED

    def test_another_users_connection_stays_that_users(self, relay):
        one = relay(user=NOBODY)
        assert ids(one.api) == ["/nobody"], "although the bytes come from root"


class TestExecutable:
    def test_path_and_digest(self, registry, relay, programs):
        one, two = programs("one"), programs("two")
        registry.entry("/one/path", [f"unix:path:{one}"])
        registry.entry("/one/digest", [sha256(one)])
        registry.entry("/two/digest", [sha256(two)])
        running = relay(program=one)
        eventually(lambda: len(ids(running.api)) == 2, "both entries", ignore=(grpc.RpcError,))
        assert ids(running.api) == ["/one/digest", "/one/path"]
        assert ids(relay(program=two).api) == ["/two/digest"]

    def test_a_replaced_executable(self, registry, relay, programs):
        """The old process is refused, since its path leads to another file; the new one has only the path"""
        program, other = programs("replaced"), programs("other")
        registry.entry("/digest", [sha256(program)])
        registry.entry("/path", [f"unix:path:{program}"])
        old = relay(program=program)
        eventually(lambda: len(ids(old.api)) == 2, "both entries", ignore=(grpc.RpcError,))
        os.replace(other, program)
        assert code(old.api) in REFUSED
        assert ids(relay(program=program).api) == ["/path"]

    def test_a_connection_inherited_across_exec(self, registry, relay, programs):
        """Every call attests anew: the program that runs now counts, not the one that connected"""
        one, two = programs("before"), programs("after")
        registry.entry("/before", [sha256(one)])
        registry.entry("/after", [sha256(two)])
        running = relay(program=one, successor=two)
        eventually(lambda: ids(running.api) == ["/before"], "the first program", ignore=(grpc.RpcError,))
        pid = running.pid
        running.become_successor()
        assert os.readlink(f"/proc/{pid}/exe") == str(two)
        assert ids(running.api) == ["/after"]
        assert [s.spiffe_id for s in running.api.jwt_svid(["me"]).svids] == [f"{registry.id}/after"]

    def test_a_program_without_an_entry_after_exec(self, registry, relay, programs):
        one, two = programs("known"), programs("unknown")
        registry.entry("/known", [sha256(one)])
        running = relay(program=one, successor=two)
        eventually(lambda: ids(running.api) == ["/known"], "the first program", ignore=(grpc.RpcError,))
        running.become_successor()
        assert code(running.api) == grpc.StatusCode.PERMISSION_DENIED

    def test_a_held_stream_across_exec(self, registry, relay, programs):
        """The next message is for the program that runs now: its stream ends when that has no identity"""
        one, two = programs("streaming"), programs("stranger")
        made = registry.entry("/streaming", [sha256(one)])
        running = relay(program=one, successor=two)
        eventually(lambda: ids(running.api) == ["/streaming"], "the first program", ignore=(grpc.RpcError,))
        stream = running.api.x509_svids(timeout=60)
        assert next(stream).svids[0].spiffe_id == f"{registry.id}/streaming"
        running.become_successor()
        registry.admin.entries.BatchUpdateEntry(
            m.entry.BatchUpdateEntryRequest(
                entries=[m.types.Entry(id=made.id, hint="news")], input_mask=m.types.EntryMask(hint=True)
            ),
            timeout=20,
        )
        with pytest.raises(grpc.RpcError) as ended:
            next(stream)
        assert ended.value.code() in REFUSED
