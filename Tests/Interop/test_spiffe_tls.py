"""Mutual TLS between two agents with the stock packages `spiffe` and `spiffe-tls`, on identities of the product."""

import contextlib
import socket
import struct
import threading

import pytest
from OpenSSL import SSL
from spiffe import SpiffeId, TrustDomain, X509Source
from spiffetls import ListenOptions, ServerTlsMode, SpiffeSSLContext, dial, listen
from spiffetls.errors import TLSConnectionError
from spiffetls.tlsconfig.authorize import authorize_id, authorize_member_of

from harness.polling import eventually
from wire.keys import uri_sans

TIMEOUT = 10


def source_of(domain, path: str) -> X509Source:
    wanted = domain.id + path
    return X509Source(
        socket_path=domain.endpoint,
        timeout_in_seconds=20,
        svid_picker=lambda svids: next(s for s in svids if str(s.spiffe_id) == wanted),
    )


def limit(connection: SSL.Connection) -> None:
    """pyOpenSSL works on a blocking socket; the kernel bounds its waiting."""
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        connection.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", TIMEOUT, 0))


class Echo:
    """Answers each message with the caller's ID and the message, on as many connections as come."""

    def __init__(self, source: X509Source, authorize):
        self.listener = listen(
            "127.0.0.1:0", source, ListenOptions(tls_mode=ServerTlsMode.MTLS, authorize_fn=authorize)
        )
        self.address = "%s:%d" % self.listener.getsockname()
        self.refused: list[Exception] = []
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            limit(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _serve(self, connection: SSL.Connection) -> None:
        try:
            connection.do_handshake()
            (caller,) = uri_sans(connection.get_peer_certificate(as_cryptography=True))
            while data := connection.recv(4096):
                connection.sendall(caller.encode() + b" said " + data)
        except SSL.ZeroReturnError:
            pass
        except (SSL.Error, OSError) as error:
            self.refused.append(error)
        finally:
            connection.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.listener._socket, socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(TIMEOUT + 5)


def say(connection: SSL.Connection, text: str) -> str:
    connection.sendall(text.encode())
    return connection.recv(4096).decode()


@pytest.fixture
def cast(registry):
    """Three agents of one trust domain, each with a source of its own."""
    paths = ("/weather", "/planner", "/impostor")
    for path in paths:
        registry.entry(path, x509_svid_ttl=300)
    registry.wait_for_ids(*paths)
    with contextlib.ExitStack() as stack:
        yield {path: stack.enter_context(source_of(registry, path)) for path in paths}


@pytest.fixture
def echo():
    made = []

    def start(source, authorize):
        made.append(Echo(source, authorize))
        return made[-1]

    yield start
    for one in made:
        one.close()


def test_both_sides_see_the_other_sides_id(registry, cast, echo):
    """X509-SVID §5: both leaves verify with the bundle, as server and as client"""
    planner, weather = SpiffeId(f"{registry.id}/planner"), SpiffeId(f"{registry.id}/weather")
    server = echo(cast["/weather"], authorize_id(planner))
    connection = dial(server.address, cast["/planner"], authorize_fn=authorize_id(weather))
    try:
        assert connection.get_protocol_version_name() == "TLSv1.3"
        assert say(connection, "hello") == f"{planner} said hello"
        assert uri_sans(connection.get_peer_certificate(as_cryptography=True)) == [str(weather)]
    finally:
        connection.close()


def test_a_client_refuses_a_server_with_another_id(registry, cast, echo):
    server = echo(cast["/impostor"], authorize_member_of(TrustDomain(registry.name)))
    with pytest.raises(TLSConnectionError):
        dial(server.address, cast["/planner"], authorize_fn=authorize_id(SpiffeId(f"{registry.id}/weather")))


def test_a_server_refuses_an_agent_that_it_does_not_know(registry, cast, echo):
    """In TLS 1.3 the client learns of it with its first read"""
    server = echo(cast["/weather"], authorize_id(SpiffeId(f"{registry.id}/planner")))
    with pytest.raises((SSL.Error, TLSConnectionError, OSError)):
        connection = dial(
            server.address, cast["/impostor"], authorize_fn=authorize_id(SpiffeId(f"{registry.id}/weather"))
        )
        limit(connection)
        try:
            say(connection, "let me in")
        finally:
            connection.close()
    eventually(lambda: server.refused, "the server refused the handshake")


def test_the_same_name_from_another_authority_is_refused(registry, cast, echo, start):
    """A trust domain is its keys, not its name: a twin with the same name and ID is a stranger"""
    twin = start(registry.name)
    twin.entry("/planner")
    twin.wait_for_ids("/planner")
    server = echo(cast["/weather"], authorize_member_of(TrustDomain(registry.name)))
    with source_of(twin, "/planner") as forged:
        assert forged.get_x509_context().default_svid.spiffe_id == SpiffeId(f"{registry.id}/planner")
        with pytest.raises(TLSConnectionError):
            dial(server.address, forged, authorize_fn=authorize_id(SpiffeId(f"{registry.id}/weather")))
    eventually(lambda: server.refused, "the server refused the handshake")


def test_a_client_without_a_certificate_is_refused(registry, cast, echo):
    server = echo(cast["/weather"], authorize_member_of(TrustDomain(registry.name)))
    host, _, port = server.address.rpartition(":")
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    bare = SSL.Connection(context, socket.create_connection((host, int(port)), timeout=TIMEOUT))
    bare.setblocking(True)
    limit(bare)
    bare.set_connect_state()
    try:
        with pytest.raises((SSL.Error, OSError)):
            bare.do_handshake()
            say(bare, "hello")
    finally:
        bare.close()
    eventually(lambda: server.refused, "the server refused the handshake")


def test_rotation_keeps_the_open_connection_and_serves_new_ones(registry, echo):
    """A rotated SVID is used by the next handshake; a running call does not notice

    `spiffe-tls` 0.4.0 puts a rotated certificate into its context in place, which pyOpenSSL refuses from 26.2.0 on; so
    the server listens anew after the rotation, as its user would have to.
    """
    for path in ("/rotating/server", "/rotating/client"):
        registry.entry(path, x509_svid_ttl=10)
    registry.wait_for_ids("/rotating/server", "/rotating/client")
    with source_of(registry, "/rotating/server") as theirs, source_of(registry, "/rotating/client") as mine:

        def serials() -> tuple[int, int]:
            return tuple(s.get_x509_context().default_svid.leaf.serial_number for s in (theirs, mine))

        member = authorize_member_of(TrustDomain(registry.name))
        begun = serials()
        held = dial(echo(theirs, member).address, mine, authorize_fn=member)
        limit(held)
        try:
            assert held.get_peer_certificate(as_cryptography=True).serial_number == begun[0]
            assert "said before" in say(held, "before")
            eventually(lambda: not set(begun) & set(serials()), "both SVIDs rotated", within=20)
            fresh = dial(echo(theirs, member).address, mine, authorize_fn=member)
            try:
                assert "said new" in say(fresh, "new")
                assert fresh.get_peer_certificate(as_cryptography=True).serial_number != begun[0]
            finally:
                fresh.close()
            assert "said after" in say(held, "after")
        finally:
            held.close()


def test_the_stock_ssl_context_works_for_standard_libraries(registry, cast, echo):
    """`SpiffeSSLContext`, which the package offers to httpx, requests and urllib3"""
    server = echo(cast["/weather"], authorize_member_of(TrustDomain(registry.name)))
    host, _, port = server.address.rpartition(":")
    context = SpiffeSSLContext(cast["/planner"])
    context.check_hostname = False
    with socket.create_connection((host, int(port)), timeout=TIMEOUT) as plain:
        wrapped = context.wrap_socket(plain, server_hostname=None)
        wrapped.sendall(b"hi")
        assert wrapped.recv(4096).decode() == f"{registry.id}/planner said hi"
        wrapped.close()
