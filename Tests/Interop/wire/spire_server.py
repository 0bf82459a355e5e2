"""A stand-in for SPIRE's server: the node API that its agents call, from the message numbers, and nothing of ours.

It decides as SPIRE does (§3.2): one port for callers with and without a certificate, an agent's current and next serial
number, the reasons of its refusals, entries whole up to a page and as revisions above. Tests look at `calls`, and put
refusals into `answers`.
"""

import os
import ssl
import threading
import time
from concurrent import futures
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Callable, Iterable, Optional

import grpc
from cryptography import x509

from wire import messages as m
from wire.keys import der_to_pem, id_text, load_identity, new_key, selector, spiffe_id, uri_sans
from wire.reverse_tunnel import NO_CHECK_TIME, ReverseTunnel
from wire.spire_authority import JWTAuthority, X509Authority, der

PAGE = 500
"""Entries that one message holds at most, and CSRs that one batch may have."""

Reason = m.types.PermissionDeniedDetails.Reason
MASKED = [f.name for f in m.types.EntryMask.DESCRIPTOR.fields]


@dataclass
class Call:
    """One call as it came in."""

    method: str
    at: float
    caller: Optional[str]
    serial: Optional[int]
    request: object = None
    messages: list = field(default_factory=list)


@dataclass
class Node:
    """An attested agent as the server knows it."""

    serial: int
    next_serial: Optional[int] = None
    banned: bool = False
    reattestable: bool = False
    version: str = ""


class Denied(Exception):
    """A refusal, with SPIRE's reason where it has one."""

    def __init__(self, code: grpc.StatusCode, message: str, reason: Optional[str] = None):
        self.code, self.message, self.reason = code, message, reason
        super().__init__(message)

    @classmethod
    def agent(cls, reason: str) -> "Denied":
        return cls(grpc.StatusCode.PERMISSION_DENIED, f"agent is refused: {reason}", reason)

    def end(self, context: grpc.ServicerContext):
        if self.reason:
            status = m.rpcstatus.Status(code=self.code.value[0], message=self.message)
            status.details.add().Pack(m.types.PermissionDeniedDetails(reason=Reason.Value(self.reason)))
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(self.code, self.message)


class SpireServer:
    """A trust domain. Everything is changed under `lock`; `start` and `stop` keep the state, as a restart does."""

    def __init__(self, trust_domain: str = "spire.test", kind: str = "ec-p256", upstream: bool = False):
        self.trust_domain, self.id, self.kind = trust_domain, f"spiffe://{trust_domain}", kind
        self.lock = threading.RLock()
        self.upstream = X509Authority(trust_domain, kind) if upstream else None
        self.authority = X509Authority(trust_domain, kind, issuer=self.upstream)
        self.tls_authority: Optional[X509Authority] = None
        self.x509_authorities = [self.authority.root]
        self.jwt_authority = JWTAuthority(kind)
        self.jwt_authorities = [self.jwt_authority]
        self.sequence = 1
        self.refresh_hint = 300
        self.federated: dict[str, object] = {}
        self.tokens: dict[str, float] = {}
        self.nodes: dict[str, Node] = {}
        self.entries: dict[str, object] = {}
        self.calls: list[Call] = []
        self.answers: dict[str, Callable[[], None]] = {}
        self.agent_ttl = timedelta(hours=1)
        self.svid_ttl = timedelta(hours=1)
        self.jwt_ttl = 300
        self.page = PAGE
        self.batch = PAGE
        self.max_connection_age_ms: Optional[int] = None
        self.unknown: list[tuple[str, float]] = []
        self.pop_check: Optional[Callable] = None
        self.further_handlers: list[grpc.GenericRpcHandler] = []
        self.port = 0
        self.tunnel: Optional[ReverseTunnel] = None

    # Life

    def start(self) -> "SpireServer":
        options = [("grpc.max_receive_message_length", 4 << 20)]
        if self.max_connection_age_ms is not None:
            options += [
                ("grpc.max_connection_age_ms", self.max_connection_age_ms),
                ("grpc.max_connection_age_grace_ms", 2000),
            ]
        self._pool = futures.ThreadPoolExecutor(32)
        self._grpc = grpc.server(self._pool, options=options, interceptors=[_Unknown(self)])
        m.agent_grpc.add_AgentServicer_to_server(_Agent(self), self._grpc)
        m.bundle_grpc.add_BundleServicer_to_server(_Bundle(self), self._grpc)
        m.entry_grpc.add_EntryServicer_to_server(_Entry(self), self._grpc)
        m.svid_grpc.add_SVIDServicer_to_server(_SVID(self), self._grpc)
        self._grpc.add_generic_rpc_handlers(self.further_handlers)
        inner = self._grpc.add_insecure_port("127.0.0.1:0")
        self._grpc.start()
        self.tunnel = ReverseTunnel(self._context, inner, self.port)
        self.port = self.tunnel.port
        return self

    def stop(self) -> None:
        if self.tunnel is not None:
            self.tunnel.close()
            self.tunnel = None
            self._grpc.stop(0).wait(10)
            self._pool.shutdown(wait=False)

    def __enter__(self) -> "SpireServer":
        return self.start()

    def __exit__(self, *_) -> None:
        self.stop()

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["h2"])
        # A resumed session would skip the chain's check (SPIRE 1.14.3).
        context.num_tickets = 0
        context.options |= ssl.OP_NO_TICKET
        context.verify_mode = ssl.CERT_OPTIONAL
        context.verify_flags |= NO_CHECK_TIME
        with self.lock:
            key = new_key()
            chain = (self.tls_authority or self.authority).issue(
                key.public_key(), f"{self.id}/spire/server", self.svid_ttl
            )
            context.load_verify_locations(cadata=b"".join(der(a.certificate) for a in self.x509_authorities))
        load_identity(context, chain, key)
        return context

    # What an operator does

    @property
    def roots_pem(self) -> bytes:
        with self.lock:
            return der_to_pem(der(a.certificate) for a in self.x509_authorities)

    def join_token(self, ttl: float = 600) -> str:
        token = os.urandom(16).hex()
        with self.lock:
            self.tokens[token] = time.time() + ttl
        return token

    def entry(self, path: str, parent: str, selectors: Iterable[str], **fields):
        with self.lock:
            made = m.types.Entry(
                id=os.urandom(16).hex(), spiffe_id=spiffe_id(self.id + path), parent_id=spiffe_id(parent),
                selectors=[selector(one) for one in selectors], created_at=int(time.time()), **fields,
            )  # fmt: skip
            self.entries[made.id] = made
            return made

    def change(self, entry_id: str, **fields) -> None:
        with self.lock:
            entry = self.entries[entry_id]
            for name, value in fields.items():
                setattr(entry, name, value)
            entry.revision_number += 1

    def delete(self, *entry_ids: str) -> None:
        with self.lock:
            for entry_id in entry_ids:
                del self.entries[entry_id]

    def prepare(self) -> X509Authority:
        """A further X.509 authority, published and not yet used."""
        with self.lock:
            made = X509Authority(self.trust_domain, self.kind)
            self.x509_authorities.append(made)
            self.sequence += 1
            return made

    def activate(self, authority: X509Authority) -> None:
        with self.lock:
            self.authority = authority

    def taint(self, authority) -> None:
        with self.lock:
            authority.tainted = True
            self.sequence += 1

    def revoke(self, authority) -> None:
        with self.lock:
            for held in (self.x509_authorities, self.jwt_authorities):
                if authority in held:
                    held.remove(authority)
            self.sequence += 1

    def rotate_jwt(self) -> JWTAuthority:
        with self.lock:
            self.jwt_authority = JWTAuthority(self.kind)
            self.jwt_authorities.append(self.jwt_authority)
            self.sequence += 1
            return self.jwt_authority

    def ban(self, node_id: str) -> None:
        with self.lock:
            self.nodes[node_id].banned = True

    def evict(self, node_id: str) -> None:
        with self.lock:
            del self.nodes[node_id]

    def bundle(self):
        with self.lock:
            return m.types.Bundle(
                trust_domain=self.trust_domain, refresh_hint=self.refresh_hint, sequence_number=self.sequence,
                x509_authorities=[
                    m.types.X509Certificate(asn1=der(a.certificate), tainted=a.tainted) for a in self.x509_authorities
                ],
                jwt_authorities=[a.message() for a in self.jwt_authorities],
            )  # fmt: skip

    # What tests look at

    def of(self, method: str, since: float = 0) -> list[Call]:
        with self.lock:
            return [call for call in self.calls if call.method == method and call.at >= since]

    def refuse(self, method: str, refusal: Denied, times: Optional[int] = None) -> None:
        """Every call of `method`, or the next `times` ones, ends with this."""
        left = [times]

        def answer() -> None:
            if left[0] is not None:
                if left[0] == 0:
                    return
                left[0] -= 1
            raise refusal

        with self.lock:
            self.answers[method] = answer

    def accept(self, *methods: str) -> None:
        """Ends `refuse`; for every method when none is named."""
        with self.lock:
            for method in methods or list(self.answers):
                self.answers.pop(method, None)

    # What each call begins with

    def begin(self, method: str, context: grpc.ServicerContext, request=None) -> Call:
        certificate = self.tunnel.peer(int(context.peer().rpartition(":")[2])) if self.tunnel else None
        call = Call(
            method, time.time(), uri_sans(certificate)[0] if certificate else None,
            certificate.serial_number if certificate else None, request,
        )  # fmt: skip
        with self.lock:
            self.calls.append(call)
            answer = self.answers.get(method)
            if answer:
                answer()
        call.certificate = certificate
        return call

    def authorize(self, call: Call) -> str:
        """The agent's ID; the certificate has to be its current one, or its next one, which thereby becomes current."""
        if call.certificate is None or not call.caller.startswith(f"{self.id}/spire/agent/"):
            raise Denied(grpc.StatusCode.PERMISSION_DENIED, f"authorization denied for method {call.method}")
        with self.lock:
            node = self.nodes.get(call.caller)
            if call.certificate.not_valid_after_utc.timestamp() < time.time():
                raise Denied.agent("AGENT_EXPIRED")
            if node is None:
                raise Denied.agent("AGENT_NOT_ATTESTED")
            if node.banned:
                raise Denied.agent("AGENT_BANNED")
            if call.serial == node.next_serial:
                node.serial, node.next_serial = node.next_serial, None
            elif call.serial != node.serial:
                raise Denied.agent("AGENT_NOT_ACTIVE")
        return call.caller

    def sign(self, request: bytes, identity: str, ttl: timedelta, dns: Iterable[str] = ()):
        """Only the key counts of a CSR, once its signature is good."""
        try:
            csr = x509.load_der_x509_csr(request)
            good = csr.is_signature_valid
        except ValueError:
            good = False
        if not good:
            raise Denied(grpc.StatusCode.INVALID_ARGUMENT, "malformed CSR")
        with self.lock:
            chain = self.authority.issue(csr.public_key(), identity, ttl, dns)
        leaf = x509.load_der_x509_certificate(chain[0])
        return leaf, m.types.X509SVID(
            cert_chain=chain, id=spiffe_id(identity), expires_at=int(leaf.not_valid_after_utc.timestamp())
        )

    def authorized(self, node_id: str) -> dict:
        """Every entry below the agent, and below those entries."""
        with self.lock:
            found, parents = {}, {node_id}
            while True:
                more = {
                    e.id: e for e in self.entries.values() if id_text(e.parent_id) in parents and e.id not in found
                }
                if not more:
                    return found
                found.update(more)
                parents = {id_text(e.spiffe_id) for e in more.values()}


def masked(entry, mask):
    """The entry with only the fields of the mask."""
    kept = m.types.Entry(id=entry.id)
    for name in MASKED:
        if getattr(mask, name):
            part = m.types.Entry()
            part.CopyFrom(entry)
            for other in m.types.Entry.DESCRIPTOR.fields:
                if other.name != name:
                    part.ClearField(other.name)
            kept.MergeFrom(part)
    return kept


class _Unknown(grpc.ServerInterceptor):
    """Remembers calls of services that SPIRE does not have; gRPC answers Unimplemented."""

    def __init__(self, server: SpireServer):
        self.server = server

    def intercept_service(self, continuation, details):
        handler = continuation(details)
        if handler is None:
            with self.server.lock:
                self.server.unknown.append((details.method, time.time()))
        return handler


class _Service:
    def __init__(self, server: SpireServer):
        self.server = server


class _Agent(_Service, m.agent_grpc.AgentServicer):
    def AttestAgent(self, requests, context):
        server = self.server
        try:
            call = server.begin("AttestAgent", context)
            first = next(requests)
            call.messages.append(first)
            if first.WhichOneof("step") != "params":
                raise Denied(grpc.StatusCode.INVALID_ARGUMENT, "malformed param: missing params")
            kind, payload = first.params.data.type, first.params.data.payload
            if kind == "join_token":
                node_id, reattestable = self._join(payload), False
            elif kind == "x509pop" and server.pop_check:
                node_id, reattestable = (yield from self._pop(payload, requests, call)), True
            else:
                raise Denied(grpc.StatusCode.FAILED_PRECONDITION, f"no attestor for {kind}")
            leaf, svid = server.sign(first.params.params.csr, node_id, server.agent_ttl)
            with server.lock:
                known = server.nodes.get(node_id)
                if known and known.banned:
                    raise Denied.agent("AGENT_BANNED")
                server.nodes[node_id] = Node(leaf.serial_number, reattestable=reattestable)
            yield m.agent.AttestAgentResponse(
                result=m.agent.AttestAgentResponse.Result(svid=svid, reattestable=reattestable)
            )
        except Denied as denied:
            denied.end(context)

    def _join(self, payload: bytes) -> str:
        token = payload.decode(errors="replace")
        with self.server.lock:
            expires = self.server.tokens.pop(token, 0)
        if expires < time.time():
            raise Denied(grpc.StatusCode.INVALID_ARGUMENT, "join token does not exist or has already been used")
        return f"{self.server.id}/spire/agent/join_token/{token}"

    def _pop(self, payload: bytes, requests, call: Call):
        certificates, challenge, check = self.server.pop_check(payload)
        yield m.agent.AttestAgentResponse(challenge=challenge)
        answer = next(requests)
        call.messages.append(answer)
        if not check(answer.challenge_response):
            raise Denied(grpc.StatusCode.INVALID_ARGUMENT, "x509pop: challenge response verification failed")
        return f"{self.server.id}/spire/agent/x509pop/{certificates[0].fingerprint}"

    def RenewAgent(self, request, context):
        try:
            call = self.server.begin("RenewAgent", context, request)
            node_id = self.server.authorize(call)
            node = self.server.nodes[node_id]
            if node.reattestable:
                raise Denied.agent("AGENT_MUST_REATTEST")
            leaf, svid = self.server.sign(request.params.csr, node_id, self.server.agent_ttl)
            with self.server.lock:
                node.next_serial = leaf.serial_number
            return m.agent.RenewAgentResponse(svid=svid)
        except Denied as denied:
            denied.end(context)

    def PostStatus(self, request, context):
        try:
            call = self.server.begin("PostStatus", context, request)
            self.server.nodes[self.server.authorize(call)].version = request.agent_version
            return m.agent.PostStatusResponse()
        except Denied as denied:
            denied.end(context)


class _Bundle(_Service, m.bundle_grpc.BundleServicer):
    def GetBundle(self, request, context):
        try:
            self.server.begin("GetBundle", context, request)
            return self.server.bundle()
        except Denied as denied:
            denied.end(context)

    def GetFederatedBundle(self, request, context):
        try:
            call = self.server.begin("GetFederatedBundle", context, request)
            self.server.authorize(call)
            bundle = self.server.federated.get(request.trust_domain)
            if bundle is None:
                raise Denied(grpc.StatusCode.NOT_FOUND, "bundle not found")
            return bundle
        except Denied as denied:
            denied.end(context)


class _Entry(_Service, m.entry_grpc.EntryServicer):
    def GetAuthorizedEntries(self, request, context):
        try:
            call = self.server.begin("GetAuthorizedEntries", context, request)
            found = self.server.authorized(self.server.authorize(call))
            return m.entry.GetAuthorizedEntriesResponse(
                entries=[masked(e, request.output_mask) for e in found.values()]
            )
        except Denied as denied:
            denied.end(context)

    def SyncAuthorizedEntries(self, requests, context):
        server, page = self.server, self.server.page
        try:
            call = server.begin("SyncAuthorizedEntries", context)
            node_id = server.authorize(call)
            first = next(requests)
            call.messages.append(first)
            mask = first.output_mask
            if not mask.revision_number:
                raise Denied(grpc.StatusCode.INVALID_ARGUMENT, "revision number cannot be masked")
            if first.ids:
                raise Denied(grpc.StatusCode.INVALID_ARGUMENT, "specifying IDs on initial request is not supported")
            found = server.authorized(node_id)
            entries = list(found.values())
            if len(entries) <= page:
                yield m.entry.SyncAuthorizedEntriesResponse(entries=[masked(e, mask) for e in entries])
                return
            for start in range(0, len(entries), page):
                yield m.entry.SyncAuthorizedEntriesResponse(
                    entry_revisions=[
                        m.entry.EntryRevision(id=e.id, revision_number=e.revision_number, created_at=e.created_at)
                        for e in entries[start : start + page]
                    ],
                    more=start + page < len(entries),
                )
            for request in requests:
                call.messages.append(request)
                if request.HasField("output_mask"):
                    raise Denied(
                        grpc.StatusCode.INVALID_ARGUMENT, "specifying output mask on subsequent requests is not supported"
                    )
                wanted = [masked(found[i], mask) for i in sorted(request.ids) if i in found]
                for start in range(0, max(len(wanted), 1), page):
                    yield m.entry.SyncAuthorizedEntriesResponse(
                        entries=wanted[start : start + page], more=start + page < len(wanted)
                    )
        except Denied as denied:
            denied.end(context)


class _SVID(_Service, m.svid_grpc.SVIDServicer):
    def BatchNewX509SVID(self, request, context):
        server = self.server
        try:
            call = server.begin("BatchNewX509SVID", context, request)
            found = server.authorized(server.authorize(call))
            if len(request.params) > server.batch:
                raise Denied(grpc.StatusCode.RESOURCE_EXHAUSTED, "rate (1) exceeds burst size")
            results = []
            for one in request.params:
                entry = found.get(one.entry_id)
                try:
                    if entry is None:
                        raise Denied(grpc.StatusCode.NOT_FOUND, "entry not found or not authorized")
                    ttl = timedelta(seconds=entry.x509_svid_ttl) if entry.x509_svid_ttl else server.svid_ttl
                    _, svid = server.sign(one.csr, id_text(entry.spiffe_id), ttl, entry.dns_names)
                    results.append(m.svid.BatchNewX509SVIDResponse.Result(status=m.types.Status(), svid=svid))
                except Denied as denied:
                    status = m.types.Status(code=denied.code.value[0], message=denied.message)
                    results.append(m.svid.BatchNewX509SVIDResponse.Result(status=status))
            return m.svid.BatchNewX509SVIDResponse(results=results)
        except Denied as denied:
            denied.end(context)

    def NewJWTSVID(self, request, context):
        server = self.server
        try:
            call = server.begin("NewJWTSVID", context, request)
            entry = server.authorized(server.authorize(call)).get(request.entry_id)
            if entry is None:
                raise Denied(grpc.StatusCode.NOT_FOUND, "entry not found or not authorized")
            if not request.audience:
                raise Denied(grpc.StatusCode.INVALID_ARGUMENT, "at least one audience is required")
            identity = id_text(entry.spiffe_id)
            with server.lock:
                ttl = entry.jwt_svid_ttl or server.jwt_ttl
                token, claims = server.jwt_authority.sign(identity, list(request.audience), ttl)
            return m.svid.NewJWTSVIDResponse(
                svid=m.types.JWTSVID(
                    token=token, id=entry.spiffe_id, expires_at=claims["exp"], issued_at=claims["iat"]
                )
            )
        except Denied as denied:
            denied.end(context)
