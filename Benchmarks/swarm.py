"""What 1,000 connected node agents cost the control plane, and how fast a change reaches one of them.

    .venv/bin/python Benchmarks/swarm.py BINARY [AGENTS]     (needs scripts/python-env)

BINARY is `agentshield`; `AgentSwarm` lies beside it (swift build --product AgentSwarm). The agents are the product's own,
all in one process, which shares the machine's cores with the control plane: its CPU time is told apart.
"""
import os
import random
import re
import resource
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "Tests" / "Interop"), str(ROOT / "Tests" / "EndToEnd")]
os.environ["AGENTSHIELD"] = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / ".build" / "release" / "agentshield")

from harness import domain as shield  # noqa: E402
from harness.polling import eventually  # noqa: E402
from stage.swarm import Swarm, established  # noqa: E402
from wire.admin import entry  # noqa: E402
from wire.workload import first  # noqa: E402

AGENTS = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
IDLE = float(os.environ.get("IDLE", "30"))
CHANGES = int(os.environ.get("CHANGES", "200"))
WATCHED = min(20, AGENTS)
TICK = os.sysconf("SC_CLK_TCK")
SELECTOR = f"unix:uid:{os.geteuid()}"
LIMITS = ["-maxConnections", "4096", "-maxConnectionsPerSource", "4096", "-logLevel", "error"]


def cpu(process) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory(process) -> str:
    values = dict(re.findall(r"^(VmRSS|RssAnon):\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text(), re.M))
    return f"{int(values['VmRSS']) / 1024:.0f} MB resident, {int(values['RssAnon']) / 1024:.0f} MB of it anonymous"


def say(what: str, result: str) -> None:
    print(f"| {what} | {result} |", flush=True)


def idle(server, swarm, seconds: float, name: str) -> None:
    before, others, begin = cpu(server), cpu(swarm), time.monotonic()
    time.sleep(seconds)
    wall = time.monotonic() - begin
    say(
        f"control plane, {name}, {wall:.0f} s",
        f"{(cpu(server) - before) / wall * 100:.1f} % of a core (the agents: {(cpu(swarm) - others) / wall * 100:.1f} %)",
    )


def changes(domain, swarm: Swarm, server) -> None:
    """Entries for one agent each; the clock stops when a workload's open stream has the new SVID."""
    watched = sorted(random.Random(7).sample(range(swarm.count), WATCHED))
    domain.admin.create(*[entry(f"{domain.id}/first/{n}", swarm.agent_id(n), [SELECTOR]) for n in watched])
    streams = {}
    for number in watched:
        api = swarm.workload(number)

        def has_first() -> bool:
            return bool(first(api.x509_svids()).svids)

        import grpc

        eventually(has_first, "the first identity", within=30, ignore=(grpc.RpcError,))
        streams[number] = (api, api.x509_svids(timeout=3600))
        next(streams[number][1])
    times = []
    before, begin = cpu(server), time.monotonic()
    for count in range(CHANGES):
        number = watched[count % len(watched)]
        wanted = f"{domain.id}/change/{count}"
        start = time.monotonic()
        domain.admin.create(entry(wanted, swarm.agent_id(number), [SELECTOR]))
        while all(svid.spiffe_id != wanted for svid in next(streams[number][1]).svids):
            pass
        times.append((time.monotonic() - start) * 1000)
    used = (cpu(server) - before) * 1000 / CHANGES
    times.sort()
    p99 = times[int(len(times) * 0.99) - 1]
    say(
        f"entry created -> SVID in a workload's hands, one agent of {swarm.count}, {CHANGES} changes",
        f"median {statistics.median(times):.1f} ms, p99 {p99:.1f} ms; {used:.2f} ms CPU of the control plane each, "
        f"{CHANGES / (time.monotonic() - begin):.0f} changes/s one after the other",
    )
    for api, stream in streams.values():
        stream.cancel()
        api.close()


def change_for_all(domain, swarm: Swarm, server) -> None:
    """One entry for every agent: until the control plane has signed as many SVIDs, by its own CPU going quiet."""
    before, begin = cpu(server), time.monotonic()
    domain.admin.create(entry(f"{domain.id}/everywhere", domain.id + shield.ANY_NODE, [SELECTOR]))
    last = cpu(server)
    while True:
        time.sleep(0.5)
        now = cpu(server)
        if now - last < 0.03:
            break
        last = now
    say(f"one entry for all {swarm.count} agents", f"{now - before:.2f} s CPU, settled after {time.monotonic() - begin:.1f} s")


def main() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(f"load {os.getloadavg()[0]:.1f}; server flags: {' '.join([*shield.NO_LIMITS, *LIMITS])}\n\n| what | run |\n| --- | --- |")
    domain = shield.start_server("swarm.test", extra=LIMITS)
    try:
        server = domain.processes[0]
        say("control plane alone", memory(server))
        before, begin = cpu(server), time.monotonic()
        swarm = Swarm(domain, AGENTS)
        swarm.wait_ready(within=900)
        wall = time.monotonic() - begin
        say(f"{AGENTS} agents attested and ready", f"{wall:.1f} s, {(cpu(server) - before) * 1000 / AGENTS:.1f} ms CPU of the control plane each")
        port = int(domain.node_api.rpartition(":")[2])
        eventually(lambda: established(port) >= AGENTS, "all are connected", within=60)
        say("connections", str(established(port)))
        time.sleep(5)
        idle(server, swarm.process, IDLE, f"{AGENTS} connected idle agents")
        say("control plane", memory(server))
        changes(domain, swarm, server)
        change_for_all(domain, swarm, server)
        say("control plane after that", memory(server))
        say("the agents, all of them", memory(swarm.process))
        if longer := float(os.environ.get("LONGER", "0")):
            idle(server, swarm.process, longer, "with the turn of connections after three minutes")
            say("control plane after that", memory(server))
        failed = swarm.events("failed")
        say("agents that ended", str(len(failed)))
    finally:
        domain.discard()


main()
