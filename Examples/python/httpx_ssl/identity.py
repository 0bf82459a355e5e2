"""An agent's SVID as contexts for Python's own `ssl`, kept fresh by the Workload API.

Python's `ssl` knows host names, not SPIFFE IDs. So host names are off, the chain is still required and checked against
the trust domain's bundle, and the peer's SPIFFE ID is checked at the end of the handshake, before any data is sent.
The key goes to OpenSSL through an anonymous file in memory and never touches a disk (Linux).
"""

import os
import ssl
import threading
from typing import Callable, Optional

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from spiffe import SpiffeId, X509Source

Authorize = Callable[[SpiffeId], bool]


def peer_id(connection: ssl.SSLSocket | ssl.SSLObject) -> SpiffeId:
    """The peer's SPIFFE ID: the one URI name of its verified certificate."""
    certificate = x509.load_der_x509_certificate(connection.getpeercert(binary_form=True))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1:
        raise ssl.SSLCertVerificationError(f"the peer has {len(uris)} URI names, an SVID has one")
    return SpiffeId(uris[0])


class Identity:
    """This agent's identity; contexts made after a rotation use the new certificate."""

    def __init__(self, wanted: Optional[str] = None):
        picker = (lambda svids: next(s for s in svids if str(s.spiffe_id) == wanted)) if wanted else None
        self._source = X509Source(svid_picker=picker, timeout_in_seconds=30)
        self._lock = threading.Lock()
        self._server: Optional[ssl.SSLContext] = None
        self._source.subscribe_for_updates(self._rotated)

    @property
    def id(self) -> SpiffeId:
        return self._source.get_x509_context().default_svid.spiffe_id

    def close(self) -> None:
        self._source.close()

    def _rotated(self) -> None:
        with self._lock:
            self._server = None

    def server_context(self, authorize: Authorize) -> ssl.SSLContext:
        """The context for the next connection that comes in; made anew only after a rotation."""
        with self._lock:
            if self._server is None:
                self._server = self._context(ssl.PROTOCOL_TLS_SERVER, authorize)
            return self._server

    def client_context(self, authorize: Authorize) -> ssl.SSLContext:
        return self._context(ssl.PROTOCOL_TLS_CLIENT, authorize)

    def _context(self, protocol: int, authorize: Authorize) -> ssl.SSLContext:
        snapshot = self._source.get_x509_context()
        svid = snapshot.default_svid
        bundle = snapshot.x509_bundle_set.get_bundle_for_trust_domain(svid.spiffe_id.trust_domain)
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        # Only the own trust domain's roots: another domain's roots must never vouch for an ID of this one.
        context.load_verify_locations(
            cadata=b"".join(c.public_bytes(serialization.Encoding.DER) for c in bundle.x509_authorities)
        )
        pem = b"".join(c.public_bytes(serialization.Encoding.PEM) for c in svid.cert_chain)
        pem += svid.private_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        with os.fdopen(os.memfd_create("svid", os.MFD_CLOEXEC), "wb") as file:
            file.write(pem)
            file.flush()
            context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")

        def check(connection) -> None:
            peer = peer_id(connection)
            if not authorize(peer):
                raise ssl.SSLCertVerificationError(f"{peer} is not the agent that was expected")

        class CheckedSocket(ssl.SSLSocket):
            def do_handshake(self, block: bool = False) -> None:
                super().do_handshake(block)
                check(self)

        class CheckedObject(ssl.SSLObject):
            def do_handshake(self) -> None:
                super().do_handshake()
                check(self)

        context.sslsocket_class = CheckedSocket
        context.sslobject_class = CheckedObject
        return context
