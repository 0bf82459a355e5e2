"""The weather agent with `spiffe-tls`: mutual TLS, one JSON line in, one JSON line out.

    python weather_agent.py --listen 127.0.0.1:9443

`spiffe-tls` checks the caller's certificate against the trust domain's bundle and puts rotated certificates into place;
this file adds only the decision.
"""

import argparse
import json
import sys
import threading
from pathlib import Path

from OpenSSL import SSL
from spiffe import SpiffeId, X509Source
from spiffetls import ListenOptions, ServerTlsMode, listen
from spiffetls.tlsconfig.authorize import authorize_member_of

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from permissions import Weather  # noqa: E402

TIMEOUT = 10
"""Seconds that one caller may take."""


def peer_id(connection: SSL.Connection) -> SpiffeId:
    certificate = connection.get_peer_certificate(as_cryptography=True)
    from cryptography.x509 import SubjectAlternativeName, UniformResourceIdentifier

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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", default="127.0.0.1:9443", metavar="IP:PORT", help="port 0 takes a free one")
    parser.add_argument("--id", help="which identity to use, when this process has several")
    options = parser.parse_args()

    picker = (lambda svids: next(s for s in svids if str(s.spiffe_id) == options.id)) if options.id else None
    with X509Source(svid_picker=picker, timeout_in_seconds=30) as source:
        me = source.get_x509_context().default_svid.spiffe_id
        listener = listen(
            options.listen,
            source,
            ListenOptions(tls_mode=ServerTlsMode.MTLS, authorize_fn=authorize_member_of(me.trust_domain)),
        )
        host, port = listener.getsockname()
        print(json.dumps({"listening": f"{host}:{port}", "as": str(me)}), flush=True)
        weather = Weather()
        while True:
            connection, _ = listener.accept()
            # pyOpenSSL waits for a silent peer without end; the kernel's receive timeout bounds it.
            set_timeout(connection)
            threading.Thread(target=serve, args=(connection, weather, me), daemon=True).start()


def set_timeout(connection: SSL.Connection) -> None:
    import socket
    import struct

    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        connection.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", TIMEOUT, 0))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
