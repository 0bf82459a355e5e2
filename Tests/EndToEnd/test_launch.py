"""Launches: which processes have the identity of `agentshield run --as NAME`, and which do not.

Every test of membership runs twice: with a node agent of root, which keeps launches apart by cgroups, and with one of an
ordinary user, which follows who started whom.
"""

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

import grpc
import pytest

from harness.domain import default_binary, reachable_by, start_up
from harness.polling import eventually
from harness.process import becoming
from stage.deployment import Deployment, OneProcess, log_events

NOBODY = 65534
ME = os.geteuid()
needs_root = pytest.mark.skipif(ME != 0, reason="becoming another user needs root")


@pytest.fixture(scope="module", params=["cgroup", "lineage"])
def domain(request):
    user = None
    if request.param == "cgroup" and ME != 0:
        pytest.skip("only a node agent of root makes cgroups")
    if request.param == "lineage" and ME == 0:
        if not reachable_by(NOBODY):
            pytest.skip(f"uid {NOBODY} cannot run {default_binary()}")
        user = NOBODY
    domain = start_up(f"{request.param}.test", user=user)
    told = re.search(r"launches are told apart.*by=(\w+)", domain.processes[0].log(200))
    if request.param == "cgroup" and told[1] != "cgroup":
        domain.discard()
        pytest.skip("cgroups are not writable here")
    assert told[1] == request.param
    try:
        for name in ("weather", "inner", "outer"):
            entry(domain, f"/{name}/main", name, "main")
            entry(domain, f"/{name}/child", name, "child")
        eventually(lambda: fetched(domain, "weather") == ["/weather/main"], "the first identity")
        yield domain
    finally:
        domain.discard()


def entry(domain, path: str, name: str, role: str, uid: int = ME):
    domain.entry(path, [f"launch:name:{name}", f"launch:uid:{uid}", f"launch:role:{role}"])


def command(domain, name: str, *words, socket=None) -> list[str]:
    return [
        str(default_binary()), "run", "--as", name, "-socketPath", str(socket or domain.workload_socket), "--",
        *map(str, words),
    ]  # fmt: skip


def fetch(domain) -> str:
    """A shell command that prints the caller's identities as JSON, or nothing when it has none."""
    return f"'{default_binary()}' api fetch x509 -output json -timeout 5s -socketPath '{domain.workload_socket}' 2>/dev/null"


def paths(text: str) -> list[str]:
    return sorted(svid["spiffe_id"].partition(".test")[2] for svid in json.loads(text)["svids"]) if text.strip() else []


def launched(domain, name: str, *words) -> subprocess.CompletedProcess:
    return subprocess.run(
        command(domain, name, *words), capture_output=True, text=True, timeout=40, stdin=subprocess.DEVNULL
    )


def fetched(domain, name: str) -> list[str]:
    """What the command of a launch of this name gets, as its first process."""
    return paths(launched(domain, name, "/bin/sh", "-c", f"exec {fetch(domain)}").stdout)


class Asker:
    """A launched shell that fetches whenever it is asked to, from a file to a file."""

    count = 0

    def __init__(self, domain, name: str, how: str = "{loop}"):
        Asker.count += 1
        self.folder = domain.folder / f"asker{Asker.count}"
        self.folder.mkdir()
        loop = self.folder / "loop.sh"
        # Bounded: a test that fails leaves nothing behind for long.
        loop.write_text(
            f"echo $$ > '{self.folder}/pid'\n"
            "n=0\n"
            f"while [ $n -lt 600 ] && [ ! -e '{self.folder}/stop' ]; do\n"
            "  n=$((n+1))\n"
            f"  if [ -e '{self.folder}/ask' ]; then\n"
            f"    rm -f '{self.folder}/ask'; {fetch(domain)} > '{self.folder}/part'; mv '{self.folder}/part' '{self.folder}/answer'\n"
            "  fi\n"
            "  sleep 0.1\n"
            "done\n"
        )
        script = how.format(loop=f"/bin/sh '{loop}'")
        self.launcher = subprocess.Popen(
            command(domain, name, "/bin/sh", "-c", script), stdin=subprocess.DEVNULL, start_new_session=True
        )
        self.pid = int(eventually(lambda: self._read("pid"), "the command runs"))

    def _read(self, name: str) -> str:
        try:
            return (self.folder / name).read_text().strip()
        except FileNotFoundError:
            return ""

    def ask(self) -> list[str]:
        answer = self.folder / "answer"
        answer.unlink(missing_ok=True)
        (self.folder / "ask").touch()
        eventually(answer.exists, "an answer", within=20)
        return paths(answer.read_text())

    def stop(self) -> int:
        (self.folder / "stop").touch()
        return self.launcher.wait(20)

    def running(self) -> bool:
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except FileNotFoundError:
            return False


class TestWhoIsInTheLaunch:
    def test_the_first_process_is_main_and_what_it_starts_is_child(self, domain):
        assert fetched(domain, "weather") == ["/weather/main"]
        assert paths(launched(domain, "weather", "/bin/sh", "-c", f"{fetch(domain)}; exit 0").stdout) == ["/weather/child"]

    def test_main_stays_main_over_exec(self, domain):
        script = f"exec /bin/sh -c \"exec {fetch(domain)}\""
        assert paths(launched(domain, "weather", "/bin/sh", "-c", script).stdout) == ["/weather/main"]

    def test_double_fork(self, domain):
        """Orphaned by design: its parent is gone, the launch is not"""
        asker = Asker(domain, "weather", "( {loop} & ) & wait $!; exit 5")
        assert asker.ask() == ["/weather/child"]
        assert asker.launcher.poll() is None, "the launch lasts as long as its last process"
        assert asker.stop() == 5, "the exit code is the first process's"

    def test_setsid(self, domain):
        """A new session and process group changes nothing"""
        asker = Asker(domain, "weather", "setsid {loop} & exit 0")
        assert os.getsid(asker.pid) == asker.pid
        assert asker.ask() == ["/weather/child"]
        assert asker.stop() == 0

    def test_a_process_outside_gets_nothing_whatever_its_environment_says(self, domain):
        asker = Asker(domain, "weather")
        try:
            stolen = dict(
                item.split("=", 1) for item in Path(f"/proc/{asker.pid}/environ").read_text().split("\0") if "=" in item
            )
            forged = {
                **os.environ, **stolen, "AGENTSHIELD_LAUNCH": "weather", "LAUNCH_NAME": "weather",
                "AGENTSHIELD_RUN_AS": "weather",
            }  # fmt: skip
            done = subprocess.run(["/bin/sh", "-c", fetch(domain)], capture_output=True, text=True, env=forged, timeout=30)
            assert (done.returncode, done.stdout) == (1, "")
            assert domain.ids() == []
            assert asker.ask() == ["/weather/child"], "while the launch has its identity"
        finally:
            asker.stop()

    def test_a_name_without_an_entry(self, domain):
        assert fetched(domain, "stranger") == []

    def test_nested_launches(self, domain):
        """The innermost wins, for its first process and for what that starts"""
        inner = command(domain, "inner", "/bin/sh", "-c", f"{fetch(domain)}; exec {fetch(domain)}")
        quoted = " ".join("'" + word.replace("'", "'\\''") + "'" for word in inner)
        done = launched(domain, "outer", "/bin/sh", "-c", f"{quoted}; echo; exec {fetch(domain)}")
        answers = [paths(line) for line in done.stdout.splitlines() if line.strip()]
        assert answers == [["/inner/child"], ["/inner/main"], ["/outer/main"]]

    def test_a_launch_right_inside_another(self, domain):
        done = launched(domain, "outer", *command(domain, "inner", "/bin/sh", "-c", f"exec {fetch(domain)}"))
        assert paths(done.stdout) == ["/inner/main"]

    @needs_root
    def test_another_user_who_takes_the_name(self, domain):
        """The entry's launch:uid says whose launch it is"""

        def theirs() -> list[str]:
            # Not by Popen's `user`: that makes Python fork with all its handlers, which gRPC's threads may not survive.
            become = becoming(NOBODY)
            words = command(domain, "weather", "/bin/sh", "-c", f"exec {fetch(domain)}")
            return paths(subprocess.run([*become, *words], capture_output=True, text=True, timeout=40, cwd="/").stdout)

        assert theirs() == []
        entry(domain, "/weather/nobody", "weather", "main", uid=NOBODY)
        eventually(lambda: theirs() == ["/weather/nobody"], "its own entry")
        assert fetched(domain, "weather") == ["/weather/main"]


class TestTheLaunchsEnd:
    def test_a_killed_launcher_ends_it(self, domain):
        """Its processes go on without the identity"""
        asker = Asker(domain, "weather")
        try:
            assert asker.ask() == ["/weather/child"]
            asker.launcher.kill()
            assert asker.launcher.wait(10) == -signal.SIGKILL
            assert asker.running()
            assert asker.ask() == []
        finally:
            (asker.folder / "stop").touch()

    def test_a_killed_launcher_ends_held_streams(self, domain):
        out = domain.folder / "watch.out"
        watch = f"'{default_binary()}' api watch -socketPath '{domain.workload_socket}'"
        launcher = subprocess.Popen(
            command(domain, "weather", "/bin/sh", "-c", f"{watch} > '{out}' 2>&1; echo ended >> '{out}'"),
            stdin=subprocess.DEVNULL,
        )
        try:
            eventually(lambda: out.exists() and "/weather/child" in out.read_text(), "the first message")
        finally:
            launcher.kill()
            launcher.wait(10)
        eventually(lambda: "ended" in out.read_text(), "the stream ends")
        assert "no identity issued" in out.read_text()

    def test_nobody_can_speak_for_a_process_that_is_not_its_child(self, domain):
        """The kernel says who calls and whose parent that is"""
        hold = grpc.insecure_channel(f"unix:{domain.workload_socket}")
        sleeper = subprocess.Popen(["/bin/sleep", "30"])
        try:
            call = hold.unary_stream("/agentshield.agent.v1.Launch/Hold")
            name = b"\x0a\x07weather"

            def refusal(request: bytes) -> grpc.StatusCode:
                with pytest.raises(grpc.RpcError) as error:
                    next(call(request, timeout=10))
                return error.value.code()

            assert refusal(name + b"\x10\x01") == grpc.StatusCode.FAILED_PRECONDITION, "the first process of the machine"
            assert refusal(name + b"\x10" + varint(os.getppid())) == grpc.StatusCode.FAILED_PRECONDITION
            assert refusal(name + b"\x10" + varint(os.getpid())) == grpc.StatusCode.FAILED_PRECONDITION
            assert refusal(b"\x0a\x03../\x10" + varint(sleeper.pid)) == grpc.StatusCode.INVALID_ARGUMENT
            # Its own child it may launch, and only once at a time.
            held = call(name + b"\x10" + varint(sleeper.pid), timeout=10)
            next(held)
            assert refusal(name + b"\x10" + varint(sleeper.pid)) == grpc.StatusCode.ALREADY_EXISTS
            assert domain.ids() == [], "a launcher is not in its launch"
            held.cancel()
        finally:
            hold.close()
            sleeper.kill()
            sleeper.wait(10)

    def test_the_log_tells_of_begin_end_and_refusal(self, domain):
        assert fetched(domain, "weather") == ["/weather/main"]
        launched(domain, "-bad-", "true")

        def told():
            kinds: dict = {}
            for item in log_events(domain):
                event = item["event"]
                if event["type"].startswith("launch."):
                    kinds.setdefault(event["type"], []).append(event)
            return kinds if {"launch.begin", "launch.end", "launch.refuse"} <= kinds.keys() else None

        kinds = eventually(told, "the events are in the log")
        begun = kinds["launch.begin"][-1]
        assert begun["resource"] == {"kind": "launch", "id": "weather"}
        assert begun["agent"]["peer"]["uid"] in (ME, NOBODY)
        assert begun["effect"]["result"]["tracking"] == domain.name.partition(".")[0]
        assert any(event["decision"]["reason"] == "finished" for event in kinds["launch.end"])
        assert kinds["launch.refuse"][-1]["decision"]["result"] == "deny"


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL])
def test_a_restarted_node_agent(deployment, sign):
    """The launcher takes its launch up again; until then nobody has its identity"""
    one = deployment("again.test")
    entry(one, "/weather/main", "weather", "main")
    entry(one, "/weather/child", "weather", "child")
    eventually(lambda: fetched(one, "weather") == ["/weather/main"], "the first identity")
    asker = Asker(one, "weather")
    try:
        assert asker.ask() == ["/weather/child"]
        one.end(one.agent, sign)
        assert asker.ask() == []
        one.start_agent()
        eventually(lambda: asker.ask() == ["/weather/child"], "the launch is held again", within=30)
        assert asker.stop() == 0
    finally:
        (asker.folder / "stop").touch()


@pytest.fixture(scope="module")
def one():
    one = OneProcess("launcher.test").start()
    try:
        yield one
    finally:
        one.discard()


def below(pid: int) -> list[int]:
    """The processes that a process started, and theirs."""
    try:
        mine = [int(word) for task in Path(f"/proc/{pid}/task").iterdir() for word in (task / "children").read_text().split()]
    except OSError:
        return []
    return [one for child in mine for one in (child, *below(child))]


@pytest.fixture
def launcher():
    """Starts `launcher(words, heeding="INT")`; whatever is left of it is gone at the end."""
    started = []

    def start(words: list, heeding: str = "", **options) -> subprocess.Popen:
        # Whoever runs the tests may ignore a signal, as `nohup` and a shell's `&` do, and what is ignored stays so.
        heed = ["env", f"--default-signal={heeding}"] if heeding else []
        started.append(subprocess.Popen([*heed, *words], **options))
        return started[-1]

    yield start
    for one in started:
        if one.poll() is None:
            for pid in (*below(one.pid), one.pid):
                os.kill(pid, signal.SIGKILL)
            one.wait()
        if one.stdout:
            one.stdout.close()


class TestTheLauncher:
    """What a caller of the command sees: as if there were no launcher."""

    @pytest.mark.parametrize("code", [0, 1, 7, 255])
    def test_exit_code(self, one, code):
        assert launched(one, "x", "/bin/sh", "-c", f"exit {code}").returncode == code

    def test_a_commands_signal(self, one):
        assert launched(one, "x", "/bin/sh", "-c", "kill -KILL $$").returncode == 128 + signal.SIGKILL

    @pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1])
    def test_signals_are_passed_on(self, one, launcher, sign):
        name = sign.name.removeprefix("SIG")
        script = f"trap 'exit 33' {name}; echo ready; while :; do sleep 0.05; done"
        running = launcher(command(one, "x", "/bin/sh", "-c", script), heeding=name, stdout=subprocess.PIPE)
        assert running.stdout.readline() == b"ready\n"
        running.send_signal(sign)
        assert running.wait(20) == 33

    def test_an_uncaught_signal(self, one, launcher):
        running = launcher(command(one, "x", "/bin/sh", "-c", "echo ready; exec sleep 30"), stdout=subprocess.PIPE)
        assert running.stdout.readline() == b"ready\n"
        running.terminate()
        assert running.wait(20) == 128 + signal.SIGTERM

    def test_a_signal_reaches_what_the_command_left(self, one, launcher):
        """A daemon that outlives the first process can be ended through the launcher"""
        script = "sh -c 'trap \"exit 0\" TERM; echo ready; while :; do sleep 0.05; done' & exit 3"
        running = launcher(command(one, "x", "/bin/sh", "-c", script), stdout=subprocess.PIPE)
        assert running.stdout.readline() == b"ready\n"
        time.sleep(0.3)
        running.terminate()
        assert running.wait(20) == 3

    def test_streams_and_descriptors(self, one):
        # What the launcher has open at the moment of one fork by chance is not there at the next.
        always = set.intersection(*(self.descriptors(one) for _ in range(3)))
        # 3 is what `ls` reads; nothing of the launcher is there.
        assert always <= {0, 1, 2, 3}

    @staticmethod
    def descriptors(one) -> set[int]:
        """What a command has open, beside a pipe that it was given."""
        reading, writing = os.pipe()
        done = subprocess.run(
            command(one, "x", "/bin/sh", "-c", f"cat; echo to-err >&2; echo extra > /proc/self/fd/{writing}; exec ls /proc/self/fd"),
            input="in\n", capture_output=True, text=True, timeout=30, pass_fds=[writing],
        )  # fmt: skip
        os.close(writing)
        assert os.read(reading, 100) == b"extra\n"
        os.close(reading)
        assert done.stderr == "to-err\n"
        first, *open_ones = done.stdout.split()
        assert first == "in" and str(writing) in open_ones
        return set(map(int, open_ones)) - {writing}

    def test_signal_dispositions_are_the_callers(self, one):
        done = launched(one, "x", "/bin/sh", "-c", "exec grep -E '^Sig(Blk|Ign):' /proc/self/status")
        plain = subprocess.run(
            ["/bin/sh", "-c", "exec grep -E '^Sig(Blk|Ign):' /proc/self/status"], capture_output=True, text=True
        )
        assert done.stdout == plain.stdout

    def test_a_terminal(self, one, launcher):
        """The command has it, and an interrupt from it comes once"""
        script = (
            "n=0; trap 'n=$((n+1)); echo got $n' INT; test -t 0 && test -t 1 && echo tty;"
            " until read line; do :; done; echo \"line $line\""
        )
        master, slave = pty.openpty()
        running = launcher(
            [shutil.which("setsid"), "--ctty", "--wait", *command(one, "x", "/bin/sh", "-c", script)],
            heeding="INT", stdin=slave, stdout=slave, stderr=slave,
        )  # fmt: skip
        os.close(slave)
        seen = b""

        def until(word: bytes) -> None:
            nonlocal seen
            while word not in seen:
                assert select.select([master], [], [], 20)[0], f"no {word!r} after {seen!r}"
                seen += os.read(master, 4096)

        until(b"tty")
        time.sleep(0.2)
        os.write(master, b"\x03")
        until(b"got 1")
        time.sleep(0.5)
        os.write(master, b"hello\n")
        until(b"line hello")
        assert b"got 2" not in seen
        assert running.wait(20) == 0
        os.close(master)

    def test_the_command_finds_the_workload_api(self, one):
        done = launched(one, "x", "/bin/sh", "-c", "echo $SPIFFE_ENDPOINT_SOCKET")
        assert done.stdout.strip() == one.endpoint

    @pytest.mark.parametrize(
        "words, code, says",
        [
            (["no-such-command-here"], 127, "command not found"),
            (["/etc/passwd"], 126, "Permission denied"),
            (["/tmp"], 126, "Permission denied"),
            ([], 1, "no command"),
        ],
    )
    def test_commands_that_cannot_run(self, one, words, code, says):
        done = launched(one, "x", *words)
        assert (done.returncode, done.stdout) == (code, "")
        assert says in done.stderr and done.stderr.count("\n") == 1

    @pytest.mark.parametrize("name", ["", "-x", ".x", "a b", "a/b", "a:b", "x" * 65, "ü"])
    def test_names_that_are_none(self, one, name):
        marker = one.folder / "ran"
        done = launched(one, name, "touch", marker)
        assert done.returncode == 1 and done.stderr.startswith("agentshield: ") and done.stderr.count("\n") == 1
        assert not marker.exists(), "nothing ran"

    @pytest.mark.parametrize("place", ["nothing.sock", "nobody.sock"])
    def test_no_node_agent(self, one, place):
        import socket

        path = one.folder / place
        if place == "nobody.sock" and not path.exists():
            with socket.socket(socket.AF_UNIX) as left:
                left.bind(str(path))
        marker = one.folder / "ran"
        done = subprocess.run(
            command(one, "x", "touch", marker, socket=path), capture_output=True, text=True, timeout=40
        )
        assert done.returncode == 1 and "cannot reach the node agent" in done.stderr and done.stderr.count("\n") == 1
        assert not marker.exists(), "nothing ran"


class TestEntries:
    def test_a_name_needs_its_user(self, one):
        make = ["entry", "create", "-spiffeID", f"{one.id}/any", "-selector", "launch:name:any"]
        refused = one.cli(*make, check=False)
        assert refused.returncode == 1 and "-allowAnyLauncher" in refused.stderr
        made = one.cli(*make, "-allowAnyLauncher", "-output", "json")
        entry_id = json.loads(made.stdout)["results"][0]["entry"]["id"]
        change = ["entry", "update", "-entryID", entry_id, "-spiffeID", f"{one.id}/any"]
        assert one.cli(*change, "-selector", "launch:name:other", check=False).returncode == 1
        one.cli(*change, "-selector", "launch:name:other", "-allowAnyLauncher")
        one.cli(*change, "-selector", "launch:name:other", "-selector", f"launch:uid:{ME}")

    def test_a_role_alone_names_nobody(self, one):
        one.cli("entry", "create", "-spiffeID", f"{one.id}/role", "-selector", "launch:role:main", "-selector", "launch:uid:5")
