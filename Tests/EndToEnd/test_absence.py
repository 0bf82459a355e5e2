"""A laptop that sleeps: node agents that attest by certificate come back by themselves, whatever ended meanwhile."""

import os
import signal
import time
from pathlib import Path

import pytest

from harness.polling import eventually
from stage.laptop import Laptop


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


@pytest.mark.long
@pytest.mark.parametrize("mode", ["auto", "always"])
def test_a_week_of_sleep(laptop, mode):
    """Every authority that the agent knew has ended; it builds its trust anew from the operator's bundle"""
    domain = laptop(f"week-{mode}.test", server=SHORT, agent=["-rebootstrapMode", mode])
    domain.asleep(WEEK)
    domain.serves(within=60)


@pytest.mark.long
def test_a_week_off_and_then_started(laptop):
    domain = laptop("week-off.test", server=SHORT, agent=["-rebootstrapMode", "auto"])
    domain.end(domain.agent)
    time.sleep(WEEK)
    domain.start_agent()
    domain.serves(within=60)


@pytest.mark.long
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
