"""What an A2A agent of ours costs: CPU time of the scripted agent per message, per card and per delivered event, and of `openssl
speed` in the same run. Loopback without TLS, kept connections, nobody asked who it is, every task stored durably.

    .venv/bin/python Benchmarks/a2a.py BINARY [send|reply|card|sse …]
"""
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BINARY = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / ".build" / "release" / "agentshield")
TICK = os.sysconf("SC_CLK_TCK")
SCRIPT = """
card: {capabilities: {streaming: true}}
rules:
  - {prefix: reply-, steps: [{message: hello}]}
  - {prefix: task-, steps: [{artifact: {id: a, text: the result}}, complete]}
  - prefix: burst-
    steps:
      - wait: 2
%s
      - complete
"""
EVENTS = 200


class Agent:
    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="a2a-bench-"))
        (self.folder / "data").mkdir()
        chunks = "\n".join(
            f"      - chunk: {{id: c, text: chunk {number}, append: {str(number > 0).lower()}}}" for number in range(EVENTS)
        )
        (self.folder / "script.yaml").write_text(SCRIPT % chunks)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process = subprocess.Popen(
            [BINARY, "a2a", "scripted-agent", "-script", self.folder / "script.yaml", "-port", str(self.port),
             "-dataDir", self.folder / "data", "-readyFile", self.folder / "ready", "-logLevel", "error"],
        )  # fmt: skip
        while not (self.folder / "ready").exists():
            time.sleep(0.05)

    def cpu(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def rss(self) -> float:
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * 4096 / 1e6

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        shutil.rmtree(self.folder)


class Connection:
    """As lean as Python allows: the client must not be what is measured."""

    def __init__(self, port: int):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""

    def ask(self, request: bytes) -> bytes:
        self.socket.sendall(request)
        while b"\r\n\r\n" not in self.rest:
            self.read()
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 200"), head
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        while len(self.rest) < length:
            self.read()
        body, self.rest = self.rest[:length], self.rest[length:]
        return body

    def read(self) -> None:
        part = self.socket.recv(1 << 20)
        if not part:
            raise ConnectionError("closed")
        self.rest += part


def post(path: str, body: dict) -> bytes:
    content = json.dumps(body).encode()
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nA2A-Version: 1.0\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    ).encode() + content


def message(prefix: str, number: object) -> dict:
    parts = [{"text": "what is the weather in Zurich on Saturday?"}]
    return {"messageId": f"{prefix}-{number}", "role": "ROLE_USER", "parts": parts}


def send(prefix: str, number: object) -> bytes:
    body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message(prefix, number)}}
    return post("/", body)


def load(agent: Agent, make, connections: int, each: int) -> tuple[float, float, float, float]:
    """CPU milliseconds of the agent per request, requests per second, and the median and 99th percentile in milliseconds."""
    times: list[float] = []

    def work(worker: int) -> None:
        connection = Connection(agent.port)
        own = []
        for number in range(each):
            request = make(f"{worker}-{number}-{time.monotonic_ns()}")
            start = time.perf_counter()
            connection.ask(request)
            own.append(time.perf_counter() - start)
        times.extend(own)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(connections)]
    before, start = agent.cpu(), time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall = time.perf_counter() - start
    total = connections * each
    assert len(times) == total, "a request failed"
    times.sort()
    return (agent.cpu() - before) / total * 1000, total / wall, times[total // 2] * 1000, times[total * 99 // 100] * 1000


def show(name: str, agent: Agent, make, connections: int, each: int) -> None:
    load(agent, make, connections, each // 10 + 1)
    rounds = [load(agent, make, connections, each) for _ in range(3)]
    cost = statistics.median(r[0] for r in rounds)
    rate, median, late = (statistics.median(r[i] for r in rounds) for i in (1, 2, 3))
    print(
        f"{name:34} {connections:3} connections  {cost:.3f} ms CPU = {1000 / cost:,.0f} per CPU-second   "
        f"{rate:,.0f}/s  p50 {median:.1f} ms  p99 {late:.1f} ms   {agent.rss():.0f} MB"
    )


def stream(agent: Agent, readers: int) -> None:
    """One task with many readers, each of which gets every event."""
    body = {"message": message("burst", time.monotonic_ns()), "configuration": {"returnImmediately": True}}
    task = json.loads(Connection(agent.port).ask(post("/message:send", body)))["task"]["id"]
    counts = [0] * readers

    def read(index: int) -> None:
        connection = socket.create_connection(("127.0.0.1", agent.port))
        connection.sendall(f"GET /tasks/{task}:subscribe HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        tail = b""
        while part := connection.recv(1 << 20):
            # A marker may lie across two parts.
            text = tail + part
            counts[index] += text.count(b"data: ")
            tail = text[-5:] if not text.endswith(b"data: ") else b""
            if b"TASK_STATE_COMPLETED" in text:
                break

    threads = [threading.Thread(target=read, args=(index,)) for index in range(readers)]
    for thread in threads:
        thread.start()
    time.sleep(1.2)
    before = agent.cpu()
    for thread in threads:
        thread.join()
    used = agent.cpu() - before
    assert min(counts) >= EVENTS, counts
    print(
        f"{'SSE, ' + str(EVENTS) + ' events at once':34} {readers:3} readers      {used / sum(counts) * 1e6:.1f} µs CPU per delivery = "
        f"{sum(counts) / used:,.0f} deliveries per CPU-second   {agent.rss():.0f} MB"
    )


def unit() -> float:
    """One P-256 signature and its verification, in milliseconds."""
    command = ["openssl", "speed", "-seconds", "2", "ecdsap256"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    sign, verify = map(float, out.splitlines()[-1].split()[-2:])
    return 1000 / sign + 1000 / verify


def main() -> None:
    wanted = sys.argv[2:] or ["send", "reply", "card", "sse"]
    agent = Agent()
    try:
        print(f"unit (P-256 sign and verify): {unit():.3f} ms")
        if "send" in wanted:
            for connections in (1, 8, 32):
                show("SendMessage, JSON-RPC, a task", agent, lambda n: send("task", n), connections, 4000 // connections)
        if "reply" in wanted:
            show("SendMessage, JSON-RPC, a message", agent, lambda n: send("reply", n), 8, 1000)
        if "card" in wanted:
            request = b"GET /.well-known/agent-card.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
            show("card", agent, lambda _: request, 8, 3000)
        if "sse" in wanted:
            for _ in range(3):
                stream(agent, 100)
    finally:
        agent.end()


main()
