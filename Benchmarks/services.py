"""What calls of the services cost: CPU time of the daemon per operation, and of `openssl speed` in the same run.

    .venv/bin/python Benchmarks/services.py BINARY [WORD …]     (needs scripts/python-env; WORDs choose measurements)

The clients are Python programs on the same machine. Their time is not counted; they only bound how much is asked for.
"""
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "Tests" / "Interop"))
BINARY = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / ".build" / "release" / "agentshield")
os.environ["AGENTSHIELD"] = BINARY

import grpc  # noqa: E402
from harness import domain as shield  # noqa: E402
from harness.process import Process  # noqa: E402
from wire import messages as m  # noqa: E402
from wire.admin import Admin, entry  # noqa: E402
from wire.keys import csr, new_key, spiffe_id  # noqa: E402
from wire.spire_agent import Identity  # noqa: E402
from wire.workload import Workload, first  # noqa: E402

DOMAIN = "bench.test"
QUIET = ["-logLevel", "error"]
TICK = os.sysconf("SC_CLK_TCK")


def cpu(process) -> float:
    """Seconds of processor time that the process has used."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory(process) -> str:
    values = dict(re.findall(r"^(VmRSS|RssAnon):\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text(), re.M))
    return f"{int(values['VmRSS']) / 1024:.0f} MB resident, {int(values['RssAnon']) / 1024:.0f} MB of it anonymous"


def openssl() -> float:
    """Milliseconds of one sign and one verify with P-256."""
    out = subprocess.run(["openssl", "speed", "-seconds", "2", "ecdsap256"], check=True, capture_output=True, text=True).stdout
    sign, verify = map(float, out.splitlines()[-1].split()[-2:])
    return 1000 / sign + 1000 / verify


def say(what: str, result: str) -> None:
    print(f"| {what} | {result} |", flush=True)


def measure(what: str, process, clients: int, seconds: float, call, each: int = 1) -> None:
    """`call(number)` in a loop on so many threads; each call is `each` operations of the process."""
    times: list[float] = []
    failures: list[Exception] = []
    end = time.monotonic() + seconds

    def work(number: int) -> None:
        mine = []
        try:
            while time.monotonic() < end:
                begin = time.monotonic()
                call(number)
                mine.append((time.monotonic() - begin) * 1000)
        except Exception as error:  # noqa: BLE001 - told below
            failures.append(error)
        times.extend(mine)

    for number in range(clients):
        call(number)
    before, begin = cpu(process), time.monotonic()
    end = begin + seconds
    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    used, wall = cpu(process) - before, time.monotonic() - begin
    if failures:
        raise failures[0]
    count = len(times) * each
    ms = used * 1000 / count
    times.sort()
    say(
        what,
        f"{ms:.3f} | {ms / UNIT:.2f} | {count} at {count / wall:.0f}/s; a call: median {statistics.median(times):.2f} ms, "
        f"p99 {times[int(len(times) * 0.99)]:.2f} ms",
    )


def node_agents(server, count: int, entries: int):
    """Simulated node agents with their entries: (agent, entry IDs)."""
    found = []
    for number in range(count):
        agent = server.spire_agent()
        identity = agent.attest(server.admin.join_token().encode())
        parent = identity.id.removeprefix(server.id)
        made = server.admin.create(
            *[entry(f"{server.id}/a{number}/w{n}", server.id + parent, [f"unix:uid:{n}"]) for n in range(entries)]
        )
        found.append((agent, [result.entry.id for result in made]))
    return found


def administrator(server):
    """Four connections with the X.509-SVID of an admin workload."""
    server.admin.create_one(entry(f"{server.id}/admin", server.id + "/spire/agent/nobody", ["unix:uid:0"], admin=True))
    key = new_key()
    svid = server.admin.svids.MintX509SVID(m.svid.MintX509SVIDRequest(csr=csr(key, uri=f"{server.id}/admin"))).svid
    connections = [server.spire_agent() for _ in range(4)]
    for connection in connections:
        connection.adopt(Identity(list(svid.cert_chain), key, f"{server.id}/admin", svid.expires_at))
    return connections


def issuing() -> None:
    server = shield.start_server(DOMAIN, extra=QUIET)
    process = server.processes[0]
    request = csr(new_key())
    try:
        agents = node_agents(server, 4, 50)
        params = [m.svid.BatchNewX509SVIDRequest(params=[m.svid.NewX509SVIDParams(entry_id=id, csr=request) for id in ids]) for _, ids in agents]
        measure(
            "X.509-SVIDs from CSRs, batches of 50 over mTLS, 4 clients", process, 4, 6,
            lambda n: agents[n][0].svid_api.BatchNewX509SVID(params[n], timeout=60), each=50,
        )  # fmt: skip
        measure(
            "NewJWTSVID through the node API, 16 clients on 4 connections", process, 16, 6,
            lambda n: agents[n % 4][0].svid_api.NewJWTSVID(
                m.svid.NewJWTSVIDRequest(entry_id=agents[n % 4][1][n], audience=["bench"]), timeout=60
            ),
        )  # fmt: skip
        admin = administrator(server)
        minted = m.svid.MintX509SVIDRequest(csr=csr(new_key(), uri=f"{server.id}/minted"))
        measure(
            "single X.509-SVID mint over mTLS, 16 clients on 4 connections", process, 16, 6,
            lambda n: admin[n % 4].svid_api.MintX509SVID(minted, timeout=60),
        )  # fmt: skip
        admins = [Admin(server.admin_socket) for _ in range(16)]
        mint = m.svid.MintX509SVIDRequest(csr=csr(new_key(), uri=f"{server.id}/minted"))
        measure("single X.509-SVID mint over the admin socket, 16 clients", process, 16, 6, lambda n: admins[n].svids.MintX509SVID(mint, timeout=60))
        say("control plane after that", memory(process))
    finally:
        server.discard()


def workload_api() -> None:
    server = shield.start_server(DOMAIN, extra=QUIET)
    try:
        agent = shield.start_agent(server, extra=QUIET)
        server.entry("/app", x509_svid_ttl=3600)
        server.wait_for_ids("/app")

        def connect_and_fetch(_: int) -> None:
            with server.workload() as api:
                first(api.x509_svids())

        measure("Workload API: connect, fetch X.509-SVID, close, 1 client", agent, 1, 6, connect_and_fetch)
        clients = [server.workload() for _ in range(16)]
        measure("JWT-SVID from the agent's cache, 16 clients", agent, 16, 6, lambda n: clients[n].jwt_svid(["bench"]))
        count = iter(range(10**9))
        measure("JWT-SVID not cached, 16 clients: node agent", agent, 16, 6, lambda n: clients[n].jwt_svid([f"bench-{next(count)}"]))
        say("node agent after that", memory(agent))
    finally:
        server.discard()


def entries() -> None:
    server = shield.start_server(DOMAIN, extra=QUIET)
    process = server.processes[0]
    try:
        begin, before = time.monotonic(), cpu(process)
        for batch in range(100):
            made = [
                entry(f"{server.id}/w{batch}-{n}", f"{server.id}/node/{n % 500}", [f"unix:uid:{n}"]) for n in range(1000)
            ]
            start = time.monotonic()
            server.admin.create(*made)
            if batch in (0, 99):
                say(f"batch {batch + 1} of 1,000 entries", f"{1000 / (time.monotonic() - start):.0f} entries/s, one client")
        wall, used = time.monotonic() - begin, cpu(process) - before
        say("100,000 entries in batches of 1,000 over 500 parents", f"{100_000 / wall:.0f}/s, {used * 1000 / 100_000:.3f} ms CPU each")
        say("control plane with 100,000 entries", memory(process))
        begin = time.monotonic()
        found = server.admin.list_entries(page_size=1000)
        say("list all 100,000 in pages of 1,000", f"{time.monotonic() - begin:.2f} s with Python's parsing, {len(found)} entries")
        folder = server.folder
        server.stop()
        begin = time.monotonic()
        again = shield.start_server(DOMAIN, folder=folder, extra=QUIET)
        say("restart with 100,000 entries until it serves", f"{time.monotonic() - begin:.2f} s")
        say("control plane after the restart", memory(again.processes[0]))
        again.stop()
    finally:
        server.discard()


def holds_all(server) -> bool:
    with server.workload() as api:
        try:
            return len(first(api.x509_svids(timeout=60)).svids) == 1000
        except grpc.RpcError:
            return False


def thousand(server, uid) -> list[str]:
    """1,000 entries, each for the user that `uid` names for its number; their IDs."""
    made = []
    for start in range(0, 1000, 500):
        results = server.admin.create(
            *[entry(f"{server.id}/w{n}", server.id + shield.ANY_NODE, [f"unix:uid:{uid(n)}"]) for n in range(start, start + 500)]
        )
        made += [result.entry.id for result in results]
    return made


def wait_until_signed(admin_socket: Path) -> None:
    """Until the node agent has an SVID for every entry."""
    for _ in range(1200):
        got = shield.run_cli("agent", "debug", "getinfo", "-socketPath", admin_socket, "-output", "json").stdout
        if json.loads(got)["cached_x509_svids_count"] == 1000:
            return
        time.sleep(0.1)
    raise SystemExit("the node agent does not come to 1,000 SVIDs")


def restart(server, agent) -> tuple[Process, float]:
    """Ends the node agent and starts it again; milliseconds from its start until a workload has its first SVIDs."""
    server.processes.remove(agent)
    agent.stop()
    begin = time.monotonic()
    again = Process(agent.name, agent.command, server.folder)
    server.processes.append(again)
    while time.monotonic() - begin < 60:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(server.workload_socket) != 0:
                time.sleep(0.001)
                continue
        with server.workload() as api:
            try:
                first(api.x509_svids(timeout=60))
                return again, (time.monotonic() - begin) * 1000
            except grpc.RpcError as error:
                # Not ready; another word is none.
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise
                time.sleep(0.001)
    raise SystemExit("the node agent does not serve after its restart")


def restarts(what: str, server, agent, admin_socket: Path) -> Process:
    times = []
    for _ in range(5):
        wait_until_signed(admin_socket)
        agent, time_ = restart(server, agent)
        times.append(time_)
    say(f"node agent with 1,000 SVIDs, restart until the first SVID: {what}", f"median {statistics.median(times):.0f} ms, most {max(times):.0f} ms")
    return agent


def large_agent() -> None:
    server = shield.start_server(DOMAIN, extra=QUIET)
    try:
        admin_socket = server.folder / "node-admin.sock"
        agent = shield.start_agent(server, extra=[*QUIET, "-adminSocketPath", admin_socket])
        made = thousand(server, lambda _: os.geteuid())
        begin = time.monotonic()
        while time.monotonic() - begin < 120 and not holds_all(server):
            time.sleep(0.05)
        say("1,000 entries created until one workload holds 1,000 SVIDs", f"{time.monotonic() - begin:.1f} s")
        time.sleep(5)
        say("node agent with 1,000 SVIDs", memory(agent))
        agent = restarts("a workload with all of them", server, agent, admin_socket)
        server.admin.delete(*made)
        thousand(server, lambda n: os.geteuid() if n == 0 else 100_000 + n)
        server.wait_for_ids("/w0", within=60)
        restarts("a workload with one of them", server, agent, admin_socket)
    finally:
        server.discard()


def main() -> None:
    wanted = sys.argv[2:]
    print(f"unit: {UNIT:.4f} ms for one P-256 sign and one verify of `openssl speed`; load {os.getloadavg()[0]:.1f}\n")
    print("| what | CPU ms each | in units | run |\n| --- | --- | --- | --- |")
    for name, part in [("issuing", issuing), ("workload", workload_api), ("large", large_agent), ("entries", entries)]:
        if not wanted or name in wanted:
            part()


UNIT = openssl()
main()
