"""A stand-in for the SPIRE agent: what it does against a server's node API, in its order, from the message numbers.

As a library it does one step per call, so that a test can also do steps wrong. As a program it attests, follows its
entries, signs an SVID for each, fetches a token, renews, and prints one JSON line per step:

    python -m wire.spire_agent -server 127.0.0.1:8081 -trustDomain example.org -trustBundle roots.pem -joinToken TOKEN
"""

import argparse
import json
import queue
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Iterable, Optional

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from wire import messages as m
from wire.keys import csr, id_text, new_key, uri_sans
from wire.tunnel import Tunnel, client_context

PAGE = 500
"""Entries in one page of a sync and certificates in one batch, as SPIRE has them."""

RPC_TIMEOUT = 30.0


@dataclass
class Identity:
    """An agent's X509-SVID with its key."""

    chain: list[bytes]
    key: object
    id: str
    expires_at: int
    reattestable: bool = False

    @property
    def leaf(self) -> x509.Certificate:
        return x509.load_der_x509_certificate(self.chain[0])

    @property
    def serial(self) -> int:
        return self.leaf.serial_number


@dataclass
class Signed:
    """The answer to one certificate request: a chain, or the status that refused it."""

    code: int
    message: str
    chain: list[bytes] = field(default_factory=list)
    key: object = None
    id: str = ""
    expires_at: int = 0


class SpireAgent:
    """One agent. Calls go over TLS without a certificate until an identity is adopted, and over mutual TLS after."""

    def __init__(self, server: str, trust_domain: str, roots: Iterable[bytes]):
        host, _, port = server.rpartition(":")
        self.host, self.port = host.strip("[]"), int(port)
        self.trust_domain = trust_domain
        self.server_id = f"spiffe://{trust_domain}/spire/server"
        self.roots = list(roots)
        self.identity: Optional[Identity] = None
        self.entries: dict[str, object] = {}
        self.sync_pages = 0
        self._open_channel()

    # Connection

    def _open_channel(self) -> None:
        who = self.identity
        context = client_context(self.roots, who.chain if who else None, who.key if who else None)
        self.tunnel = Tunnel(self.host, self.port, context, self.server_id)
        self.channel = self.tunnel.channel()
        self.agent_api = m.agent_grpc.AgentStub(self.channel)
        self.bundle_api = m.bundle_grpc.BundleStub(self.channel)
        self.entry_api = m.entry_grpc.EntryStub(self.channel)
        self.svid_api = m.svid_grpc.SVIDStub(self.channel)

    def reconnect(self) -> None:
        """A new TLS connection with the present identity and roots."""
        self.close()
        self._open_channel()

    def adopt(self, identity: Optional[Identity]) -> None:
        """Uses another identity from now on; None goes back to no certificate."""
        self.identity = identity
        self.reconnect()

    def close(self) -> None:
        self.channel.close()
        self.tunnel.close()

    def __enter__(self) -> "SpireAgent":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    # §3.2, step 2

    def attest(
        self,
        payload: bytes,
        kind: str = "join_token",
        request: Optional[bytes] = None,
        adopt: bool = True,
        answer: Callable[[bytes], bytes] = lambda challenge: b"",
    ) -> Identity:
        """AttestAgent; a challenge is answered with nothing by default, because a join token asks for none."""
        key = new_key()
        params = m.agent.AttestAgentRequest.Params(
            data=m.types.AttestationData(type=kind, payload=payload),
            params=m.agent.AgentX509SVIDParams(csr=csr(key) if request is None else request),
        )
        requests: queue.Queue = queue.Queue()
        requests.put(m.agent.AttestAgentRequest(params=params))
        replies = self.agent_api.AttestAgent(iter(requests.get, None), timeout=RPC_TIMEOUT)
        try:
            for reply in replies:
                if reply.WhichOneof("step") == "challenge":
                    requests.put(m.agent.AttestAgentRequest(challenge_response=answer(reply.challenge)))
                    continue
                identity = self._identity(reply.result.svid, key)
                identity.reattestable = reply.result.reattestable
                if adopt:
                    self.adopt(identity)
                return identity
        finally:
            requests.put(None)
            replies.cancel()
        raise AssertionError("the server ended AttestAgent without a result")

    @staticmethod
    def _identity(svid, key) -> Identity:
        identity = Identity(list(svid.cert_chain), key, id_text(svid.id), svid.expires_at)
        if uri_sans(identity.leaf) != [identity.id]:
            raise AssertionError(f"the reply says {identity.id}, its certificate {uri_sans(identity.leaf)}")
        if public_bytes(identity.leaf.public_key()) != public_bytes(key.public_key()):
            raise AssertionError("the certificate is for another key than the request's")
        return identity

    # Step 3

    def get_bundle(self, mask=None):
        bundle = self.bundle_api.GetBundle(m.bundle.GetBundleRequest(output_mask=mask), timeout=RPC_TIMEOUT)
        if mask is None:
            self.roots = [authority.asn1 for authority in bundle.x509_authorities]
        return bundle

    # Step 4

    def post_status(self, bundle_serial: int = 1, version: str = "1.15.3") -> None:
        self.agent_api.PostStatus(
            m.agent.PostStatusRequest(current_bundle_serial=bundle_serial, agent_version=version), timeout=RPC_TIMEOUT
        )

    # Step 5

    @staticmethod
    def entry_mask():
        """What SPIRE's agent asks for."""
        return m.types.EntryMask(
            spiffe_id=True,
            selectors=True,
            federates_with=True,
            admin=True,
            downstream=True,
            revision_number=True,
            store_svid=True,
            hint=True,
            created_at=True,
            additional_attributes=True,
        )

    def sync(self, mask=None) -> dict:
        """SyncAuthorizedEntries: all at once, or pages of revisions and then the changed entries by ID."""
        requests: queue.Queue = queue.Queue()
        requests.put(m.entry.SyncAuthorizedEntriesRequest(output_mask=mask or self.entry_mask()))
        replies = self.entry_api.SyncAuthorizedEntries(iter(requests.get, None), timeout=60)
        try:
            reply = next(replies)
            self.sync_pages = 1
            if not reply.entry_revisions and not reply.more:
                self.entries = {entry.id: entry for entry in reply.entries}
                return self.entries
            revisions = list(reply.entry_revisions)
            while reply.more:
                reply = next(replies)
                self.sync_pages += 1
                revisions.extend(reply.entry_revisions)
            wanted = [r.id for r in revisions if self._stale(r)]
            kept = {r.id: self.entries[r.id] for r in revisions if r.id in self.entries}
            for start in range(0, len(wanted), PAGE):
                requests.put(m.entry.SyncAuthorizedEntriesRequest(ids=wanted[start : start + PAGE]))
                while True:
                    reply = next(replies)
                    kept.update((entry.id, entry) for entry in reply.entries)
                    if not reply.more:
                        break
            self.entries = kept
            return kept
        finally:
            requests.put(None)
            replies.cancel()

    def _stale(self, revision) -> bool:
        known = self.entries.get(revision.id)
        return known is None or known.revision_number != revision.revision_number

    def authorized_entries(self, mask=None):
        reply = self.entry_api.GetAuthorizedEntries(
            m.entry.GetAuthorizedEntriesRequest(output_mask=mask), timeout=RPC_TIMEOUT
        )
        return list(reply.entries)

    # Step 6

    def sign_raw(self, params: Iterable[tuple[str, bytes]]):
        """BatchNewX509SVID with the caller's own requests; the results in order."""
        request = m.svid.BatchNewX509SVIDRequest(
            params=[m.svid.NewX509SVIDParams(entry_id=id, csr=der) for id, der in params]
        )
        return list(self.svid_api.BatchNewX509SVID(request, timeout=60).results)

    def sign(self, entry_ids: Iterable[str], **names) -> dict[str, Signed]:
        """One SVID with a key of its own per entry, in batches of at most 500 that are halved when one fails."""
        todo = [(id, new_key()) for id in entry_ids]
        done: dict[str, Signed] = {}
        size = PAGE
        while todo:
            batch, rest = todo[:size], todo[size:]
            try:
                results = self.sign_raw((id, csr(key, **names)) for id, key in batch)
            except grpc.RpcError as error:
                if size > 1 and error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED:
                    size //= 2
                    continue
                raise
            if len(results) != len(batch):
                raise AssertionError(f"{len(batch)} requests, {len(results)} results")
            for (id, key), result in zip(batch, results):
                signed = Signed(result.status.code, result.status.message)
                if result.status.code == 0:
                    signed.chain, signed.key = list(result.svid.cert_chain), key
                    signed.id, signed.expires_at = id_text(result.svid.id), result.svid.expires_at
                done[id] = signed
            todo = rest
        return done

    # Step 7

    def jwt(self, entry_id: str, audience: Iterable[str]):
        request = m.svid.NewJWTSVIDRequest(entry_id=entry_id, audience=list(audience))
        return self.svid_api.NewJWTSVID(request, timeout=RPC_TIMEOUT).svid

    # Step 8

    def renew(self, request: Optional[bytes] = None) -> Identity:
        """RenewAgent; the new identity becomes the current one at the server with its first use, so adopt it."""
        key = new_key()
        params = m.agent.AgentX509SVIDParams(csr=csr(key) if request is None else request)
        reply = self.agent_api.RenewAgent(m.agent.RenewAgentRequest(params=params), timeout=RPC_TIMEOUT)
        return self._identity(reply.svid, key)


def public_bytes(key) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def roots_from_pem(pem: bytes) -> list[bytes]:
    return [c.public_bytes(serialization.Encoding.DER) for c in x509.load_pem_x509_certificates(pem)]


def main() -> int:
    parser = argparse.ArgumentParser(description="plays a SPIRE agent against a server's node API")
    parser.add_argument("-server", required=True, metavar="HOST:PORT")
    parser.add_argument("-trustDomain", required=True)
    parser.add_argument("-trustBundle", required=True, metavar="FILE", help="PEM roots to begin with")
    parser.add_argument("-joinToken", required=True)
    parser.add_argument("-audience", default="stand-in")
    options = parser.parse_args()

    def say(step: str, **facts) -> None:
        print(json.dumps({"step": step, **facts}), flush=True)

    roots = roots_from_pem(Path(options.trustBundle).read_bytes())
    with SpireAgent(options.server, options.trustDomain, roots) as agent:
        try:
            identity = agent.attest(options.joinToken.encode(), adopt=False)
            say("attested", id=identity.id, expires=identity.expires_at, tls=agent.tunnel.tls_version)
            say("bundle", roots=len(agent.get_bundle().x509_authorities))
            agent.adopt(identity)
            agent.post_status()
            entries = agent.sync()
            say("entries", count=len(entries), pages=agent.sync_pages)
            for id, signed in agent.sign(entries).items():
                say("x509-svid", entry=id, id=signed.id, code=signed.code, expires=signed.expires_at)
            for id in list(entries)[:1]:
                say("jwt-svid", entry=id, token=agent.jwt(id, [options.audience]).token)
            agent.adopt(agent.renew())
            agent.sync()
            say("renewed", serial=f"{agent.identity.serial:x}")
        except grpc.RpcError as error:
            say("refused", code=error.code().name, message=error.details(), tunnel=str(agent.tunnel.error or ""))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
