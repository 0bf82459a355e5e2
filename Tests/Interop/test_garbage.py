"""Nothing a peer sends may trap, hang or grow memory without bound: damaged messages, frames and connections.

Seeded, so that a failure comes back. After each attack the process is the same one, serves, and has not swollen.
"""

import random
import select
import socket
import ssl
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from harness.as_user import ask
from harness.polling import eventually
from wire import messages as m
from wire.admin import entry
from wire.keys import csr, new_key, spiffe_id
from wire.tunnel import client_context
from wire.workload import HEADER, SERVICE

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
GROWTH_LIMIT = 150 * 1024
"""KiB that the process may be larger after an attack than before; a leak of what was sent would be more."""

SPIRE = "/spire.api.server."


def valid_requests(domain) -> dict[str, bytes]:
    """One good message per RPC to start the damage from."""
    id = spiffe_id(f"{domain.id}/x")
    one = entry(f"{domain.id}/garbage", f"{domain.id}/node", ["unix:uid:1"], dns_names=["a.test"], hint="h")
    request = csr(new_key(), uri=f"{domain.id}/garbage")
    params = m.agent.AttestAgentRequest.Params(
        data=m.types.AttestationData(type="join_token", payload=b"token"),
        params=m.agent.AgentX509SVIDParams(csr=request),
    )
    messages = {
        "agent.v1.Agent/AttestAgent": m.agent.AttestAgentRequest(params=params),
        "agent.v1.Agent/GetAgent": m.agent.GetAgentRequest(id=id),
        "agent.v1.Agent/ListAgents": m.agent.ListAgentsRequest(page_size=3, page_token="x"),
        "agent.v1.Agent/CreateJoinToken": m.agent.CreateJoinTokenRequest(ttl=60, agent_id=id),
        "entry.v1.Entry/BatchCreateEntry": m.entry.BatchCreateEntryRequest(entries=[one]),
        "entry.v1.Entry/BatchUpdateEntry": m.entry.BatchUpdateEntryRequest(entries=[one]),
        "entry.v1.Entry/ListEntries": m.entry.ListEntriesRequest(filter={"by_spiffe_id": id}, page_size=2),
        "entry.v1.Entry/BatchDeleteEntry": m.entry.BatchDeleteEntryRequest(ids=["x"]),
        "svid.v1.SVID/MintX509SVID": m.svid.MintX509SVIDRequest(csr=request, ttl=60),
        "svid.v1.SVID/MintJWTSVID": m.svid.MintJWTSVIDRequest(id=id, audience=["a"], ttl=60),
        "bundle.v1.Bundle/GetFederatedBundle": m.bundle.GetFederatedBundleRequest(trust_domain="x.test"),
    }
    return {name: message.SerializeToString() for name, message in messages.items()}


def damaged(rng: random.Random, data: bytes) -> bytes:
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        match rng.randrange(5):
            case 0 if data:
                data[rng.randrange(len(data))] = rng.randrange(256)
            case 1:
                at = rng.randint(0, len(data))
                data[at:at] = rng.randbytes(rng.randint(1, 12))
            case 2 if data:
                at = rng.randrange(len(data))
                del data[at : at + rng.randint(1, 8)]
            case 3:
                data += data[-40:]
            case _:
                data += b"\xff" * 9 + b"\x01"
    return bytes(data)


def resident(domain) -> int:
    """KiB of memory that the process holds."""
    (process,) = domain.processes
    assert process.popen.poll() is None, f"the process ended with {process.popen.returncode}"
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


@pytest.fixture
def unharmed(up):
    """The process that runs after the attack is the one from before, serves, and is not much larger."""
    (process,) = up.processes
    pid, before = process.pid, resident(up)
    yield up
    health = up.admin.health.Check(m.health.HealthCheckRequest(), timeout=20)
    assert health.status == m.health.HealthCheckResponse.SERVING
    with up.workload() as api:
        api.health.Check(m.health.HealthCheckRequest(), timeout=20)
    with up.spire_agent() as agent:
        assert agent.get_bundle().trust_domain == up.name
    assert process.pid == pid and resident(up) - before < GROWTH_LIMIT


@pytest.mark.parametrize("way", ["admin socket", "node API"])
def test_damaged_messages(unharmed, way):
    rng = random.Random(f"messages {way}")
    answers = set()
    with unharmed.spire_agent() as agent:
        channel = unharmed.admin.channel if way == "admin socket" else agent.channel
        for name, good in valid_requests(unharmed).items():
            call = channel.stream_stream(SPIRE + name, lambda raw: raw, lambda raw: raw)
            for _ in range(40):
                try:
                    list(call(iter([damaged(rng, good)]), timeout=20))
                    answers.add("OK")
                except grpc.RpcError as error:
                    answers.add(error.code().name)
    assert not answers & {"DEADLINE_EXCEEDED", "UNAVAILABLE", "UNKNOWN"}, answers


def test_damaged_messages_to_the_workload_api(unharmed):
    rng = random.Random("workload")
    good = m.workload.JWTSVIDRequest(audience=["a", "b"], spiffe_id=f"{unharmed.id}/x").SerializeToString()
    answers = set()
    with unharmed.workload() as api:
        for method in ("FetchJWTSVID", "ValidateJWTSVID", "FetchX509SVID", "FetchX509Bundles", "FetchJWTBundles"):
            call = api.channel.unary_stream(SERVICE + method, lambda raw: raw, lambda raw: raw)
            for _ in range(40):
                try:
                    list(call(damaged(rng, good), metadata=HEADER, timeout=20))
                    answers.add("OK")
                except grpc.RpcError as error:
                    answers.add(error.code().name)
    assert not answers & {"DEADLINE_EXCEEDED", "UNAVAILABLE", "UNKNOWN"}, answers


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


HEADERS = (
    b"\x83\x86"  # :method POST, :scheme http
    + b"\x44\x20/SpiffeWorkloadAPI/FetchX509SVID"
    + b"\x41\x01a"
    + b"\x5f\x10application/grpc"
    + b"\x40\x02te\x08trailers"
    + b"\x40\x12workload.spiffe.io\x04true"
)  # fmt: skip
"""A header block of literals, HPACK without a table: what any client may send."""

WAYS = ["admin socket", "Workload API", "node API"]


class Wire:
    """One connection that sends raw bytes, and takes what comes back so that neither side blocks.

    One thread does both: OpenSSL forbids that one reads a TLS connection while another writes it.
    """

    TIMEOUT = 10

    def __init__(self, domain, way: str):
        if way == "node API":
            host, _, port = domain.node_api.rpartition(":")
            plain = socket.create_connection((host, int(port)), timeout=self.TIMEOUT)
            self.socket = client_context(domain.roots).wrap_socket(plain)
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(self.TIMEOUT)
            path = domain.admin_socket if way == "admin socket" else domain.workload_socket
            # A full backlog refuses at once on a Unix socket.
            eventually(lambda: self.socket.connect(path) is None, "a connection", ignore=(BlockingIOError,))
        self.socket.setblocking(False)

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes) -> bool:
        """False when the other side has closed, or takes nothing for ten seconds."""
        rest = memoryview(data)
        deadline = time.monotonic() + self.TIMEOUT
        try:
            while rest:
                self._take()
                try:
                    rest = rest[self.socket.send(rest) :]
                    deadline = time.monotonic() + self.TIMEOUT
                except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                    if time.monotonic() > deadline:
                        return False
                    select.select([self.socket], [self.socket], [], self.TIMEOUT)
            return True
        except OSError:
            return False

    def http2(self) -> "Wire":
        self.send(PREFACE + frame(4, 0, 0, b""))
        return self

    def _take(self) -> None:
        """What has come so far; raises an OSError once the other side has closed."""
        try:
            while self.socket.recv(65536):
                pass
            raise ConnectionResetError
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass


@pytest.mark.parametrize("way", WAYS)
def test_random_frames(unharmed, way):
    rng = random.Random(f"frames {way}")

    def attack(seed: int) -> None:
        own = random.Random(seed)
        with Wire(unharmed, way) as wire:
            wire.http2()
            for _ in range(50):
                payload = own.randbytes(own.choice([0, 1, 4, 5, 8, 9, 100, 16384, 16385]))
                stream = own.choice([0, 1, 2, 3, 5, 2**31 - 1])
                if not wire.send(frame(own.randrange(12), own.randrange(256), stream, payload)):
                    return

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(attack, [rng.randrange(2**32) for _ in range(60)]))


@pytest.mark.parametrize("way", WAYS)
def test_bytes_that_are_no_http2(unharmed, way):
    rng = random.Random(f"bytes {way}")
    for size in (0, 1, 23, 24, 25, 100, 70_000):
        with Wire(unharmed, way) as wire:
            wire.send(rng.randbytes(size))


@pytest.mark.parametrize("way", WAYS)
def test_a_header_block_without_end(unharmed, way):
    """CONTINUATION frames for ever: the server must give up on them, not collect them"""
    filler = b"\x40\x01x\x7f\xc1\x3d" + b"y" * 8000  # one literal header of 8000 bytes
    with Wire(unharmed, way) as wire:
        wire.http2().send(frame(1, 0, 1, HEADERS))
        taken = sum(wire.send(frame(9, 0, 1, filler)) for _ in range(4000))
    assert taken < 4000, "32 MB of one header block were taken"


@pytest.mark.parametrize("way", WAYS)
def test_streams_opened_and_reset_at_once(unharmed, way):
    """Rapid reset: work must not pile up behind streams that are gone"""
    with Wire(unharmed, way) as wire:
        wire.http2()
        for stream in range(1, 20_001, 2):
            if not wire.send(frame(1, 4, stream, HEADERS) + frame(3, 0, stream, struct.pack(">I", 8))):
                break


@pytest.mark.parametrize("way", WAYS)
def test_a_message_longer_than_it_says_it_may_be(unharmed, way):
    """A gRPC length of 4 GB with a few bytes behind it: nothing may be reserved for it"""
    with Wire(unharmed, way) as wire:
        wire.http2().send(frame(1, 4, 1, HEADERS))
        wire.send(frame(0, 0, 1, b"\x00\xff\xff\xff\xff" + bytes(1000)))
        wire.send(frame(0, 1, 1, b"\x01\x00\x00\x00\x05hello"))


@pytest.mark.parametrize("way", WAYS)
def test_many_idle_connections(unharmed, way):
    """One user's idle connections may use up that user's share, and when they go the share is back"""
    held = [Wire(unharmed, way) for _ in range(150)]
    for wire in held:
        wire.http2()
    for wire in held:
        wire.close()

    def serves() -> bool:
        with unharmed.workload() as api, unharmed.spire_agent() as agent:
            api.health.Check(m.health.HealthCheckRequest(), timeout=5)
            return bool(agent.get_bundle().x509_authorities)

    eventually(serves, "everything serves again", ignore=(grpc.RpcError,))


def test_one_users_idle_connections_starve_nobody_else(unharmed, other_user):
    held = [Wire(unharmed, "Workload API") for _ in range(150)]
    try:
        for wire in held:
            wire.http2()
        assert ask(other_user, unharmed.workload_socket)["code"] == "PERMISSION_DENIED", "an answer, not a dead end"
    finally:
        for wire in held:
            wire.close()
