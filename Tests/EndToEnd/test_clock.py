"""Wall clocks that jump by an hour, of the control plane, of the node agent, of both, and back again.

All six cases run at the same time, each in a thread of its own: most of it is waiting for what comes by itself. What a
case saw is kept, and the tests judge it.
"""

import datetime
import json
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

import grpc
import pytest
from cryptography import x509

from harness.domain import run_cli, temporary_folder
from harness.rules import split_der
from stage.clock import Clock, compiled
from stage.deployment import Deployment, log_events, uid_selector
from wire.workload import first

pytestmark = pytest.mark.long

HOUR = 3600
PATIENCE = 90.0
"""Seconds until what comes by itself has to be there: node agents look at the clock once a minute."""
GLANCE = 30.0
"""Seconds over which it is watched that something does not come."""
QUIET = 10.0
"""Seconds over which the CPU time of a process that has nothing to do is taken."""
TICK = os.sysconf("SC_CLK_TCK")
CASES = [(who, shift) for who in ("both", "server", "agent") for shift in (HOUR, -HOUR)]


@dataclass
class Sample:
    """What the workload was given, and by how much the node agent's clock was ahead then."""

    shift: int
    at: datetime.datetime
    leaves: dict[str, x509.Certificate]

    def valid(self, shift: Optional[int] = None) -> list[str]:
        """IDs of the certificates that are valid by a clock that is `shift` ahead, the agent's by default."""
        now = self.at + datetime.timedelta(seconds=self.shift if shift is None else shift)
        return sorted(id for id, leaf in self.leaves.items() if leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc)

    def expired(self) -> list[str]:
        now = self.at + datetime.timedelta(seconds=self.shift)
        return [id for id, leaf in self.leaves.items() if leaf.not_valid_after_utc <= now]


@dataclass
class Story:
    """One case from its beginning to its end."""

    who: str
    shift: int
    library: Path
    first: Optional[Sample] = None
    jumped: list[Sample] = field(default_factory=list)
    returned: list[Sample] = field(default_factory=list)
    cpu: dict[str, float] = field(default_factory=dict)
    indexes: list[int] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    verified: int = 0
    codes: list[int] = field(default_factory=list)
    error: Optional[BaseException] = None

    def run(self) -> None:
        try:
            self._run()
        except BaseException as error:  # noqa: BLE001 - it is raised again where the test waits
            self.error = error

    def _run(self) -> None:
        name = f"clock-{self.who}-{'ahead' if self.shift > 0 else 'back'}.test"
        # The node's own identity outlives the jump: one that ends is another story, told by test_absence.py.
        self.domain = Deployment(name, server=["-agentTTL", "24h", "-logLevel", "warning"], agent=["-logLevel", "warning"])
        self.clocks = {part: Clock(self.library, self.domain.folder / f"{part}.clock") for part in ("server", "agent")}
        self.domain.server_prefix = self.clocks["server"].command
        self.domain.agent_prefix = self.clocks["agent"].command
        try:
            self.domain.start()
            self.domain.entry("/kept", [uid_selector()])
            self.domain.wait_for_ids("/kept")
            self.first = self.sample()
            self.jump(self.shift)
            self.domain.entry("/made", [uid_selector()])
            if self.who == "both" and self.shift > 0:
                self.watch(self.jumped, lambda sample: len(sample.valid()) == 2)
            else:
                self.watch(self.jumped, lambda sample: False, within=GLANCE)
            self.rest("jumped")
            self.jump(0)
            self.watch(self.returned, lambda sample: len(sample.valid()) == 2)
            self.rest("returned")
            self.domain.entry("/later", [uid_selector()])
            self.watch(self.returned, lambda sample: len(sample.valid()) == 3)
            events = log_events(self.domain)
            self.indexes = [item["index"] for item in events]
            self.types = [item["event"]["type"] for item in events]
            self.codes = self.domain.stop()
            verified = run_cli("log", "verify", "-dataDir", self.domain.data, "-output", "json", timeout=60)
            self.verified = json.loads(verified.stdout)["size"]
        finally:
            self.domain.discard()

    def jump(self, shift: int) -> None:
        for part in ("server", "agent") if self.who == "both" else (self.who,):
            self.clocks[part].set(shift)

    def sample(self) -> Sample:
        """Nothing handed out is a sample too."""
        leaves = {}
        shift, at = self.clocks["agent"].shift, datetime.datetime.now(datetime.timezone.utc)
        with self.domain.workload() as api:
            try:
                for svid in first(api.x509_svids(timeout=5)).svids:
                    leaves[svid.spiffe_id] = x509.load_der_x509_certificate(split_der(svid.x509_svid)[0])
            except grpc.RpcError as error:
                assert error.code() in (
                    grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.PERMISSION_DENIED,
                ), error  # fmt: skip
        return Sample(shift, at, leaves)

    def watch(self, samples: list[Sample], done, within: float = PATIENCE) -> None:
        """Samples until it is done, or for as long as things may take; whether they should have is the tests' to say."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            samples.append(self.sample())
            for process in (self.domain.server, self.domain.agent):
                assert process.popen.poll() is None, f"{process.name} has ended:\n{process.log()}"
            if done(samples[-1]):
                return
            time.sleep(1)

    def rest(self, phase: str) -> None:
        """Takes the CPU time while nothing is asked of the two."""
        parts = {"server": self.domain.server, "agent": self.domain.agent}
        before = {name: seconds(process.pid) for name, process in parts.items()}
        time.sleep(QUIET)
        for name, process in parts.items():
            self.cpu[f"{name} {phase}"] = seconds(process.pid) - before[name]


def seconds(pid: int) -> float:
    """CPU time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


@pytest.fixture(scope="module")
def stories():
    folder = temporary_folder()
    library = compiled(folder)
    told = {(who, shift): Story(who, shift, library) for who, shift in CASES}
    threads = [threading.Thread(target=story.run, daemon=True) for story in told.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(4 * PATIENCE + 120)
        assert not thread.is_alive(), "a case hangs"
    return told


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}{case[1] // HOUR:+d}h")
def story(request, stories):
    story = stories[request.param]
    if story.error is not None:
        raise AssertionError(f"{story.who} {story.shift}: {story.error!r}") from story.error
    return story


class TestAnyJump:
    def test_when_the_clock_is_right_again_everything_works_without_a_restart(self, story):
        """Identities from before the jump, from during it and from after it, each with a certificate that is valid."""
        last = story.returned[-1]
        domain = story.domain.id
        assert last.valid() == [f"{domain}/kept", f"{domain}/later", f"{domain}/made"], [
            (id, leaf.not_valid_before_utc, leaf.not_valid_after_utc) for id, leaf in last.leaves.items()
        ]

    def test_what_has_ended_by_the_node_agents_clock_is_not_handed_out(self, story):
        for sample in story.jumped + story.returned:
            assert not sample.expired()

    def test_nothing_goes_round_in_circles(self, story):
        """A busy loop takes all of a core."""
        for phase, used in story.cpu.items():
            assert used < QUIET * 0.3, f"{phase}: {used:.1f} s of CPU in {QUIET:.0f} s"

    def test_the_log_goes_on_in_its_order(self, story):
        assert story.indexes == list(range(len(story.indexes)))
        assert story.types.count("entry.create") == 6, "three entries, intent and outcome"
        assert story.verified >= len(story.indexes), "all of it, and what was recorded at the end"

    def test_both_daemons_end_in_order(self, story):
        assert story.codes == [0, 0]


class TestBoth:
    def test_an_hour_ahead_all_is_replaced_by_itself(self, stories):
        story = stories["both", HOUR]
        last = story.jumped[-1]
        assert last.valid() == [f"{story.domain.id}/kept", f"{story.domain.id}/made"]
        assert last.leaves[f"{story.domain.id}/kept"] != story.first.leaves[f"{story.domain.id}/kept"]

    def test_back_again_nothing_from_the_future_stays(self, stories):
        """What was signed an hour ahead is valid for nobody now, and is replaced within the minute."""
        story = stories["both", HOUR]
        last = story.jumped[-1].leaves
        for id, leaf in story.returned[-1].leaves.items():
            assert leaf not in last.values(), id

    def test_an_authority_that_is_not_valid_yet_signs_nothing(self, stories):
        """An hour back is before the authority was made: what is there serves on, and nothing new comes."""
        story = stories["both", -HOUR]
        kept = f"{story.domain.id}/kept"
        for sample in story.jumped:
            assert list(sample.leaves) == [kept]
            assert sample.leaves[kept] == story.first.leaves[kept]


class TestOneAlone:
    def test_a_wrong_clock_of_the_control_plane_reaches_no_workload(self, stories):
        """What it signs an hour ahead or back, or what it cannot sign, is not handed out; what is there serves on."""
        for shift in (HOUR, -HOUR):
            story = stories["server", shift]
            for sample in story.jumped:
                assert sample.valid(0) == sorted(sample.leaves) == [f"{story.domain.id}/kept"]

    def test_a_node_agent_an_hour_ahead_hands_out_nothing_that_has_ended_for_it(self, stories):
        story = stories["agent", HOUR]
        for sample in story.jumped:
            assert sorted(sample.leaves) == sample.valid()

    def test_a_node_agent_an_hour_back_serves_what_it_has(self, stories):
        story = stories["agent", -HOUR]
        kept = f"{story.domain.id}/kept"
        for sample in story.jumped:
            assert kept in sample.valid(0), "valid for everybody whose clock is right"
