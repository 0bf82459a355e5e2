"""Old news of revocations: a node agent under a control plane that offers less than it has said before.

The stand-in signs snapshots as the control plane does, from the description of the format alone. It offers what a server
does that was restored from a backup with a clock behind, and what somebody does who has kept an old snapshot.
"""

import base64
import signal
import time
from datetime import timedelta

import grpc
import jwt
import pytest

from harness.polling import eventually
from test_spire_server import ME, Agent
from wire.keys import new_key
from wire.spire_server import SpireServer

METHOD = "/agentshield.node.v1.Revocations/GetSnapshot"


class RevokingServer(SpireServer):
    """The stand-in, with the one service of ours."""

    def __init__(self):
        super().__init__("replay.test")
        self.offered: bytes = b""
        self.asked = 0
        method = grpc.unary_unary_rpc_method_handler(self._answer)
        self.further_handlers.append(
            grpc.method_handlers_generic_handler("agentshield.node.v1.Revocations", {"GetSnapshot": method})
        )

    def _answer(self, _: bytes, context: grpc.ServicerContext) -> bytes:
        with self.lock:
            self.asked += 1
            offered = self.offered
        if not offered:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "unknown service")
        # Field 1 of `RevocationSnapshot`, with a length of two bytes or more.
        length, size = len(offered), b""
        while length > 0x7F:
            size += bytes([length & 0x7F | 0x80])
            length >>= 7
        return b"\x0a" + size + bytes([length]) + offered

    def snapshot(self, sequence: int, *paths: str) -> bytes:
        """A state in which these agents are revoked, signed now."""
        key = new_key()
        with self.lock:
            chain = self.authority.issue(key.public_key(), f"{self.id}/spire/revocation", timedelta(hours=1))
        now = int(time.time())
        claims = {"iss": self.id, "seq": sequence, "iat": now, "exp": now + 3600, "spiffe_id": list(paths)}
        header = {
            "typ": "agentshield-revocations+jws",
            "x5c": [base64.b64encode(one).decode() for one in chain],
        }
        return jwt.encode(claims, key, algorithm="ES256", headers=header).encode()

    def offer(self, snapshot: bytes) -> None:
        with self.lock:
            self.offered = snapshot

    def wait_until_asked(self) -> None:
        """Until what is offered now has been fetched and judged."""
        with self.lock:
            wanted = self.asked + 2
        eventually(lambda: self.asked >= wanted, "the agent asks again", within=60)


@pytest.fixture
def server():
    with RevokingServer() as server:
        yield server


@pytest.fixture
def agent(server):
    server.offer(server.snapshot(5))
    agent = Agent(server).join()
    try:
        for path in ("/refunds", "/other"):
            server.entry(path, agent.id, [ME])
        agent.wait_for("/other", "/refunds")
        yield agent
    finally:
        agent.discard()


def refusals(agent: Agent) -> str:
    """What the operator reads about it."""
    lines = agent.process.log(10_000).splitlines()
    return "\n".join(line for line in lines if " warning " in line and "the revocations cannot be renewed" in line)


def test_an_older_state_is_not_taken_and_the_operator_is_told(server, agent):
    kept = server.offered
    server.offer(server.snapshot(9, "/refunds"))
    agent.wait_for("/other", within=30)
    older = {
        "replayed byte for byte": (kept, "5 is older than 9"),
        "signed anew by a server whose state is older": (server.snapshot(8), "8 is older than 9"),
        "of the same number with less in it": (server.snapshot(9), "9 is older than 9"),
    }
    for what, (snapshot, complaint) in older.items():
        server.offer(snapshot)
        server.wait_until_asked()
        assert set(agent.svids()) == {"/other"}, what
        eventually(lambda complaint=complaint: complaint in refusals(agent), f"{what}: it is told", within=30)

    # What it knew is known after a restart, and so is the number.
    server.offer(server.snapshot(8))
    agent.process.stop(signal.SIGKILL)
    agent.start()
    server.wait_until_asked()
    assert set(agent.svids()) == {"/other"}

    # And a newer state ends it.
    server.offer(server.snapshot(10))
    agent.wait_for("/other", "/refunds", within=60)


@pytest.mark.long
def test_a_server_that_has_forgotten_the_service_undoes_nothing(server, agent):
    server.offer(server.snapshot(9, "/refunds"))
    agent.wait_for("/other", within=30)
    server.offer(b"")
    agent.process.stop(signal.SIGKILL)
    agent.start()
    eventually(lambda: server.asked > 0 and set(agent.svids()) == {"/other"}, "what was stored counts", within=30)
    with agent.workload() as api:
        token = api.jwt_svid(["shop"]).svids[0].svid

        def verdict() -> grpc.StatusCode:
            try:
                api.validate("shop", token)
            except grpc.RpcError as refused:
                return refused.code()
            return grpc.StatusCode.OK

        eventually(lambda: verdict() == grpc.StatusCode.UNAVAILABLE, "nobody knows what is revoked", within=60)


@pytest.mark.parametrize("damage", ["cut off", "of another mode"])
def test_who_has_lost_its_memory_validates_nothing_until_it_has_been_told_anew(server, agent, damage):
    server.offer(server.snapshot(9, "/refunds"))
    agent.wait_for("/other", within=30)
    with agent.workload() as api:
        token = api.jwt_svid(["shop"]).svids[0].svid
    agent.process.stop()
    stored = next(agent.folder.rglob("revocations.jws"))
    if damage == "cut off":
        stored.write_bytes(stored.read_bytes()[:-20])
    else:
        stored.chmod(0o644)

    def verdict() -> grpc.StatusCode:
        with agent.workload() as api:
            try:
                api.validate("shop", token)
            except grpc.RpcError as refused:
                return refused.code()
        return grpc.StatusCode.OK

    # Not even a server that says that it knows of no such thing is believed.
    server.offer(b"")
    agent.start()
    agent.wait_for("/other", "/refunds", within=30)
    assert verdict() == grpc.StatusCode.UNAVAILABLE
    assert "the stored revocations are damaged" in agent.process.log(10_000)
    agent.process.stop()
    server.offer(server.snapshot(10, "/refunds"))
    agent.start()
    agent.wait_for("/other", within=30)
    assert verdict() == grpc.StatusCode.OK
    # The file is whole again.
    server.offer(server.snapshot(8))
    agent.process.stop()
    agent.start()
    server.wait_until_asked()
    assert set(agent.svids()) == {"/other"}


def test_a_snapshot_of_another_signer_is_not_taken(server, agent):
    server.offer(server.snapshot(9, "/refunds"))
    agent.wait_for("/other", within=30)
    impostor = RevokingServer()
    server.offer(impostor.snapshot(10))
    server.wait_until_asked()
    assert set(agent.svids()) == {"/other"}
    assert "does not verify" in refusals(agent)
