"""The weather agent with `spiffe-tls`: mutual TLS, one JSON line in, one JSON line out.

    python weather_agent.py --listen 127.0.0.1:9443

`spiffe-tls` checks the caller's certificate against the trust domain's bundle; this file adds the decision, and takes a
rotated certificate into use without a restart.
"""

import argparse
import json
import socket
import struct
import sys
import threading
from pathlib import Path

from cryptography.x509 import SubjectAlternativeName, UniformResourceIdentifier
from OpenSSL import SSL
from spiffe import SpiffeId, X509Source
from spiffetls import create_ssl_context
from spiffetls.tlsconfig.authorize import authorize_member_of

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from permissions import Weather  # noqa: E402

TIMEOUT = 10
"""Seconds that one caller may take."""


def peer_id(connection: SSL.Connection) -> SpiffeId:
    certificate = connection.get_peer_certificate(as_cryptography=True)
    names = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    (uri,) = names.get_values_for_type(UniformResourceIdentifier)
    return SpiffeId(uri)


def read_line(connection: SSL.Connection, limit: int = 64 * 1024) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        line += connection.recv(4096)
        if len(line) > limit:
            raise ValueError("the task is too long")
    return line


def serve(connection: SSL.Connection, weather: Weather, me: SpiffeId) -> None:
    try:
        connection.do_handshake()
        caller = peer_id(connection)
        answer = weather.handle(caller, me.trust_domain, json.loads(read_line(connection)))
        print(json.dumps({"served": answer}), flush=True)
        connection.sendall(json.dumps(answer).encode() + b"\n")
        connection.shutdown()
    except (SSL.Error, OSError, ValueError) as error:
        print(json.dumps({"refused": type(error).__name__}), flush=True)
    finally:
        connection.close()


class Snapshot:
    """One moment of an X509Source, as `create_ssl_context` wants to see it.

    The library would change a context in place at a rotation, which pyOpenSSL refuses from 26.2.0 on. A context of a
    snapshot never changes; a rotation makes a new one.
    """

    def __init__(self, source: X509Source):
        context = source.get_x509_context()
        self.svid = context.default_svid
        self.bundles = context.x509_bundle_set.bundles

    def subscribe_for_updates(self, callback) -> None:
        """A moment has no updates."""


class Contexts:
    """The TLS context for the next connection; made anew only after a rotation."""

    def __init__(self, source: X509Source, authorize):
        self._source, self._authorize = source, authorize
        self._rotated = threading.Event()
        self._context = None
        source.subscribe_for_updates(self._rotated.set)

    def current(self) -> SSL.Context:
        if self._context is None or self._rotated.is_set():
            self._rotated.clear()
            mutual = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
            self._context = create_ssl_context(SSL.TLS_SERVER_METHOD, Snapshot(self._source), self._authorize, mutual)
        return self._context


def set_timeout(sock: socket.socket) -> None:
    """pyOpenSSL waits for a silent peer without end on a blocking socket; the kernel's timeouts bound it."""
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", TIMEOUT, 0))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", default="127.0.0.1:9443", metavar="IP:PORT", help="port 0 takes a free one")
    parser.add_argument("--id", help="which identity to use, when this process has several")
    options = parser.parse_args()
    host, _, port = options.listen.rpartition(":")

    picker = (lambda svids: next(s for s in svids if str(s.spiffe_id) == options.id)) if options.id else None
    with X509Source(svid_picker=picker, timeout_in_seconds=30) as source:
        me = source.get_x509_context().default_svid.spiffe_id
        contexts = Contexts(source, authorize_member_of(me.trust_domain))
        weather = Weather()
        with socket.create_server((host, int(port))) as listener:
            host, port = listener.getsockname()
            print(json.dumps({"listening": f"{host}:{port}", "as": str(me)}), flush=True)
            while True:
                sock, _ = listener.accept()
                set_timeout(sock)
                connection = SSL.Connection(contexts.current(), sock)
                connection.set_accept_state()
                threading.Thread(target=serve, args=(connection, weather, me), daemon=True).start()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
