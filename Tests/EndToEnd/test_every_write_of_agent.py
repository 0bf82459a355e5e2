"""The node agent dies at one write after another of what it does, and comes back on the same directory.

Wherever it was: it serves again, and of the records whose workloads have had their answers none is missing in the control plane's
log. A record that is there twice is called a duplicate.
"""

import os
import shutil
import time
from typing import Callable

import grpc
import pytest

from harness.polling import eventually
from stage.deployment import Deployment, log_events, uid_selector
from stage.laptop import Laptop
from stage.tracer import Deadly, DiedAlready, Writes, deadly_start, why_not
from wire import messages as m

SECONDS = float(os.environ.get("AGENTSHIELD_CRASH_SECONDS", "60"))
DEATH = 20.0
"""Seconds in which an act comes to its end, or the agent to its own."""
TOKENS = 8


def nothing() -> None:
    pass


class Rounds(Writes):
    """One control plane, and one agent that is killed and started again."""

    def __init__(self, domain: Deployment):
        super().__init__()
        self.domain = domain
        # Of the tokens: in the workload's hands, and asked for.
        self.told: set[str] = set()
        self.asked = 0
        # What an act waits for once a killed agent is back.
        self.after: Callable[[], None] = nothing

    def serial(self) -> str:
        """Of the one node's active certificate; empty when it has none."""
        agents = self.domain.admin.agents.ListAgents(m.agent.ListAgentsRequest(), timeout=20).agents
        return agents[0].x509svid_serial_number if agents else ""

    def is_alive(self) -> bool:
        return self.domain.agent.popen.poll() is None

    def until(self, is_done: Callable[[], bool], what: str) -> bool:
        """Waits for an act; whether the agent has lived to see it."""
        eventually(lambda: not self.is_alive() or is_done(), f"{what}, or the agent is dead", within=DEATH)
        return self.is_alive()

    def attached(self, number: int, do: Callable[[], bool]) -> bool:
        try:
            deadly = Deadly(self.domain.agent.pid, number)
        except DiedAlready:
            # Of a write of its own before the act: as dead as in the act, and the act is not done.
            return False
        try:
            return do()
        finally:
            deadly.detach()

    def recorded(self) -> list[str]:
        """The audiences of all tokens that the log says were handed out."""
        events = [item["event"] for item in log_events(self.domain)]
        results = [event["effect"]["result"] for event in events if event["type"] == "workload.attest"]
        return [result["audience"] for result in results if "audience" in result]

    def token(self) -> str:
        self.asked += 1
        audience = f"audience-{self.asked}"
        with self.domain.workload() as api:
            api.jwt_svid([audience])
        self.told.add(audience)
        return audience

    def has_token(self) -> bool:
        try:
            return bool(self.token())
        except grpc.RpcError as error:
            # The node may be about to take up its next certificate.
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise
            return False

    def check(self, where: str) -> None:
        """After the agent has come back."""
        self.domain.wait_for_ids("/work")
        eventually(self.has_token, f"{where}: a token is signed")
        eventually(lambda: self.told <= set(self.recorded()), f"{where}: what was handed out is in the log", every=0.2)
        events = [item["event"] for item in log_events(self.domain)]
        kinds = {event["type"] for event in events}
        assert "spool.gap" not in kinds, where
        audiences = self.recorded()
        assert len(audiences) == len(set(audiences)) or "spool.duplicate" in kinds, where


# Each does its act with the agent dying at a write, and says whether the agent has lived


def start_with_nothing(rounds: Rounds, number: int) -> bool:
    domain = rounds.domain
    domain.end(domain.agent)
    shutil.rmtree(domain.folder / "agent")
    domain.agent_prefix = deadly_start(number)
    domain.launch_agent()
    domain.agent_prefix = []
    return rounds.until(domain.ready_file.exists, "it is ready")


def hand_out_and_ship(rounds: Rounds, number: int) -> bool:
    def do() -> bool:
        try:
            # Faster than records are shipped: when the agent dies at a later one, the earlier ones are in its spool alone.
            for _ in range(TOKENS):
                rounds.token()
        except grpc.RpcError:
            return rounds.until(lambda: False, "a token could not be had")
        if not rounds.until(lambda: rounds.told <= set(rounds.recorded()), "the records have been shipped"):
            return False
        # The acknowledgement comes back and is written down; nothing outside tells.
        time.sleep(0.3)
        return rounds.is_alive()

    return rounds.attached(number, do)


def renew(rounds: Rounds, number: int) -> bool:
    domain = rounds.domain
    if (old := domain.cli_json("localauthority", "x509", "show")["old"] or {}).get("authority_id"):
        domain.cli("localauthority", "x509", "revoke", "-authorityID", old["authority_id"])
    made = domain.cli_json("localauthority", "x509", "prepare")["prepared_authority"]["authority_id"]
    domain.cli("localauthority", "x509", "activate", "-authorityID", made)
    old = domain.cli_json("localauthority", "x509", "show")["old"]["authority_id"]
    before = rounds.serial()

    def do() -> bool:
        # What it signed is replaced at once, the node's own certificate included.
        domain.cli("localauthority", "x509", "taint", "-authorityID", old)
        return rounds.until(lambda: rounds.serial() != before, "the node has another certificate")

    is_alive = rounds.attached(number, do)
    if not is_alive:
        rounds.after = lambda: eventually(lambda: rounds.serial() != before, "renewed after all", within=DEATH)
    return is_alive


def attest_again(rounds: Rounds, number: int) -> bool:
    before = rounds.serial()

    def do() -> bool:
        rounds.domain.admin.evict(rounds.domain.node)
        return rounds.until(lambda: rounds.serial() not in ("", before), "the node has attested again")

    return rounds.attached(number, do)


ACTS = [(start_with_nothing, Laptop), (hand_out_and_ship, Laptop), (renew, Deployment), (attest_again, Laptop)]


@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
@pytest.mark.parametrize("act, kind", ACTS, ids=[act.__name__ for act, _ in ACTS])
def test_an_agent_that_dies_at_whatever_write_serves_again_and_loses_no_record(act, kind):
    domain = kind("agent-writes.test")
    try:
        rounds = Rounds(domain.start())
        domain.entry("/work", [uid_selector()])
        domain.wait_for_ids("/work")
        deadline = time.monotonic() + SECONDS / len(ACTS)
        while (number := rounds.next()) is not None:
            rounds.after = nothing
            is_alive = act(rounds, number)
            rounds.tried.add(number)
            if is_alive:
                rounds.survives = min(number, rounds.survives or number)
            else:
                domain.end(domain.agent)
                domain.start_agent()
            rounds.check(f"{act.__name__}, killed at write {number}")
            rounds.after()
            if time.monotonic() > deadline and len(rounds.tried) > 1:
                break
        print(f"{act.__name__}: tried {sorted(rounds.tried)}, survives {rounds.survives}")
        assert 1 in rounds.tried and rounds.survives != 1, "it has died once at least"
        assert domain.cli("log", "verify").returncode == 0
    finally:
        domain.discard()
