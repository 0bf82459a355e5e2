"""A stand-in for SPIRE's agent against the node API: every step of its life, and every way to be refused.

The messages come from the field numbers alone (`wire/proto`), so this is a second implementation of the wire.
"""

import datetime
import json
import queue
import socket
import ssl
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from harness import rules
from harness.domain import start_server
from harness.polling import eventually
from wire import messages as m
from wire.admin import entry
from wire.keys import broken_csr, csr, load_identity, new_key, selector, spiffe_id
from wire.spire_agent import Identity, SpireAgent
from wire.status import denied_reason
from wire.tunnel import PeerRefused, Tunnel, client_context

OK, INVALID, NOT_FOUND = 0, 3, 5


def refused(call) -> grpc.RpcError:
    """The error that `call` must end with."""
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call was answered")


@pytest.fixture
def node(server):
    """A stand-in that is not yet attested."""
    with server.spire_agent() as agent:
        yield agent


@pytest.fixture
def attested(server, node):
    """A stand-in that joined with a fresh token."""
    node.attest(server.admin.join_token().encode())
    return node


@pytest.fixture
def entries(server):
    """Creates entries under a stand-in; they stay, because every stand-in is a node of its own."""

    def create(agent: SpireAgent, path: str, count: int = 0, **fields):
        """One entry, or `count` of them with a number behind the path."""
        paths = [f"{path}{i}" for i in range(count)] if count else [path]
        results = server.admin.create(
            *[entry(server.id + p, agent.identity.id, ["unix:uid:1000"], **fields) for p in paths]
        )
        assert {r.status.code for r in results} == {OK}, results[0].status
        return [r.entry for r in results] if count else results[0].entry

    return create


class TestTheWholeLife:
    def test_the_stand_in_program_runs_through(self, server):
        """Attest, bundle, status, sync, sign, token, renew: the order of SPIRE's agent"""
        bundle = server.folder / "bootstrap-program.pem"
        bundle.write_bytes(server.roots_pem)
        done = subprocess.run(
            [sys.executable, "-m", "wire.spire_agent", "-server", server.node_api, "-trustDomain", server.name,
             "-trustBundle", bundle, "-joinToken", server.admin.join_token()],
            cwd=Path(__file__).parent, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        steps = [json.loads(line)["step"] for line in done.stdout.splitlines()]
        assert done.returncode == 0, done.stdout + done.stderr
        assert steps[:3] == ["attested", "bundle", "entries"] and steps[-1] == "renewed"


class TestTLS:
    """One port for callers with and without a certificate"""

    def test_the_server_is_the_spire_server_of_its_trust_domain(self, server):
        host, _, port = server.node_api.rpartition(":")
        context = client_context(server.roots)
        with socket.create_connection((host, int(port)), timeout=10) as plain:
            with context.wrap_socket(plain) as tls:
                assert tls.version() == "TLSv1.3" and tls.selected_alpn_protocol() == "h2"
                leaf = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True))
        rules.check_leaf(leaf, f"{server.id}/spire/server")

    def test_tls_1_2_is_refused(self, server):
        host, _, port = server.node_api.rpartition(":")
        context = client_context(server.roots, maximum=ssl.TLSVersion.TLSv1_2)
        with socket.create_connection((host, int(port)), timeout=10) as plain, pytest.raises(ssl.SSLError):
            context.wrap_socket(plain)

    def test_the_stand_in_refuses_a_server_with_another_id(self, server):
        """That it can refuse at all: else the tests here would prove nothing about the server's name"""
        host, _, port = server.node_api.rpartition(":")
        tunnel = Tunnel(host, int(port), client_context(server.roots), f"{server.id}/spire/other")
        try:
            with tunnel.channel() as channel:
                stub = m.bundle_grpc.BundleStub(channel)
                error = refused(lambda: stub.GetBundle(m.bundle.GetBundleRequest(), timeout=10))
            assert error.code() == grpc.StatusCode.UNAVAILABLE and isinstance(tunnel.error, PeerRefused)
        finally:
            tunnel.close()

    @pytest.mark.parametrize(
        "noise", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + bytes(64), b""], ids=["http", "tls", "silence"]
    )
    def test_noise_on_the_port_disturbs_nobody(self, server, node, noise):
        host, _, port = server.node_api.rpartition(":")
        holders = [socket.create_connection((host, int(port)), timeout=10) for _ in range(20)]
        try:
            for holder in holders:
                holder.sendall(noise)
            assert node.get_bundle().trust_domain == server.name
        finally:
            for holder in holders:
                holder.close()


class TestAttestation:
    def test_a_join_token_makes_a_node_agent(self, server, node):
        """ID `<td>/spire/agent/join_token/<token>`, not re-attestable; server takes only the key of the request"""
        token = server.admin.join_token()
        identity = node.attest(token.encode(), adopt=False)
        assert identity.id == f"{server.id}/spire/agent/join_token/{token}"
        assert not identity.reattestable
        rules.check_leaf(identity.leaf, identity.id)
        rules.check_signed_by(identity.leaf, [x509.load_der_x509_certificate(der) for der in server.roots])
        assert identity.expires_at == int(identity.leaf.not_valid_after_utc.timestamp())

    def test_names_in_the_request_are_ignored(self, server, node):
        token = server.admin.join_token()
        key = new_key()
        request = csr(key, uri=f"{server.id}/admin", dns=["evil.test"], common_name="root")
        params = m.agent.AttestAgentRequest.Params(
            data=m.types.AttestationData(type="join_token", payload=token.encode()),
            params=m.agent.AgentX509SVIDParams(csr=request),
        )
        (reply,) = node.agent_api.AttestAgent(iter([m.agent.AttestAgentRequest(params=params)]), timeout=20)
        leaf = x509.load_der_x509_certificate(reply.result.svid.cert_chain[0])
        rules.check_leaf(leaf, f"{server.id}/spire/agent/join_token/{token}")
        san = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert not san.get_values_for_type(x509.DNSName)
        assert not [a for a in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME) if a.value == "root"]

    def test_a_token_works_once(self, server, node):
        token = server.admin.join_token().encode()
        node.attest(token, adopt=False)
        assert refused(lambda: node.attest(token)).code() == grpc.StatusCode.INVALID_ARGUMENT

    def test_a_token_works_once_under_20_parallel_tries(self, server):
        """SPIRE had this race until 1.14.6"""
        token = server.admin.join_token().encode()
        agents = [server.spire_agent() for _ in range(20)]
        try:
            for agent in agents:
                agent.get_bundle()  # connected before the race begins
            gate = threading.Barrier(len(agents))

            def attempt(agent: SpireAgent) -> str:
                gate.wait(20)
                try:
                    return agent.attest(token, adopt=False).id
                except grpc.RpcError as error:
                    return error.code().name

            with ThreadPoolExecutor(len(agents)) as pool:
                answers = sorted(pool.map(attempt, agents))
            assert answers == ["INVALID_ARGUMENT"] * 19 + [f"{server.id}/spire/agent/join_token/{token.decode()}"]
        finally:
            for agent in agents:
                agent.close()

    def test_an_expired_token_is_refused(self, server, node):
        reply = server.admin.agents.CreateJoinToken(m.agent.CreateJoinTokenRequest(ttl=1), timeout=20)
        # The reply counts whole seconds; the token may hold for the rest of its last one.
        eventually(lambda: time.time() > reply.expires_at + 1, "the token's end")
        assert refused(lambda: node.attest(reply.value.encode())).code() == grpc.StatusCode.INVALID_ARGUMENT

    @pytest.mark.parametrize(
        "payload", [b"", b"no-such-token", b"\xff\xfe", b"x" * 70_000], ids=["empty", "unknown", "not text", "huge"]
    )
    def test_a_wrong_token_is_refused(self, node, payload):
        assert refused(lambda: node.attest(payload)).code() == grpc.StatusCode.INVALID_ARGUMENT

    def test_an_unknown_attestor_is_refused(self, node):
        error = refused(lambda: node.attest(b"x", kind="moon_phase"))
        assert error.code() in (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INVALID_ARGUMENT)

    @pytest.mark.parametrize("bad", ["empty", "garbage", "wrong signature", "oversize"])
    def test_a_bad_request_is_refused(self, server, node, bad):
        key = new_key()
        request = {
            "empty": b"",
            "garbage": b"\x30\x03\x02\x01\x00",
            "wrong signature": broken_csr(key),
            "oversize": csr(key, dns=[f"name-{i}.interop.test" for i in range(4000)]),
        }[bad]
        token = server.admin.join_token().encode()
        assert refused(lambda: node.attest(token, request=request)).code() == grpc.StatusCode.INVALID_ARGUMENT

    @pytest.mark.parametrize("step", ["nothing", "no params", "a challenge response first"])
    def test_a_malformed_first_message_is_refused(self, node, step):
        message = {
            "nothing": m.agent.AttestAgentRequest(),
            "no params": m.agent.AttestAgentRequest(params=m.agent.AttestAgentRequest.Params()),
            "a challenge response first": m.agent.AttestAgentRequest(challenge_response=b"x"),
        }[step]
        error = refused(lambda: list(node.agent_api.AttestAgent(iter([message]), timeout=20)))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT


class TestBundleAndStatus:
    def test_get_bundle_needs_no_identity(self, server, node):
        bundle = node.get_bundle()
        assert bundle.trust_domain == server.name
        assert bundle.x509_authorities and bundle.jwt_authorities
        for authority in bundle.x509_authorities:
            rules.check_authority(x509.load_der_x509_certificate(authority.asn1), server.name)
        for key in bundle.jwt_authorities:
            assert key.key_id and key.expires_at > time.time()
            assert isinstance(serialization.load_der_public_key(key.public_key), rules.ec.EllipticCurvePublicKey)

    def test_the_mask_chooses_what_is_sent(self, node):
        bundle = node.get_bundle(m.types.BundleMask(jwt_authorities=True))
        assert bundle.jwt_authorities and not bundle.x509_authorities

    def test_the_posted_version_is_shown(self, server, attested):
        attested.post_status(version="9.8.7-interop")
        shown = server.admin.agents.GetAgent(m.agent.GetAgentRequest(id=spiffe_id(attested.identity.id)), timeout=20)
        assert shown.agent_version == "9.8.7-interop"
        assert int(shown.x509svid_serial_number) == attested.identity.serial
        assert shown.attestation_type == "join_token" and not shown.can_reattest and not shown.banned
        assert shown.x509svid_expires_at == attested.identity.expires_at


class TestSync:
    def test_few_entries_come_whole_and_masked(self, server, attested, entries):
        """Up to 500 entries: one reply with full entries, only the fields that the mask names"""
        made = entries(attested, "/sync/one", hint="h", dns_names=["a.test"], x509_svid_ttl=77)
        found = attested.sync()
        assert attested.sync_pages == 1
        got = found[made.id]
        assert got.spiffe_id.path == "/sync/one" and got.hint == "h" and got.selectors[0].value == "uid:1000"
        assert got.revision_number == made.revision_number and got.created_at == made.created_at
        assert not got.dns_names and not got.x509_svid_ttl and not got.HasField("parent_id")

    def test_an_agent_sees_only_its_own_entries(self, server, attested, entries):
        entries(attested, "/sync/mine")
        with server.spire_agent() as other:
            other.attest(server.admin.join_token().encode())
            theirs = entries(other, "/sync/theirs")
            assert set(other.sync()) == {theirs.id}
            assert theirs.id not in attested.sync()

    def test_the_alias_of_every_node_reaches_this_one(self, server, attested):
        made = server.admin.create_one(
            entry(f"{server.id}/sync/any", f"{server.id}/agentshield/any-node", ["unix:uid:1000"])
        )
        try:
            assert made.id in attested.sync()
        finally:
            server.admin.delete(made.id)

    def test_a_token_with_an_alias_reaches_the_alias_entries(self, server, node):
        """CreateJoinToken with agent_id: the node also gets what hangs under that ID"""
        alias = f"{server.id}/nodes/rack-1"
        node.attest(server.admin.join_token(agent_id=alias).encode())
        made = server.admin.create_one(entry(f"{server.id}/sync/aliased", alias, ["unix:uid:1000"]))
        try:
            assert made.id in node.sync()
            (signed,) = node.sign([made.id]).values()
            assert signed.id == f"{server.id}/sync/aliased"
        finally:
            server.admin.delete(made.id)

    def test_600_entries_come_as_pages_of_revisions(self, server, attested, entries):
        """More than 500: revisions first, then the changed entries by ID; a second sync asks only for what changed"""
        made = entries(attested, "/sync/many-", count=600)
        assert set(attested.sync()) == {e.id for e in made}
        assert attested.sync_pages == 2

        changed = m.types.Entry(id=made[7].id, hint="changed")
        (result,) = server.admin.entries.BatchUpdateEntry(
            m.entry.BatchUpdateEntryRequest(entries=[changed], input_mask=m.types.EntryMask(hint=True)), timeout=20
        ).results
        assert result.status.code == OK and result.entry.revision_number == made[7].revision_number + 1
        before = dict(attested.entries)
        after = attested.sync()
        assert after[made[7].id].hint == "changed"
        assert all(after[id] is before[id] for id in after if id != made[7].id), "the rest was not sent again"

        signed = attested.sign(after)
        assert {s.code for s in signed.values()} == {OK} and len(signed) == 600

    def test_the_whole_list_is_also_there_in_one_call(self, attested, entries):
        made = entries(attested, "/sync/authorized")
        assert made.id in {e.id for e in attested.authorized_entries()}

    def test_the_first_request_may_not_name_ids(self, attested):
        request = m.entry.SyncAuthorizedEntriesRequest(ids=["x"])
        error = refused(lambda: list(attested.entry_api.SyncAuthorizedEntries(iter([request]), timeout=20)))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT

    def test_the_revision_number_cannot_be_masked(self, attested):
        request = m.entry.SyncAuthorizedEntriesRequest(output_mask=m.types.EntryMask(spiffe_id=True))
        error = refused(lambda: list(attested.entry_api.SyncAuthorizedEntries(iter([request]), timeout=20)))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT


class TestX509Signing:
    def test_the_entry_decides_and_the_request_brings_only_a_key(self, server, attested, entries):
        made = entries(attested, "/sign/names", x509_svid_ttl=120, dns_names=["mine.test", "second.test"])
        attested.sync()
        signed = attested.sign([made.id], uri=f"{server.id}/sign/other", dns=["evil.test"], common_name="evil")[made.id]
        assert signed.code == OK and signed.id == f"{server.id}/sign/names"
        leaf = x509.load_der_x509_certificate(signed.chain[0])
        rules.check_leaf(leaf, signed.id)
        assert rules.public_bytes(leaf.public_key()) == rules.public_bytes(signed.key.public_key())
        san = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert san.get_values_for_type(x509.DNSName) == ["mine.test", "second.test"]
        assert rules.lifetime(leaf) == 130, "TTL, and notBefore 10 s back"
        assert signed.expires_at == int(leaf.not_valid_after_utc.timestamp())
        roots = [x509.load_der_x509_certificate(der) for der in server.roots]
        rules.check_signed_by(x509.load_der_x509_certificate(signed.chain[-1]), roots)

    def test_a_batch_answers_item_by_item_and_in_order(self, server, attested, entries):
        good, second = entries(attested, "/sign/a"), entries(attested, "/sign/b")
        key = new_key()
        oversize = csr(key, dns=[f"name-{i}.interop.test" for i in range(4000)])
        results = attested.sign_raw(
            [
                (good.id, csr(key)),
                ("no-such-entry", csr(key)),
                (good.id, broken_csr(key)),
                (good.id, b""),
                (good.id, b"\x30\x00"),
                (good.id, oversize),
                ("", csr(key)),
                (second.id, csr(key)),
            ]
        )
        assert [r.status.code for r in results] == [
            OK, NOT_FOUND, INVALID, INVALID, INVALID, INVALID, INVALID, OK,
        ]  # fmt: skip
        assert [r.svid.id.path for r in results] == ["/sign/a"] + [""] * 6 + ["/sign/b"]

    def test_an_entry_of_another_agent_is_not_signed(self, server, attested, entries):
        with server.spire_agent() as other:
            other.attest(server.admin.join_token().encode())
            theirs = entries(other, "/sign/theirs")
        (result,) = attested.sign_raw([(theirs.id, csr(new_key()))])
        assert result.status.code == NOT_FOUND and not result.svid.cert_chain

    def test_no_request_at_all_is_an_invalid_argument(self, attested):
        assert refused(lambda: attested.sign_raw([])).code() == grpc.StatusCode.INVALID_ARGUMENT


class TestJWTSigning:
    def test_a_token_verifies_with_the_bundle(self, server, attested, entries):
        made = entries(attested, "/jwt/one", jwt_svid_ttl=60)
        svid = attested.jwt(made.id, ["a", "b"])
        header = jwt.get_unverified_header(svid.token)
        assert set(header) == {"alg", "kid", "typ"} and header["typ"] == "JWT"
        keys = {k.key_id: k.public_key for k in attested.get_bundle().jwt_authorities}
        key = serialization.load_der_public_key(keys[header["kid"]])
        claims = jwt.decode(svid.token, key, algorithms=["ES256"], audience="b")
        assert claims["sub"] == f"{server.id}/jwt/one" and claims["aud"] == ["a", "b"]
        assert claims["exp"] - claims["iat"] == 60
        assert (svid.expires_at, svid.issued_at) == (claims["exp"], claims["iat"])
        assert "nbf" not in claims

    def test_jti_comes_only_when_the_entry_asks(self, attested, entries):
        plain = entries(attested, "/jwt/plain")
        with_id = entries(
            attested, "/jwt/with-id", additional_attributes=m.types.EntryAttributes(jwt_svid_include_jti=True)
        )
        assert "jti" not in rules.jwt_parts(attested.jwt(plain.id, ["a"]).token)[1]
        ids = {rules.jwt_parts(attested.jwt(with_id.id, ["a"]).token)[1]["jti"] for _ in range(3)}
        assert len(ids) == 3

    def test_refusals(self, attested, entries):
        made = entries(attested, "/jwt/refused")
        invalid, not_found = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
        for id, audience, codes in [
            (made.id, [], {invalid}),
            ("", ["a"], {invalid, not_found}),  # SPIRE looks it up and says NotFound
            ("no-such-entry", ["a"], {not_found}),
        ]:
            assert refused(lambda: attested.jwt(id, audience)).code() in codes, (id, audience)

    def test_a_token_for_another_agents_entry_is_refused(self, server, attested, entries):
        with server.spire_agent() as other:
            other.attest(server.admin.join_token().encode())
            theirs = entries(other, "/jwt/theirs")
        assert refused(lambda: attested.jwt(theirs.id, ["a"])).code() == grpc.StatusCode.NOT_FOUND


class TestRenewal:
    """The server keeps the current serial and the next: the next becomes current with its first use"""

    def test_the_old_svid_works_until_the_new_one_is_used(self, server, attested):
        old = attested.identity
        new = attested.renew()
        assert new.id == old.id and new.serial != old.serial
        rules.check_leaf(new.leaf, new.id)
        attested.reconnect()
        attested.sync()  # still the old one, over a new connection

        attested.adopt(new)
        attested.sync()
        attested.adopt(old)
        error = refused(attested.sync)
        assert error.code() == grpc.StatusCode.PERMISSION_DENIED
        assert denied_reason(error) == "AGENT_NOT_ACTIVE"
        attested.adopt(new)
        attested.sync()

    def test_a_second_renewal_replaces_the_one_that_was_not_used(self, attested):
        unused, used = attested.renew(), attested.renew()
        attested.adopt(used)
        attested.sync()
        attested.adopt(unused)
        assert denied_reason(refused(attested.sync)) == "AGENT_NOT_ACTIVE"

    @pytest.mark.parametrize("bad", ["empty", "wrong signature"])
    def test_a_bad_request_does_not_renew(self, attested, bad):
        request = {"empty": b"", "wrong signature": broken_csr(new_key())}[bad]
        assert refused(lambda: attested.renew(request)).code() == grpc.StatusCode.INVALID_ARGUMENT
        attested.sync()


class TestRefusals:
    """PermissionDenied with a reason that SPIRE's agent acts on"""

    AGENT_CALLS = {
        "sync": lambda a: a.sync(),
        "authorized entries": lambda a: a.authorized_entries(),
        "sign": lambda a: a.sign_raw([("x", csr(new_key()))]),
        "jwt": lambda a: a.jwt("x", ["a"]),
        "renew": lambda a: a.renew(),
        "status": lambda a: a.post_status(),
    }

    def all_refused(self, agent: SpireAgent, reason: str) -> None:
        for name, call in self.AGENT_CALLS.items():
            error = refused(lambda: call(agent))
            assert error.code() == grpc.StatusCode.PERMISSION_DENIED, name
            assert denied_reason(error) == reason, name

    def test_a_banned_agent(self, server, attested):
        server.admin.ban(attested.identity.id)
        self.all_refused(attested, "AGENT_BANNED")
        attested.reconnect()
        self.all_refused(attested, "AGENT_BANNED")

    def test_an_evicted_agent(self, server, attested):
        server.admin.evict(attested.identity.id)
        self.all_refused(attested, "AGENT_NOT_ATTESTED")

    def test_a_ban_ends_with_eviction(self, server, attested):
        server.admin.ban(attested.identity.id)
        server.admin.evict(attested.identity.id)
        self.all_refused(attested, "AGENT_NOT_ATTESTED")

    def test_no_certificate(self, node):
        for name, call in self.AGENT_CALLS.items():
            assert refused(lambda: call(node)).code() == grpc.StatusCode.PERMISSION_DENIED, name

    def test_a_workloads_certificate_is_no_agents(self, server, attested, entries):
        made = entries(attested, "/refusals/workload")
        signed = attested.sign([made.id])[made.id]
        attested.adopt(Identity(signed.chain, signed.key, signed.id, signed.expires_at))
        for name, call in self.AGENT_CALLS.items():
            assert refused(lambda: call(attested)).code() == grpc.StatusCode.PERMISSION_DENIED, name

    def test_a_forged_certificate_with_the_agents_id(self, server, attested):
        """The same ID and serial under a stranger's key: refused in the handshake, or treated as nobody"""
        genuine = attested.identity
        key = new_key()
        now = datetime.datetime.now(datetime.timezone.utc)
        forged = (
            x509.CertificateBuilder()
            .subject_name(genuine.leaf.subject)
            .issuer_name(genuine.leaf.issuer)
            .public_key(key.public_key())
            .serial_number(genuine.serial)
            .not_valid_before(now - datetime.timedelta(seconds=10))
            .not_valid_after(now + datetime.timedelta(hours=1))
        )
        for extension in genuine.leaf.extensions:
            forged = forged.add_extension(extension.value, extension.critical)
        der = forged.sign(new_key(), hashes.SHA256()).public_bytes(serialization.Encoding.DER)
        attested.adopt(Identity([der], key, genuine.id, 0))
        assert refused(attested.sync).code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.PERMISSION_DENIED)
        attested.adopt(genuine)
        attested.sync()

    def test_an_expired_agent(self, short_lived):
        """Its certificate is over: refused in the handshake or by the service, and a renewal comes too late"""
        with short_lived.spire_agent() as agent:
            agent.attest(short_lived.admin.join_token().encode())
            agent.sync()
            eventually(lambda: time.time() > agent.identity.expires_at, "the agent's end", within=20)
            for call in (agent.sync, agent.renew):
                error = refused(call)
                assert error.code() in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAVAILABLE)
                if error.code() == grpc.StatusCode.PERMISSION_DENIED:
                    assert denied_reason(error) == "AGENT_EXPIRED"
            agent.reconnect()
            assert refused(agent.renew).code() in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAVAILABLE)

    @pytest.mark.parametrize("after", ["expiry", "ban"])
    def test_a_resumed_session_is_checked_anew(self, short_lived, after):
        """Resumption skips the certificate message; the checks must not be skipped with it (a bug that SPIRE had)"""
        with short_lived.spire_agent() as agent:
            agent.attest(short_lived.admin.join_token().encode())
            context = ResumingContext(agent)

            def ask():
                tunnel = Tunnel(agent.host, agent.port, context, agent.server_id)
                try:
                    with tunnel.channel() as channel:
                        stub = m.entry_grpc.EntryStub(channel)
                        stub.GetAuthorizedEntries(m.entry.GetAuthorizedEntriesRequest(), timeout=20)
                finally:
                    context.keep()
                    tunnel.close()

            ask()
            ask()
            assert context.resumed, "a good session is resumed"
            if after == "expiry":
                eventually(lambda: time.time() > agent.identity.expires_at, "the agent's end", within=20)
            else:
                short_lived.admin.ban(agent.identity.id)
            error = refused(ask)
            assert context.resumed, "it was that session that was refused"
            assert error.code() in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAVAILABLE)

    def test_a_message_that_is_too_big(self, attested):
        request = m.svid.NewJWTSVIDRequest(entry_id="x" * (8 << 20), audience=["a"])
        error = refused(lambda: attested.svid_api.NewJWTSVID(request, timeout=30))
        assert error.code() in (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            grpc.StatusCode.INVALID_ARGUMENT,
            grpc.StatusCode.INTERNAL,
            grpc.StatusCode.UNAVAILABLE,
        )
        attested.reconnect()
        attested.sync()

    def test_headers_that_are_too_big(self, attested):
        with pytest.raises(grpc.RpcError):
            attested.agent_api.PostStatus(m.agent.PostStatusRequest(), metadata=[("x-big", "x" * 200_000)], timeout=30)
        attested.reconnect()
        attested.sync()


class ResumingContext(ssl.SSLContext):
    """Mutual TLS that offers the last connection's session to the next one."""

    def __new__(cls, agent: SpireAgent):
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, agent: SpireAgent):
        self.check_hostname = False
        self.set_alpn_protocols(["h2"])
        self.load_verify_locations(cadata=b"".join(agent.roots))
        load_identity(self, agent.identity.chain, agent.identity.key)
        self._session = self._last = None
        self.resumed = False

    def wrap_bio(self, *arguments, **options):
        self._last = super().wrap_bio(*arguments, session=self._session, **options)
        return self._last

    def keep(self) -> None:
        self.resumed = self._last.session_reused
        session = self._last.session
        self._session = session if session is not None and session.has_ticket else None


@pytest.fixture(scope="module")
def short_lived():
    """A control plane whose node agents live for 5 s."""
    domain = start_server("short-lived.test", extra=["-agentTTL", "5s"])
    yield domain
    domain.discard()


ANYONE = {"anonymous", "agent", "workload", "admin", "local"}
ADMINISTRATORS = {"admin", "local"}
AGENTS = {"agent"}

MATRIX = {
    "agent.v1.Agent": {
        "CountAgents": ADMINISTRATORS,
        "ListAgents": ADMINISTRATORS,
        "GetAgent": ADMINISTRATORS,
        "DeleteAgent": ADMINISTRATORS,
        "BanAgent": ADMINISTRATORS,
        "AttestAgent": ANYONE,
        "RenewAgent": AGENTS,
        "CreateJoinToken": ADMINISTRATORS,
        "PostStatus": AGENTS,
    },
    "entry.v1.Entry": {
        "CountEntries": ADMINISTRATORS,
        "ListEntries": ADMINISTRATORS,
        "GetEntry": ADMINISTRATORS,
        "BatchCreateEntry": ADMINISTRATORS,
        "BatchUpdateEntry": ADMINISTRATORS,
        "BatchDeleteEntry": ADMINISTRATORS,
        "GetAuthorizedEntries": AGENTS,
        "SyncAuthorizedEntries": AGENTS,
    },
    "svid.v1.SVID": {
        "MintX509SVID": ADMINISTRATORS,
        "MintJWTSVID": ADMINISTRATORS,
        "BatchNewX509SVID": AGENTS,
        "NewJWTSVID": AGENTS,
    },
    "bundle.v1.Bundle": {
        "CountBundles": ADMINISTRATORS,
        "GetBundle": ANYONE,
        "GetFederatedBundle": ADMINISTRATORS | AGENTS,
    },
}


@pytest.fixture(scope="module")
def callers(server):
    """A channel for each class of caller."""
    agent = server.spire_agent()
    agent.attest(server.admin.join_token().encode())
    made = [
        server.admin.create_one(entry(f"{server.id}/matrix/{name}", agent.identity.id, ["unix:uid:1000"], admin=admin))
        for name, admin in [("workload", False), ("admin", True)]
    ]
    signed = agent.sign([e.id for e in made])
    people = {"anonymous": server.spire_agent(), "agent": agent}
    for name, one in zip(("workload", "admin"), made):
        svid = signed[one.id]
        people[name] = server.spire_agent()
        people[name].adopt(Identity(svid.chain, svid.key, svid.id, svid.expires_at))
    yield {name: person.channel for name, person in people.items()} | {"local": server.admin.channel}
    for person in people.values():
        person.close()
    server.admin.delete(*[e.id for e in made])


@pytest.mark.parametrize("caller", sorted(ANYONE))
@pytest.mark.parametrize(
    ("service", "method"), [(service, method) for service, methods in MATRIX.items() for method in methods]
)
def test_who_may_call_what(callers, service, method, caller):
    """Every RPC and every class of caller, with an empty request: anything but PermissionDenied means let through"""
    path = f"/spire.api.server.{service}/{method}"
    call = callers[caller].stream_stream(path, lambda raw: raw, lambda raw: raw)
    # The stream stays open after its one message, as a real client's would until it has its answer.
    requests: queue.Queue = queue.Queue()
    requests.put(b"")
    replies = call(iter(requests.get, None), timeout=20)
    if method not in ("AttestAgent", "SyncAuthorizedEntries"):
        requests.put(None)
    try:
        next(iter(replies))
        code = grpc.StatusCode.OK
    except StopIteration:
        code = grpc.StatusCode.OK
    except grpc.RpcError as error:
        code = error.code()
    finally:
        requests.put(None)
        replies.cancel()
    assert code not in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    allowed = code != grpc.StatusCode.PERMISSION_DENIED
    assert allowed == (caller in MATRIX[service][method]), code


def test_an_entry_with_unknown_selectors_reaches_the_agent_as_it_is(server, attested):
    """Unknown selector types are stored and sent, as SPIRE does"""
    made = server.admin.create_one(
        entry(f"{server.id}/unknown-selectors", attested.identity.id, ["moon:phase:full", "unix:uid:1"])
    )
    try:
        got = attested.sync()[made.id]
        assert sorted((s.type, s.value) for s in got.selectors) == [("moon", "phase:full"), ("unix", "uid:1")]
        assert selector("moon:phase:full") in got.selectors
    finally:
        server.admin.delete(made.id)
