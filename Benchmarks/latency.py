"""How long a start, a change and a revocation take until a workload has them, and what idle processes hold in memory.

    Benchmarks/latency.py BINARY     (needs the Python environment of scripts/python-env)
"""
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import grpc
from spiffe import WorkloadApiClient

BINARY = sys.argv[1] if len(sys.argv) > 1 else ".build/release/agentshield"
DIRECTORY = tempfile.mkdtemp(prefix="asm-", dir="/tmp")
STARTS = 8
CHANGES = 200
REVOCATIONS = 50
NODES = 5


def wait(path, seconds=30):
    end = time.monotonic() + seconds
    while not os.path.exists(path):
        if time.monotonic() > end:
            raise SystemExit(f"nothing ready after {seconds} s")
        time.sleep(0.001)
    return json.load(open(path))


def memory(pid):
    values = {}
    for line in open(f"/proc/{pid}/status"):
        if line.startswith(("VmRSS", "RssAnon")):
            name, value = line.split(":")
            values[name] = round(int(value.split()[0]) / 1024, 1)
    return values


def start(*arguments, ready):
    ready = f"{DIRECTORY}/{ready}"
    if os.path.exists(ready):
        os.remove(ready)
    common = ["-trustDomain", "bench.test", "-readyFile", ready, "-logLevel", "error"]
    return subprocess.Popen([BINARY, *arguments, *common]), ready


def stop(process):
    process.terminate()
    process.wait()


def up():
    return start("up", "-dataDir", f"{DIRECTORY}/up", "-serverPort", "0", "-httpsPort", "0", ready="up.json")


def create(socket, path):
    arguments = ["-spiffeID", f"spiffe://bench.test{path}", "-selector", f"unix:uid:{os.getuid()}", "-socketPath", socket]
    subprocess.run([BINARY, "entry", "create", *arguments], check=True, stdout=subprocess.DEVNULL)


def fetch(socket):
    client = WorkloadApiClient(socket_path=f"unix://{socket}")
    client.fetch_x509_svid()
    client.close()


def starts():
    process, ready = up()
    places = wait(ready)
    create(places["adminSocket"], "/first")
    fetch(places["workloadAPISocket"])
    stop(process)
    times = []
    for _ in range(STARTS):
        begin = time.monotonic()
        process, ready = up()
        wait(ready)
        fetch(places["workloadAPISocket"])
        times.append((time.monotonic() - begin) * 1000)
        stop(process)
    print(f"up on existing data -> first SVID: median {statistics.median(times):.0f} ms, max {max(times):.0f} ms (n={STARTS})")


def field(number, data):
    """One length-delimited protobuf field."""

    def varint(value):
        data = b""
        while value >= 128:
            data += bytes([value & 127 | 128])
            value >>= 7
        return data + bytes([value])

    return varint(number << 3 | 2) + varint(len(data)) + data


def call(channel, kind, method):
    return getattr(channel, kind)(method, request_serializer=lambda x: x, response_deserializer=lambda x: x)


def changes():
    process, ready = up()
    places = wait(ready)
    options = (("grpc.default_authority", "localhost"),)
    workload = grpc.insecure_channel("unix:" + places["workloadAPISocket"], options=options)
    admin = grpc.insecure_channel("unix:" + places["adminSocket"], options=options)
    stream = call(workload, "unary_stream", "/SpiffeWorkloadAPI/FetchX509SVID")(b"", metadata=(("workload.spiffe.io", "true"),))
    next(stream)
    batch_create = call(admin, "unary_unary", "/spire.api.server.entry.v1.Entry/BatchCreateEntry")
    times = []
    for number in range(CHANGES):
        path = b"/p%d" % number
        spiffe_id = field(2, field(1, b"bench.test") + field(2, path))
        selector = field(4, field(1, b"unix") + field(2, b"uid:%d" % os.getuid()))
        begin = time.monotonic()
        batch_create(field(1, spiffe_id + selector))
        while field(1, b"spiffe://bench.test" + path) not in next(stream):
            pass
        times.append((time.monotonic() - begin) * 1000)
    times.sort()
    p99 = times[int(len(times) * 0.99) - 1]
    print(f"entry created -> SVID in hand: median {statistics.median(times):.1f} ms, p99 {p99:.1f} ms (n={CHANGES}, one held stream)")
    print(f"up with {CHANGES} SVIDs: {memory(process.pid)} MB")
    stop(process)


def revocations():
    server, ready = start("server", "run", "-dataDir", f"{DIRECTORY}/r", "-serverPort", "0", "-httpsPort", "0",
                          "-rateLimitAttestation", "0", ready="r.json")  # fmt: skip
    places = wait(ready)
    at = ["-socketPath", places["adminSocket"]]
    agents, streams, channels = [], [], []
    for number in range(NODES):
        token = subprocess.run([BINARY, "token", "generate", "-output", "json", *at], check=True, capture_output=True)
        socket = f"{DIRECTORY}/r{number}.sock"
        # Asks every hour: what comes sooner was pushed.
        agent, ready = start(
            "agent", "run", "-dataDir", f"{DIRECTORY}/r{number}", "-serverPort", places["nodeAPI"].split(":")[1], "-socketPath",
            socket, "-joinToken", json.loads(token.stdout)["value"], "-trustBundle", places["trustBundle"], "-syncInterval", "1h",
            ready=f"r{number}.json",
        )  # fmt: skip
        agents.append(agent)
        wait(ready)
        channels.append(grpc.insecure_channel(f"unix:{socket}", options=(("grpc.default_authority", "localhost"),)))
    create(places["adminSocket"], "/revoked")
    times = []
    for _ in range(REVOCATIONS):
        streams = [held(channel) for channel in channels]
        ends = [None] * NODES

        def follow(number):
            try:
                for _ in streams[number]:
                    pass
            except grpc.RpcError:
                ends[number] = time.monotonic()

        threads = [threading.Thread(target=follow, args=(number,)) for number in range(NODES)]
        for thread in threads:
            thread.start()
        # The command's own start is in the figure.
        begin = time.monotonic()
        subprocess.run([BINARY, "revoke", "-spiffeID", "spiffe://bench.test/revoked", *at], check=True, stdout=subprocess.DEVNULL)
        for thread in threads:
            thread.join()
        times.append((max(ends) - begin) * 1000)
        subprocess.run([BINARY, "unrevoke", "-spiffeID", "spiffe://bench.test/revoked", *at], check=True, stdout=subprocess.DEVNULL)
    times.sort()
    print(f"`revoke` started -> the stream has ended at all of {NODES} nodes: median {statistics.median(times):.1f} ms, "
          f"max {times[-1]:.1f} ms (n={REVOCATIONS})")  # fmt: skip
    for process in (*agents, server):
        stop(process)


def held(channel):
    """A stream of X.509-SVIDs that has brought its first message; there may be no identity yet."""
    while True:
        stream = call(channel, "unary_stream", "/SpiffeWorkloadAPI/FetchX509SVID")(b"", metadata=(("workload.spiffe.io", "true"),))
        try:
            next(stream)
            return stream
        except grpc.RpcError:
            time.sleep(0.01)


def idle():
    server, ready = start("server", "run", "-dataDir", f"{DIRECTORY}/s", "-serverPort", "0", "-httpsPort", "0", ready="s.json")
    places = wait(ready)
    token = subprocess.run(
        [BINARY, "token", "generate", "-output", "json", "-socketPath", places["adminSocket"]], check=True, capture_output=True
    )
    arguments = ["-dataDir", f"{DIRECTORY}/a", "-serverPort", places["nodeAPI"].split(":")[1], "-socketPath", f"{DIRECTORY}/w.sock"]
    arguments += ["-joinToken", json.loads(token.stdout)["value"], "-trustBundle", places["trustBundle"]]
    agent, ready = start("agent", "run", *arguments, ready="a.json")
    wait(ready)
    create(places["adminSocket"], "/first")
    fetch(f"{DIRECTORY}/w.sock")
    time.sleep(3)
    print(f"idle control plane: {memory(server.pid)} MB")
    print(f"idle node agent: {memory(agent.pid)} MB")
    stop(agent)
    stop(server)


try:
    starts()
    changes()
    revocations()
    idle()
finally:
    shutil.rmtree(DIRECTORY, ignore_errors=True)
