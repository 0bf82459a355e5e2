"""A laptop that sleeps: node agents that attest by certificate come back by themselves, whatever ended meanwhile."""

import os
import signal
import time
from pathlib import Path

import pytest

from harness.domain import default_binary
from harness.polling import eventually
from harness.process import Process
from stage.deployment import Deployment, uid_selector
from wire import messages as m
from wire import x509pop as pop


class Laptop(Deployment):
    """A control plane, and a node agent with a certificate of its own instead of a join token."""

    def __init__(self, name: str, server=(), agent=()):
        super().__init__(name, server=server, agent=agent)
        root = pop.authority("laptops")
        self.leaf = pop.issue("laptop", root)
        self.certificate, self.key = self.leaf.write(self.folder, "laptop")
        (self.folder / "laptops.pem").write_bytes(root.pem)
        self.server_flags += ["-x509popCABundle", self.folder / "laptops.pem"]
        # Kept up to date by the control plane, as the operator's tools would keep it on a real laptop.
        self.bundle = self.data / "bundle.pem"

    @property
    def node(self) -> str:
        return f"{self.id}/spire/agent/x509pop/{self.leaf.fingerprint}"

    def start_agent(self) -> Process:
        ready = self.folder / "agent.json"
        ready.unlink(missing_ok=True)
        self.agent = Process(
            "agent",
            [
                default_binary(), "agent", "run", "-dataDir", self.folder / "agent", "-trustDomain", self.name,
                "-serverAddress", "127.0.0.1", "-serverPort", self.port, "-trustBundle", self.bundle,
                "-x509popCertificate", self.certificate, "-x509popPrivateKey", self.key, "-syncInterval", "1s",
                "-socketPath", self.folder / "w.sock", "-readyFile", ready, *self.agent_flags,
            ],
            self.folder,
        )  # fmt: skip
        self.processes.append(self.agent)
        self.learn({"workloadAPISocket": self.agent.wait_ready(ready)["workloadAPISocket"]})
        return self.agent

    def serial(self) -> str:
        known = self.admin.agents.ListAgents(m.agent.ListAgentsRequest(), timeout=20).agents
        return next((one.x509svid_serial_number for one in known if self.id + one.id.path == self.node), "")

    def serves(self, within: float = 30) -> None:
        """A new entry reaches the workload: the agent follows the control plane again."""
        path = f"/work-{time.monotonic_ns()}"
        made = self.entry(path, [uid_selector()], x509_svid_ttl=60)
        self.wait_for_ids(path, within=within)
        self.admin.delete(made.id)
        self.wait_for_ids(within=within)

    def asleep(self, seconds: float) -> None:
        os.kill(self.agent.pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(self.agent.pid, signal.SIGCONT)


@pytest.fixture
def laptop():
    started = []

    def start(name: str, **options) -> Laptop:
        started.append(Laptop(name, **options))
        return started[-1].start()

    yield start
    for one in started:
        one.discard()


def test_an_agent_attests_again_instead_of_renewing(laptop):
    """Three certificates in a row, without a gap for the workload, and the node stays the same"""
    domain = laptop("again.test", server=["-agentTTL", "8s"])
    seen = {domain.serial()}
    until = time.monotonic() + 40
    while len(seen) < 4 and time.monotonic() < until:
        seen.add(domain.serial())
        time.sleep(0.3)
    assert len(seen) >= 4 and "" not in seen
    domain.serves()


def test_an_svid_that_ended_during_sleep(laptop):
    """The trust bundle still holds, the node's certificate does not: attested again, without a join token"""
    domain = laptop("sleep.test", server=["-agentTTL", "5s"])
    before = domain.serial()
    domain.asleep(7)
    eventually(lambda: domain.serial() not in ("", before), "the node has attested again", within=30)
    domain.serves()


def test_an_svid_that_ended_while_the_agent_was_off(laptop):
    domain = laptop("off.test", server=["-agentTTL", "5s"])
    domain.end(domain.agent)
    time.sleep(6)
    domain.start_agent()
    domain.serves()


SHORT = ["-caTTL", "24s", "-agentTTL", "4s", "-defaultX509SVIDTTL", "4s"]
WEEK = 32
"""Longer than every authority that the agent knew."""


@pytest.mark.parametrize("mode", ["auto", "always"])
def test_a_week_of_sleep(laptop, mode):
    """Every authority that the agent knew has ended; it builds its trust anew from the operator's bundle"""
    domain = laptop(f"week-{mode}.test", server=SHORT, agent=["-rebootstrapMode", mode])
    domain.asleep(WEEK)
    domain.serves(within=60)


def test_a_week_off_and_then_started(laptop):
    domain = laptop("week-off.test", server=SHORT, agent=["-rebootstrapMode", "auto"])
    domain.end(domain.agent)
    time.sleep(WEEK)
    domain.start_agent()
    domain.serves(within=60)


def test_never_means_never(laptop):
    """Without the operator's leave the agent ends with a message that says what to do"""
    domain = laptop("never.test", server=SHORT)
    domain.asleep(WEEK)
    eventually(lambda: domain.agent.popen.poll() is not None, "the agent ends", within=30)
    assert domain.end(domain.agent) == 1
    assert "-rebootstrapMode" in domain.agent.log()


def test_a_control_plane_that_began_anew(laptop):
    """All its authorities are other ones while the agent's are in force: believed after the delay, not before"""
    domain = laptop("anew.test", agent=["-rebootstrapMode", "auto", "-rebootstrapDelay", "6s"])
    domain.end(domain.server)
    domain.data.rename(domain.folder / "gone")
    domain.start_server()
    began = time.monotonic()
    eventually(lambda: domain.serial() != "", "the node attested at the new control plane", within=60)
    assert time.monotonic() - began > 4
    domain.serves()


def test_a_ban_during_sleep(laptop):
    domain = laptop("ban.test", server=["-agentTTL", "5s"])
    os.kill(domain.agent.pid, signal.SIGSTOP)
    domain.admin.ban(domain.node)
    time.sleep(6)
    os.kill(domain.agent.pid, signal.SIGCONT)
    eventually(lambda: domain.agent.popen.poll() is not None, "the agent ends", within=30)
    assert domain.end(domain.agent) == 1
    assert "banned" in domain.agent.log()
    assert not (Path(domain.folder) / "agent" / "svid.pem").exists()
