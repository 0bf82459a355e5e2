"""Two hundred node agents are cut off from their control plane while entries change, and come back: not all at once, all
of them, and at no lasting cost."""

import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from harness import domain as shield
from harness.polling import eventually
from stage.deployment import uid_selector
from stage.line import Line
from stage.swarm import Swarm, established, resident_anonymous
from wire.workload import first

AGENTS = 200
CUT = 8.0
"""Seconds: long enough that the agents' waits have grown and drifted apart."""
WINDOW = 0.1
HERD = AGENTS // 4
"""Connections in one window that would be a herd: without back-off and jitter it is all of them, most of them twice."""
GROWTH = 32.0
"""Megabytes that the control plane may hold more than before."""


def largest_window(arrivals: list[float]) -> int:
    """Most arrivals within any window."""
    arrivals = sorted(arrivals)
    most = start = 0
    for end, at in enumerate(arrivals):
        while at - arrivals[start] > WINDOW:
            start += 1
        most = max(most, end - start + 1)
    return most


def holds(swarm: Swarm, number: int, ids: set[str]) -> bool:
    with swarm.workload(number) as api:
        try:
            return {svid.spiffe_id for svid in first(api.x509_svids(timeout=20)).svids} == ids
        except grpc.RpcError:
            return False


def wait_until_all_hold(swarm: Swarm, ids: set[str], within: float) -> None:
    """Every agent's workload has exactly these identities; who has them is not asked again."""
    missing = set(range(swarm.count))

    def none_missing() -> bool:
        with ThreadPoolExecutor(8) as pool:
            waiting = sorted(missing)
            for number, has in zip(waiting, pool.map(lambda number: holds(swarm, number, ids), waiting)):
                if has:
                    missing.discard(number)
        return not missing

    eventually(none_missing, f"every workload has {sorted(ids)}", within=within, every=0.5)


@pytest.mark.long
def test_two_hundred_agents_come_back_one_after_the_other():
    domain = shield.start_server("partition.test", extra=["-logLevel", "error"])
    port = int(domain.node_api.rpartition(":")[2])
    line = Line(port)
    try:
        swarm = Swarm(domain, AGENTS, server=f"127.0.0.1:{line.port}")
        server = domain.processes[0]
        swarm.wait_ready(within=120)
        kept = domain.entry("/kept", [uid_selector()])
        doomed = domain.entry("/doomed", [uid_selector()])
        wait_until_all_hold(swarm, {f"{domain.id}/kept", f"{domain.id}/doomed"}, within=120)
        eventually(lambda: established(port) == AGENTS, "one connection for each agent", within=30)
        before = resident_anonymous(server.pid)

        line.cut()
        eventually(lambda: established(port) == 0, "nobody is connected", within=30)
        domain.admin.delete(doomed.id)
        domain.entry("/made", [uid_selector()])
        time.sleep(CUT)
        # Cut off, every agent goes on with what it has.
        assert holds(swarm, 0, {f"{domain.id}/kept", f"{domain.id}/doomed"})
        tries = len(line.arrivals)
        line.mend()
        mended = time.monotonic()

        wait_until_all_hold(swarm, {f"{domain.id}/kept", f"{domain.id}/made"}, within=120)
        eventually(lambda: established(port) >= AGENTS, "everybody is back", within=60)
        connections = established(port)
        # What the line had not looked at yet when it was mended gets through as well.
        back = [max(at, mended) for at in line.arrivals[tries:]]
        most = largest_window(back)
        after = resident_anonymous(server.pid)
        print(
            f"{AGENTS} agents back with {len(back)} connections in {max(back) - mended:.1f} s, at most {most} in "
            f"{WINDOW * 1000:.0f} ms, {connections} open; control plane {before:.1f} MB before, {after:.1f} MB after (anonymous)"
        )
        assert not swarm.events("failed")
        assert AGENTS <= len(back) <= 3 * AGENTS, "each comes back, and none connects again and again"
        assert connections == AGENTS, "one connection each"
        assert most < HERD, f"{most} of {AGENTS} connections within {WINDOW} s"
        assert after - before < GROWTH
        assert kept.id in {entry.id for entry in domain.admin.list_entries()}

        # Connections that break at the very end leave every client idle, with calls that want to begin.
        line.close()
        assert swarm.process.stop() == 0, "all agents end though nobody can be reached"
    finally:
        line.close()
        domain.discard()
