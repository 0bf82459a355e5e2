"""`agentshield demo` ends what it has started, also when it is ended early."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from harness.domain import default_binary
from harness.polling import eventually

AGENT = Path(default_binary()).parent / "demo-agent"
pytestmark = pytest.mark.skipif(not AGENT.exists(), reason="needs `swift build --product demo-agent`")

TRUST_DOMAIN = "1  A trust domain"
PLANNER = "4  The planner calls it"


class Demo:
    def __init__(self, folder: Path):
        self.transcript = folder / "transcript"
        with open(self.transcript, "wb") as out:
            self.process = subprocess.Popen(
                [default_binary(), "demo"], stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        self.directory = Path(f"/tmp/agentshield-demo-{self.process.pid}")

    def wait_for(self, text: str) -> None:
        def told() -> bool:
            assert self.process.poll() is None, self.transcript.read_text()
            return text in self.transcript.read_text()

        try:
            eventually(told, f"the demonstration tells {text!r}", within=60)
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{self.transcript.read_text()}") from None

    def others(self) -> dict[int, str]:
        """Every other process of the demonstration's session, or one that knows its directory."""
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == self.process.pid:
                continue
            try:
                # After the name in brackets: state, parent, process group, session.
                state, _, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
                words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            except OSError:
                continue
            if state != "Z" and (int(session) == self.process.pid or str(self.directory).encode() in words):
                found[int(entry.name)] = words.split(b"\0")[0].decode(errors="replace")
        return found

    def discard(self) -> None:
        self.process.kill()
        self.process.wait()
        for pid in self.others():
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)


@pytest.fixture
def demo(tmp_path):
    demo = Demo(tmp_path)
    yield demo
    demo.discard()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.parametrize("told", [TRUST_DOMAIN, PLANNER], ids=["at the start", "while agents call"])
def test_a_signal_ends_every_process_of_the_demonstration(demo, number, told):
    demo.wait_for(told)
    expected = {TRUST_DOMAIN: 1, PLANNER: 5}[told]  # up; then also two launches with an agent each
    eventually(lambda: len(demo.others()) >= expected, f"{expected} processes run", within=20)
    demo.process.send_signal(number)
    assert demo.process.wait(30) == 128 + number
    # Collected by another process than their parent where that is gone already.
    eventually(lambda: not demo.others(), "every process has ended", within=10)
    assert not demo.directory.exists()


def answers_in(act: str) -> list[str]:
    return [line.strip() for line in act.splitlines() if line.strip().startswith(("status ", "demo-agent: "))]


def test_the_story_is_told_to_its_end(demo):
    code = demo.process.wait(90)
    told = demo.transcript.read_text()
    assert code == 0, told
    before, tokens = told.split("6  Access tokens", 1)
    tokens, tasks = tokens.split("7  Tasks", 1)
    tasks, switch = tasks.split("8  The kill switch", 1)
    switch, log = switch.split("9  The audit log", 1)
    assert '"decision":"allow"' not in tokens and "answer 200 allow" in before
    assert answers_in(tokens) == [
        'status 200  {"subject":"spiffe://demo.example/planner","scope":"Forecast.Read","bound":true}',
        # The stranger's copy of the planner's token.
        "status 401  invalid_token",
        "demo-agent: the agent did not answer with 200",
        "demo-agent: the authorization server answered `invalid_scope`",
    ], told
    # Nobody has approved the card, then somebody has: discovery, acceptance, progress, result.
    answers = answers_in(tasks)
    assert answers.pop(0) == "demo-agent: the registry answered 404", told
    assert "found spiffe://demo.example/weather, wants oauth2 api://weather/Forecast.Read" in tasks, told
    assert 'task 202  {"status":"accepted","taskId":"task-' in tasks, told
    assert '"status":"in_progress","progress":0.' in tasks, told
    assert '"status":"completed","progress":1' in answers[-1] and '"weather":"sunny"' in answers[-1], told
    # The planner's identity is gone, or was still in its hands and got it nothing.
    assert answers_in(switch) in (
        ["demo-agent: no identity within 2.0 seconds: no identity issued"],
        ["demo-agent: the authorization server answered `invalid_client`"],
    ), told
    assert "nobody finds it" in switch, told
    for event in ["access_token.issue", "access_token.refuse", "registry.approve", "identity.disable"]:
        assert event in log, told
    assert "Every step above is in the log" in log
