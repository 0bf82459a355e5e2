"""Control plane away, then the node agent away: mutual TLS between agents goes on, and all of it comes back alone."""

import contextlib
import socket
import struct
import threading

import grpc
import pytest
from OpenSSL import SSL
from spiffe import SpiffeId, TrustDomain, X509Source
from spiffetls import ListenOptions, ServerTlsMode, dial, listen
from spiffetls.tlsconfig.authorize import authorize_id, authorize_member_of

from harness.polling import eventually
from stage.deployment import uid_selector
from wire import messages as m
from wire.workload import first

TIMEOUT = 10


def limit(connection: SSL.Connection) -> None:
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        connection.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", TIMEOUT, 0))


class Weather:
    """An agent that answers over mutual TLS with its stock source; it listens anew for the SVID of the moment."""

    def __init__(self, source: X509Source, trust_domain: str):
        authorize = authorize_member_of(TrustDomain(trust_domain))
        self.listener = listen(
            "127.0.0.1:0", source, ListenOptions(tls_mode=ServerTlsMode.MTLS, authorize_fn=authorize)
        )
        self.address = "%s:%d" % self.listener.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            limit(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    @staticmethod
    def _serve(connection: SSL.Connection) -> None:
        with contextlib.suppress(SSL.Error, OSError):
            connection.do_handshake()
            while data := connection.recv(4096):
                connection.sendall(b"sunny " + data)
        connection.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.listener._socket, socket.SHUT_RDWR)
        self.listener.close()


def ask(connection: SSL.Connection, text: str) -> str:
    connection.sendall(text.encode())
    return connection.recv(4096).decode()


@pytest.fixture
def stage(deployment):
    """Two agents with held sources, a server and an open connection between them."""
    domain = deployment("outage.test", agent=["-syncInterval", "1s"])
    paths = ("/weather", "/planner")
    for path in paths:
        domain.entry(path, [uid_selector()], x509_svid_ttl=300)
    domain.wait_for_ids(*paths)

    def source(path: str) -> X509Source:
        return X509Source(
            socket_path=domain.endpoint,
            timeout_in_seconds=20,
            svid_picker=lambda svids: next(s for s in svids if s.spiffe_id.path == path),
        )

    with source("/weather") as weather, source("/planner") as planner:
        server = Weather(weather, domain.name)
        connection = dial(server.address, planner, authorize_fn=authorize_id(SpiffeId(f"{domain.id}/weather")))
        limit(connection)

        def both_ways_work(word: str) -> None:
            """The call under way goes on, and a new one can be made."""
            assert ask(connection, word) == f"sunny {word}"
            fresh = dial(server.address, planner, authorize_fn=authorize_id(SpiffeId(f"{domain.id}/weather")))
            limit(fresh)
            try:
                assert ask(fresh, word) == f"sunny {word}"
            finally:
                fresh.close()

        try:
            both_ways_work("before")
            yield domain, both_ways_work, planner
        finally:
            connection.close()
            server.close()


def test_control_plane_away_then_agent_away_then_both_back(stage):
    domain, both_ways_work, planner = stage
    domain.end(domain.server, 9)
    both_ways_work("without a control plane")
    with domain.workload() as api:
        ids = sorted(svid.spiffe_id for svid in first(api.x509_svids()).svids)
        assert ids == [f"{domain.id}/planner", f"{domain.id}/weather"], "new callers get what is cached"
        assert first(api.jwt_bundles()).bundles[domain.id]
        with pytest.raises(grpc.RpcError) as refused:
            api.jwt_svid(["nobody asked before"])
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE, "a new token needs the control plane"

    domain.end(domain.agent, 9)
    both_ways_work("without an agent")

    updated = threading.Event()
    planner.subscribe_for_updates(updated.set)
    domain.start_server()
    domain.start_agent()
    assert updated.wait(30), "the held source is served again"
    both_ways_work("after")
    domain.entry("/later", [uid_selector()])
    domain.wait_for_ids("/later", "/planner", "/weather", within=30)
    with domain.workload() as api:
        assert len(api.jwt_svid(["after"]).svids) == 3


def test_an_agent_starts_while_the_control_plane_is_away(stage):
    """It serves once it can speak to the control plane again, without help; existing calls never notice"""
    domain, both_ways_work, _ = stage
    domain.end(domain.agent)
    domain.end(domain.server)
    starter = threading.Thread(target=lambda: domain.start_agent(), daemon=True)
    starter.start()
    both_ways_work("nothing runs")
    domain.start_server()
    starter.join(40)
    assert not starter.is_alive()
    domain.wait_for_ids("/planner", "/weather", within=30)
    both_ways_work("after")


def test_a_token_that_was_fetched_is_served_without_the_control_plane(deployment):
    domain = deployment("tokens.test")
    domain.entry("/tokens", [uid_selector()])
    domain.wait_for_ids("/tokens")
    with domain.workload() as api:
        (before,) = api.jwt_svid(["me"]).svids
        domain.end(domain.server)
        (again,) = api.jwt_svid(["me"]).svids
        assert api.validate("me", again.svid).spiffe_id == f"{domain.id}/tokens"
        assert again.svid == before.svid


def test_what_changed_meanwhile_arrives_at_once_afterwards(deployment):
    """An entry deleted by the server while the agent was away is not served from an old cache when it comes back"""
    domain = deployment("meanwhile.test")
    gone = domain.entry("/gone", [uid_selector()])
    domain.entry("/stays", [uid_selector()])
    domain.wait_for_ids("/gone", "/stays")
    domain.end(domain.agent)
    domain.admin.delete(gone.id)
    domain.start_agent()
    assert domain.ids() == [f"{domain.id}/stays"]


def test_an_agent_that_was_banned_while_it_was_away_hands_out_nothing(deployment):
    domain = deployment("banned.test")
    domain.entry("/banned", [uid_selector()])
    domain.wait_for_ids("/banned")
    domain.end(domain.agent)
    (node,) = domain.admin.agents.ListAgents(m.agent.ListAgentsRequest(), timeout=20).agents
    domain.admin.ban(domain.id + node.id.path)
    with pytest.raises(AssertionError, match="ended with 1 before it was ready"):
        domain.start_agent()


def test_nothing_is_served_past_the_end_of_an_svid(deployment):
    """With the control plane away the cache lasts as long as its certificates, and no longer"""
    domain = deployment("past.test")
    domain.entry("/past", [uid_selector()], x509_svid_ttl=6)
    domain.wait_for_ids("/past")
    domain.end(domain.server)

    def refused() -> bool:
        with domain.workload() as api:
            try:
                first(api.x509_svids(timeout=12))
                return False
            except grpc.RpcError as error:
                return error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)

    eventually(refused, "the SVID of 6 s is not served any more", within=30, every=0.3)
    domain.start_server()
    eventually(
        lambda: domain.ids() == [f"{domain.id}/past"], "it is served again", within=30, ignore=(grpc.RpcError,)
    )
