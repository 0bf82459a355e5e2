"""Administration over the admin socket by raw gRPC: SPIRE's entry, agent, svid and bundle services."""

import base64
import json
import os
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone

import grpc
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

import test_wit
from harness import rules
from harness.polling import eventually
from wire import messages as m
from wire.admin import Admin, entry
from wire.keys import broken_csr, csr, new_key, selector, spiffe_id
from wire.spire_agent import Identity
from wire.workload import first

OK, INVALID, NOT_FOUND, ALREADY_EXISTS = 0, 3, 5, 6
Match = m.types.SelectorMatch


def code_of(call) -> grpc.StatusCode:
    try:
        call()
        return grpc.StatusCode.OK
    except grpc.RpcError as error:
        return error.code()


@pytest.fixture
def admin(server) -> Admin:
    yield server.admin
    server.admin.delete(*[e.id for e in server.admin.list_entries()] or [""])


@pytest.fixture
def make(server, admin):
    """Creates one entry under a node of its own name; selectors default to one."""

    def create(path: str, selectors=("unix:uid:1000",), parent: str = "/node", **fields):
        return admin.create_one(entry(server.id + path, server.id + parent, selectors, **fields))

    return create


class TestCreate:
    def test_every_field_is_kept(self, server, admin, make):
        end = int(time.time()) + 3600
        made = make(
            "/create/all",
            selectors=["unix:uid:1", "unix:gid:2"],
            x509_svid_ttl=600,
            jwt_svid_ttl=60,
            admin=True,
            downstream=True,
            expires_at=end,
            dns_names=["one.test", "two.test"],
            store_svid=True,
            hint="internal",
            additional_attributes=m.types.EntryAttributes(disable_x509_svid_prefetch=True, jwt_svid_include_jti=True),
        )
        assert made.id and made.created_at <= int(time.time()) + 1 and made.revision_number == 0
        read = admin.entries.GetEntry(m.entry.GetEntryRequest(id=made.id), timeout=20)
        assert read == made
        assert read.spiffe_id == spiffe_id(f"{server.id}/create/all")
        assert read.parent_id == spiffe_id(f"{server.id}/node")
        assert sorted(s.value for s in read.selectors) == ["gid:2", "uid:1"]
        assert (read.x509_svid_ttl, read.jwt_svid_ttl, read.expires_at) == (600, 60, end)
        assert list(read.dns_names) == ["one.test", "two.test"], "the order decides the common name"
        assert read.admin and read.downstream and read.store_svid and read.hint == "internal"
        assert read.additional_attributes.disable_x509_svid_prefetch and read.additional_attributes.jwt_svid_include_jti

    def test_a_similar_entry_already_exists_and_is_returned(self, server, admin, make):
        """Same ID, parent and selectors, whatever their order: AlreadyExists with the old entry"""
        old = make("/create/twice", selectors=["unix:uid:1", "unix:gid:2"], hint="old")
        (result,) = admin.create(
            entry(f"{server.id}/create/twice", f"{server.id}/node", ["unix:gid:2", "unix:uid:1"], hint="new")
        )
        assert result.status.code == ALREADY_EXISTS
        assert result.entry == old
        assert make("/create/twice", selectors=["unix:uid:1"]).id != old.id, "other selectors: another entry"

    def test_a_batch_answers_item_by_item_and_in_order(self, server, admin):
        parent = f"{server.id}/node"
        results = admin.create(
            entry(f"{server.id}/create/b1", parent, ["a:b"]),
            entry("spiffe://elsewhere.test/x", parent, ["a:b"]),
            entry(f"{server.id}/create/b2", parent, ["a:b"]),
            entry(f"{server.id}/create/b1", parent, ["a:b"]),
        )
        assert [r.status.code for r in results] == [OK, INVALID, OK, ALREADY_EXISTS]
        assert results[3].entry.id == results[0].entry.id

    @pytest.mark.parametrize(
        ("name", "change"),
        [
            ("another trust domain", {"spiffe_id": ("elsewhere.test", "/x")}),
            ("no ID", {"spiffe_id": None}),
            ("no trust domain", {"spiffe_id": ("", "/x")}),
            ("the reserved path", {"spiffe_id": (None, "/spire/agent/x")}),
            ("the reserved path itself", {"spiffe_id": (None, "/spire")}),
            ("no path", {"spiffe_id": (None, "")}),
            ("a path without a slash", {"spiffe_id": (None, "x")}),
            ("an empty segment", {"spiffe_id": (None, "/a//b")}),
            ("a trailing slash", {"spiffe_id": (None, "/a/")}),
            ("a dot segment", {"spiffe_id": (None, "/a/../b")}),
            ("a percent sign", {"spiffe_id": (None, "/a%20b")}),
            ("a space", {"spiffe_id": (None, "/a b")}),
            ("beyond ASCII", {"spiffe_id": (None, "/ä")}),
            ("too long", {"spiffe_id": (None, "/" + "a" * 2048)}),
            ("a parent of another trust domain", {"parent_id": ("elsewhere.test", "/node")}),
            ("no selectors", {"selectors": []}),
            ("a selector without type", {"selectors": [("", "x")]}),
            ("a selector without value", {"selectors": [("unix", "")]}),
            ("a colon in the type", {"selectors": [("unix:uid", "1")]}),
            ("a negative X.509 lifetime", {"x509_svid_ttl": -1}),
            ("a negative JWT lifetime", {"jwt_svid_ttl": -1}),
            ("an empty DNS name", {"dns_names": [""]}),
            ("a malformed DNS name", {"dns_names": ["a b"]}),
            ("a DNS name with an empty label", {"dns_names": ["a..b"]}),
            ("a hint that is too long", {"hint": "h" * 1025}),
        ],
        ids=lambda value: value if isinstance(value, str) else "by message",
    )
    def test_what_is_refused(self, server, admin, name, change):
        fields = {
            "spiffe_id": (None, "/create/refused"),
            "parent_id": (None, "/node"),
            "selectors": [("unix", "uid:1")],
        } | change
        message = m.types.Entry()
        for field, value in fields.items():
            if value is None:
                continue
            if field in ("spiffe_id", "parent_id"):
                domain, path = value
                getattr(message, field).CopyFrom(
                    m.types.SPIFFEID(trust_domain=server.name if domain is None else domain, path=path)
                )
            elif field == "selectors":
                message.selectors.extend(m.types.Selector(type=t, value=v) for t, v in value)
            elif field == "dns_names":
                message.dns_names.extend(value)
            else:
                setattr(message, field, value)
        before = admin.entries.CountEntries(m.entry.CountEntriesRequest(), timeout=20).count
        (result,) = admin.create(message)
        assert result.status.code == INVALID, result.status.message
        assert result.status.message
        assert admin.entries.CountEntries(m.entry.CountEntriesRequest(), timeout=20).count == before

    def test_without_a_parent_it_hangs_under_the_alias_of_every_node(self, server, admin):
        """The built-in alias is visible on the wire and needs no other rule"""
        wanted = m.types.Entry(spiffe_id=spiffe_id(f"{server.id}/create/any"), selectors=[selector("unix:uid:1")])
        assert admin.create_one(wanted).parent_id == spiffe_id(f"{server.id}/agentshield/any-node")

    def test_what_is_accepted(self, make):
        """IDs at the edge of the grammar, and selector types that nobody knows yet"""
        for path in ("/a", "/A/b.c-d_e", "/...", "/.a", "/0", "/spiretower", "/agentshield/x"):
            assert make(path).spiffe_id.path == path
        assert make("/moon", selectors=["moon:phase:full"]).selectors[0].value == "phase:full"


class TestReadUpdateDelete:
    def test_reading_and_deleting_what_is_not_there(self, admin):
        assert code_of(lambda: admin.entries.GetEntry(m.entry.GetEntryRequest(id="none"), timeout=20)) == (
            grpc.StatusCode.NOT_FOUND
        )
        assert code_of(lambda: admin.entries.GetEntry(m.entry.GetEntryRequest(), timeout=20)) == (
            grpc.StatusCode.INVALID_ARGUMENT
        )
        assert [r.status.code for r in admin.delete("none", "")] == [NOT_FOUND, INVALID]

    def test_delete_answers_with_the_id_and_is_final(self, admin, make):
        made = make("/delete/me")
        (result,) = admin.delete(made.id)
        assert (result.status.code, result.id) == (OK, made.id)
        assert [r.status.code for r in admin.delete(made.id)] == [NOT_FOUND]
        assert make("/delete/me").id != made.id, "and may be created again"

    def update(self, admin, message, mask=None, output=None):
        request = m.entry.BatchUpdateEntryRequest(entries=[message], input_mask=mask, output_mask=output)
        (result,) = admin.entries.BatchUpdateEntry(request, timeout=20).results
        return result

    def test_the_mask_says_what_an_update_writes(self, admin, make):
        made = make("/update/masked", hint="old", dns_names=["a.test"], x509_svid_ttl=60)
        change = m.types.Entry(id=made.id, hint="new", x509_svid_ttl=999, dns_names=["b.test"])
        result = self.update(admin, change, m.types.EntryMask(hint=True))
        assert result.status.code == OK
        assert result.entry.hint == "new" and result.entry.x509_svid_ttl == 60 and result.entry.dns_names == ["a.test"]
        assert result.entry.revision_number == made.revision_number + 1
        assert result.entry.created_at == made.created_at

    @pytest.mark.parametrize("field", ["admin", "downstream", "store_svid"])
    def test_one_flags_mask_never_writes_another_flag(self, admin, make, field):
        """A bug that SPIRE had: the mask of `admin` wrote `downstream` too"""
        made = make("/update/flags")
        change = m.types.Entry(id=made.id, admin=True, downstream=True, store_svid=True)
        result = self.update(admin, change, m.types.EntryMask(**{field: True}))
        assert result.status.code == OK
        flags = {name: getattr(result.entry, name) for name in ("admin", "downstream", "store_svid")}
        assert flags == {"admin": False, "downstream": False, "store_svid": False} | {field: True}

    def test_without_a_mask_everything_is_written(self, server, admin, make):
        made = make("/update/all", hint="old", dns_names=["a.test"])
        change = entry(f"{server.id}/update/all-new", f"{server.id}/node", ["unix:uid:2"])
        change.id = made.id
        result = self.update(admin, change)
        assert result.status.code == OK
        assert result.entry.spiffe_id.path == "/update/all-new" and not result.entry.hint and not result.entry.dns_names

    def test_an_update_is_checked_like_a_creation(self, admin, make):
        made = make("/update/checked")
        for bad, mask in [
            (m.types.Entry(id=made.id, spiffe_id=spiffe_id("spiffe://elsewhere.test/x")), {"spiffe_id": True}),
            (m.types.Entry(id=made.id), {"selectors": True}),
            (m.types.Entry(id=made.id, x509_svid_ttl=-1), {"x509_svid_ttl": True}),
        ]:
            assert self.update(admin, bad, m.types.EntryMask(**mask)).status.code == INVALID, mask
        unknown = m.types.Entry(id="none", hint="x")
        assert self.update(admin, unknown, m.types.EntryMask(hint=True)).status.code == NOT_FOUND
        read = admin.entries.GetEntry(m.entry.GetEntryRequest(id=made.id), timeout=20)
        assert read == made, "nothing was written"

    def test_the_output_mask_says_what_is_shown(self, admin, make):
        made = make("/mask/output", hint="h", dns_names=["a.test"])
        mask = m.types.EntryMask(spiffe_id=True)
        read = admin.entries.GetEntry(m.entry.GetEntryRequest(id=made.id, output_mask=mask), timeout=20)
        assert read == m.types.Entry(id=made.id, spiffe_id=made.spiffe_id)


class TestList:
    def test_pages_hold_everything_once(self, server, admin):
        parent = f"{server.id}/node"
        results = admin.create(*[entry(f"{server.id}/page/{i}", parent, ["unix:uid:1"]) for i in range(250)])
        assert {r.status.code for r in results} == {OK}
        assert admin.entries.CountEntries(m.entry.CountEntriesRequest(), timeout=20).count == 250
        found = [e.spiffe_id.path for e in admin.list_entries(page_size=80)]
        assert len(found) == 250 and set(found) == {f"/page/{i}" for i in range(250)}
        first = admin.entries.ListEntries(m.entry.ListEntriesRequest(page_size=80), timeout=20)
        assert len(first.entries) == 80 and first.next_page_token
        assert len(admin.list_entries()) == 250, "no page size: the server's own choice"

    def test_paging_goes_on_when_entries_disappear_between_pages(self, admin, make):
        made = [make(f"/vanish/{i}") for i in range(10)]
        page = admin.entries.ListEntries(m.entry.ListEntriesRequest(page_size=4), timeout=20)
        seen = [e.id for e in page.entries]
        admin.delete(*seen)
        while page.next_page_token:
            page = admin.entries.ListEntries(
                m.entry.ListEntriesRequest(page_size=4, page_token=page.next_page_token), timeout=20
            )
            seen += [e.id for e in page.entries]
        assert sorted(seen) == sorted(e.id for e in made)

    @pytest.mark.parametrize("token", ["x", "-1", "\u00e4"])
    def test_a_page_token_of_nobody_is_no_crash(self, admin, make, token):
        make("/token")
        request = m.entry.ListEntriesRequest(page_size=1, page_token=token)
        assert code_of(lambda: admin.entries.ListEntries(request, timeout=20)) in (
            grpc.StatusCode.INVALID_ARGUMENT,
            grpc.StatusCode.OK,
        )

    def test_filters(self, server, admin, make):
        make("/filter/one", selectors=["unix:uid:1"], parent="/node-a")
        make("/filter/one", selectors=["unix:uid:1", "unix:gid:1"], parent="/node-b")
        make("/filter/two", selectors=["unix:uid:2"], parent="/node-b")

        def found(**filters) -> list[tuple[str, int]]:
            return sorted((e.spiffe_id.path, len(e.selectors)) for e in admin.list_entries(**filters))

        def by(match, *texts):
            return {"by_selectors": Match(selectors=[selector(t) for t in texts], match=match)}

        one, both, two = ("/filter/one", 1), ("/filter/one", 2), ("/filter/two", 1)
        assert found(by_spiffe_id=spiffe_id(f"{server.id}/filter/one")) == [one, both]
        assert found(by_parent_id=spiffe_id(f"{server.id}/node-b")) == [both, two]
        assert found(
            by_parent_id=spiffe_id(f"{server.id}/node-b"), by_spiffe_id=spiffe_id(f"{server.id}/filter/two")
        ) == [two]
        assert found(**by(Match.MATCH_EXACT, "unix:uid:1")) == [one]
        assert found(**by(Match.MATCH_EXACT, "unix:gid:1", "unix:uid:1")) == [both]
        assert found(**by(Match.MATCH_SUPERSET, "unix:uid:1")) == [one, both]
        assert found(**by(Match.MATCH_SUBSET, "unix:uid:1", "unix:uid:2")) == [one, two]
        assert found(**by(Match.MATCH_ANY, "unix:gid:1", "unix:uid:2")) == [both, two]
        assert found(by_spiffe_id=spiffe_id(f"{server.id}/filter/none")) == []


class TestAgents:
    @pytest.fixture
    def nodes(self, server, admin):
        """Three node agents; the third is banned."""
        agents = [server.spire_agent() for _ in range(3)]
        for agent in agents:
            agent.attest(admin.join_token().encode())
        admin.ban(agents[2].identity.id)
        yield agents
        for agent in agents:
            if agent.identity:
                admin.evict(agent.identity.id)
            agent.close()

    def list(self, admin, page_size=0, mask=None, **filters):
        found, token = [], ""
        for _ in range(1000):
            reply = admin.agents.ListAgents(
                m.agent.ListAgentsRequest(
                    filter=m.agent.ListAgentsRequest.Filter(**filters),
                    page_size=page_size,
                    page_token=token,
                    output_mask=mask,
                ),
                timeout=20,
            )
            found += reply.agents
            token = reply.next_page_token
            if not token:
                return found
        raise AssertionError("ListAgents never ends")

    def test_list_count_and_filters(self, server, admin, nodes):
        ids = {n.identity.id.removeprefix(server.id) for n in nodes}
        banned = nodes[2].identity.id.removeprefix(server.id)

        def paths(**filters):
            return {a.id.path for a in self.list(admin, **filters)} & ids

        assert paths() == paths(page_size=1) == ids
        assert admin.agents.CountAgents(m.agent.CountAgentsRequest(), timeout=20).count == len(self.list(admin))
        assert paths(by_attestation_type="join_token") == ids
        assert paths(by_attestation_type="x509pop") == set()
        assert paths(by_banned={"value": True}) == {banned}
        assert paths(by_banned={"value": False}) == ids - {banned}
        assert paths(by_can_reattest={"value": True}) == set()

    def test_a_banned_agent_has_no_serial_and_stays_listed(self, admin, nodes):
        agent = admin.agents.GetAgent(m.agent.GetAgentRequest(id=spiffe_id(nodes[2].identity.id)), timeout=20)
        assert agent.banned and agent.x509svid_serial_number == ""

    def test_the_output_mask_says_what_is_shown(self, admin, nodes):
        mask = m.types.AgentMask(attestation_type=True)
        request = m.agent.GetAgentRequest(id=spiffe_id(nodes[0].identity.id), output_mask=mask)
        agent = admin.agents.GetAgent(request, timeout=20)
        assert agent == m.types.Agent(id=agent.id, attestation_type="join_token")

    def test_what_is_not_there(self, server, admin):
        for call, request in [
            (admin.agents.GetAgent, m.agent.GetAgentRequest),
            (admin.agents.BanAgent, m.agent.BanAgentRequest),
            (admin.agents.DeleteAgent, m.agent.DeleteAgentRequest),
        ]:
            missing = spiffe_id(f"{server.id}/spire/agent/join_token/none")
            assert code_of(lambda: call(request(id=missing), timeout=20)) == grpc.StatusCode.NOT_FOUND
            for bad in (
                None,
                spiffe_id("spiffe://elsewhere.test/spire/agent/join_token/x"),
                spiffe_id(f"{server.id}/x"),
            ):
                assert code_of(lambda: call(request(id=bad), timeout=20)) == grpc.StatusCode.INVALID_ARGUMENT, bad

    def test_tokens(self, server, admin):
        def create(**fields):
            return admin.agents.CreateJoinToken(m.agent.CreateJoinTokenRequest(**fields), timeout=20)

        made = create(ttl=60)
        assert made.value and abs(made.expires_at - time.time() - 60) < 10
        assert create(ttl=60, token="my-own-token").value == "my-own-token"
        assert code_of(lambda: create(ttl=60, token="my-own-token")) in (
            grpc.StatusCode.ALREADY_EXISTS,
            grpc.StatusCode.INTERNAL,
            grpc.StatusCode.INVALID_ARGUMENT,
        )
        for bad in [
            {"ttl": -1},
            {"ttl": 60, "agent_id": spiffe_id("spiffe://elsewhere.test/node")},
            {"ttl": 60, "agent_id": spiffe_id(f"{server.id}/spire/agent/x")},
        ]:
            assert code_of(lambda: create(**bad)) == grpc.StatusCode.INVALID_ARGUMENT, bad


class TestMintAndBundle:
    def test_mint_x509(self, server, admin):
        key = new_key()
        request = csr(key, uri=f"{server.id}/minted", dns=["minted.test"])
        svid = admin.svids.MintX509SVID(m.svid.MintX509SVIDRequest(csr=request, ttl=90), timeout=20).svid
        leaf = x509.load_der_x509_certificate(svid.cert_chain[0])
        rules.check_leaf(leaf, f"{server.id}/minted")
        assert rules.lifetime(leaf) == 100 and svid.expires_at == int(leaf.not_valid_after_utc.timestamp())
        san = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert san.get_values_for_type(x509.DNSName) == ["minted.test"]

    def test_what_is_not_minted(self, server, admin):
        key = new_key()
        requests = {
            "no request": b"",
            "no ID": csr(key),
            "another trust domain": csr(key, uri="spiffe://elsewhere.test/x"),
            "no path": csr(key, uri=server.id),
            "a reserved path": csr(key, uri=f"{server.id}/spire/server"),
            "not a SPIFFE ID": csr(key, uri="https://interop.test/x"),
            "a wrong signature": broken_csr(key),
        }
        for name, request in requests.items():
            call = lambda: admin.svids.MintX509SVID(m.svid.MintX509SVIDRequest(csr=request), timeout=20)  # noqa: E731
            assert code_of(call) == grpc.StatusCode.INVALID_ARGUMENT, name

    def test_mint_jwt(self, server, admin):
        request = m.svid.MintJWTSVIDRequest(id=spiffe_id(f"{server.id}/minted"), audience=["a", "b"], ttl=90)
        svid = admin.svids.MintJWTSVID(request, timeout=20).svid
        bundle = admin.bundles.GetBundle(m.bundle.GetBundleRequest(), timeout=20)
        keys = {k.key_id: serialization.load_der_public_key(k.public_key) for k in bundle.jwt_authorities}
        key = keys[jwt.get_unverified_header(svid.token)["kid"]]
        claims = jwt.decode(svid.token, key, algorithms=["ES256"], audience="a")
        assert claims["sub"] == f"{server.id}/minted" and claims["exp"] - claims["iat"] == 90
        for bad in [
            {"id": spiffe_id(f"{server.id}/x")},
            {"audience": ["a"]},
            {"id": spiffe_id("spiffe://elsewhere.test/x"), "audience": ["a"]},
            {"id": spiffe_id(f"{server.id}/spire/server"), "audience": ["a"]},
        ]:
            call = lambda: admin.svids.MintJWTSVID(m.svid.MintJWTSVIDRequest(**bad), timeout=20)  # noqa: E731
            assert code_of(call) == grpc.StatusCode.INVALID_ARGUMENT, bad

    def test_the_bundle_is_the_one_of_the_ready_file(self, server, admin):
        bundle = admin.bundles.GetBundle(m.bundle.GetBundleRequest(), timeout=20)
        assert [a.asn1 for a in bundle.x509_authorities] == server.roots
        assert admin.bundles.CountBundles(m.bundle.CountBundlesRequest(), timeout=20).count == 1
        request = m.bundle.GetFederatedBundleRequest(trust_domain="elsewhere.test")
        assert code_of(lambda: admin.bundles.GetFederatedBundle(request, timeout=20)) == grpc.StatusCode.NOT_FOUND


def authority(name: str, *, is_ca: bool = True, seconds: int = 3600) -> bytes:
    """A self-signed certificate of another server of the trust domain."""
    key, now = new_key(), datetime.now(timezone.utc)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "another server")])
    builder = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(seconds=seconds))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{name}")]), False)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def jwt_key(key_id: str, **fields):
    spki = new_key().public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return m.types.JWTKey(public_key=spki, key_id=key_id, **fields)


def wit_key(key_id: str, **fields):
    plain = jwt_key(key_id)
    return m.types.WITKey(public_key=plain.public_key, key_id=key_id, **fields)


class TestAuthoritiesOfOthers:
    """AppendBundle, PublishJWTAuthority and PublishWITAuthority: what other servers of the trust domain sign with."""

    def append(self, admin, **fields):
        return admin.bundles.AppendBundle(m.bundle.AppendBundleRequest(**fields), timeout=20)

    def test_appended_authorities_are_in_the_bundle_and_count_once(self, start):
        server = start("append.test", only_server=True)
        before = server.admin.bundles.GetBundle(m.bundle.GetBundleRequest(), timeout=20)
        roots = [a.asn1 for a in before.x509_authorities]
        root = m.types.X509Certificate(asn1=authority("append.test"))
        key = jwt_key("another-1", expires_at=int(time.time()) + 3600)
        for _ in range(2):
            after = self.append(server.admin, x509_authorities=[root], jwt_authorities=[key])
            assert [a.asn1 for a in after.x509_authorities] == [*roots, root.asn1]
            assert sorted(k.key_id for k in after.jwt_authorities) == sorted(
                [*(k.key_id for k in before.jwt_authorities), "another-1"]
            )
            assert after.sequence_number > before.sequence_number
        masked = self.append(server.admin, jwt_authorities=[key], output_mask={"sequence_number": True})
        assert not masked.x509_authorities and masked.sequence_number == after.sequence_number
        assert "bundle.append" in server.cli("log", "list", "-type", "bundle.append").stdout

    def test_a_revoked_jti_is_listed_until_the_last_token_that_can_have_it_has_ended(self, start):
        """It may be a WIT-SVID's as well as a JWT-SVID's, and nothing outlives the authority that signed it."""
        server = start("jti.test", only_server=True)
        for days, kind, field, key in ((30, "wit", "wit_authorities", wit_key), (60, "jwt", "jwt_authorities", jwt_key)):
            end = int(time.time()) + days * 86_400
            self.append(server.admin, **{field: [key(f"{kind}-of-another", expires_at=end)]})
            server.cli("revoke", "-jti", f"{kind}-token")
            ends = {one["value"]: int(one["expires_at"]) for one in server.cli_json("revoke", "list")["items"]}
            assert ends[f"{kind}-token"] == end

    def test_a_bundle_in_a_file_is_appended_by_command(self, start, tmp_path):
        server = start("append-file.test", only_server=True)
        root = authority("append-file.test")
        pem = tmp_path / "root.pem"
        pem.write_bytes(x509.load_der_x509_certificate(root).public_bytes(serialization.Encoding.PEM))
        assert server.cli("bundle", "append", "-path", pem).stdout == "1 X.509 authority appended.\n"
        keys = [
            {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(new_key().public_key())), "use": "jwt-svid", "kid": kid}
            for kid in ("k1", "k2")
        ]
        document = tmp_path / "bundle.json"
        document.write_text(json.dumps({"keys": keys}))
        end = int(time.time()) + 86_400
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))
        spiffe = ("bundle", "append", "-format", "spiffe", "-path", document, "-expiresAt", at)
        told = server.cli_json(*spiffe)
        assert base64.b64encode(root).decode() in [one["asn1"] for one in told["x509_authorities"]]
        ends = {one["key_id"]: one["expires_at"] for one in told["jwt_authorities"]}
        assert (ends["k1"], ends["k2"]) == (str(end), str(end))
        assert server.cli(*spiffe).stdout == "2 JWT authorities appended.\n"
        shown = json.loads(server.cli("bundle", "show", "-format", "spiffe").stdout)
        assert {"k1", "k2"} <= {one.get("kid") for one in shown["keys"]}

    def test_what_is_not_appended_by_command(self, server, tmp_path):
        (tmp_path / "empty.json").write_text('{"keys": []}')
        (tmp_path / "leaf.pem").write_bytes(
            x509.load_der_x509_certificate(authority(server.name, is_ca=False)).public_bytes(serialization.Encoding.PEM)
        )
        for flags in (
            ["-path", tmp_path / "empty.json", "-format", "spiffe"], ["-path", tmp_path / "empty.json"],
            ["-path", tmp_path / "leaf.pem"], ["-path", tmp_path / "none"],
            ["-path", tmp_path / "empty.json", "-format", "spiffe", "-expiresAt", "soon"],
        ):  # fmt: skip
            done = server.cli("bundle", "append", *flags, check=False)
            assert done.returncode == 1 and done.stderr.count("\n") == 1, flags

    def test_what_is_not_appended(self, server, admin):
        cases = {
            "nothing": {},
            "no certificate": {"x509_authorities": [m.types.X509Certificate(asn1=b"x")]},
            "a leaf": {"x509_authorities": [m.types.X509Certificate(asn1=authority(server.name, is_ca=False))]},
            "of another trust domain": {"x509_authorities": [m.types.X509Certificate(asn1=authority("else.test"))]},
            "ended": {"x509_authorities": [m.types.X509Certificate(asn1=authority(server.name, seconds=-60))]},
            "a key without ID": {"jwt_authorities": [jwt_key("")]},
            "no key": {"jwt_authorities": [m.types.JWTKey(key_id="a", public_key=b"x")]},
            "a taint": {"jwt_authorities": [jwt_key("a", tainted=True)]},
            "a WIT key without ID": {"wit_authorities": [wit_key("")]},
            "no WIT key": {"wit_authorities": [m.types.WITKey(key_id="a", public_key=b"x")]},
            "a WIT taint": {"wit_authorities": [wit_key("a", tainted=True)]},
            "an ID for two purposes": {"jwt_authorities": [jwt_key("a")], "wit_authorities": [wit_key("a")]},
        }
        before = admin.bundles.GetBundle(m.bundle.GetBundleRequest(), timeout=20)
        for name, fields in cases.items():
            assert code_of(lambda: self.append(admin, **fields)) == grpc.StatusCode.INVALID_ARGUMENT, name
        assert admin.bundles.GetBundle(m.bundle.GetBundleRequest(), timeout=20) == before

    def test_a_downstream_server_publishes_its_key_and_nobody_else_does(self, start):
        server = start("publish.test", only_server=True)
        with server.spire_agent() as node:
            node.attest(server.admin.join_token().encode())
            made = server.admin.create_one(
                entry(f"{server.id}/nested", node.identity.id, ["unix:uid:1"], downstream=True)
            )
            node.sync()
            request = m.bundle.PublishJWTAuthorityRequest(jwt_authority=jwt_key("nested-1"))
            publish = lambda: node.bundle_api.PublishJWTAuthority(request, timeout=20)  # noqa: E731
            assert code_of(publish) == grpc.StatusCode.PERMISSION_DENIED
            signed = node.sign([made.id])[made.id]
            node.adopt(Identity(signed.chain, signed.key, f"{server.id}/nested", 0))
            assert "nested-1" in [k.key_id for k in publish().jwt_authorities]
            assert "nested-1" in [k.key_id for k in node.get_bundle().jwt_authorities]
            empty = m.bundle.PublishJWTAuthorityRequest()
            assert code_of(lambda: node.bundle_api.PublishJWTAuthority(empty, timeout=20)) == (
                grpc.StatusCode.INVALID_ARGUMENT
            )


    def test_a_wit_key_of_a_downstream_server_is_for_wit_svids_alone(self, start):
        domain = start("publish-wit.test")
        taken = domain.admin.bundles.GetBundle(m.bundle.GetBundleRequest(), timeout=20).jwt_authorities[0].key_id
        domain.entry("/reader")
        domain.wait_for_ids("/reader")
        with domain.spire_agent() as node:
            node.attest(domain.admin.join_token().encode())
            made = domain.admin.create_one(
                entry(f"{domain.id}/nested", node.identity.id, ["unix:uid:1"], downstream=True)
            )
            node.sync()

            def publish(key=None):
                request = m.bundle.PublishWITAuthorityRequest(wit_authority=key)
                return node.bundle_api.PublishWITAuthority(request, timeout=20)

            key = wit_key("nested-wit")
            assert code_of(lambda: publish(key)) == grpc.StatusCode.PERMISSION_DENIED
            signed = node.sign([made.id])[made.id]
            node.adopt(Identity(signed.chain, signed.key, f"{domain.id}/nested", 0))
            before = node.get_bundle()
            for bad in (None, wit_key(""), m.types.WITKey(key_id="a", public_key=b"x"), wit_key("a", tainted=True),
                        wit_key(taken)):  # fmt: skip
                assert code_of(lambda: publish(bad)) == grpc.StatusCode.INVALID_ARGUMENT
            for _ in range(2):
                assert [k.key_id for k in publish(key).wit_authorities].count("nested-wit") == 1
            after = node.get_bundle()
        assert after.jwt_authorities == before.jwt_authorities
        assert [k.key_id for k in after.wit_authorities] == [*(k.key_id for k in before.wit_authorities), "nested-wit"]
        # What workloads get: in the set for WIT-SVIDs, and not in the one for JWT-SVIDs.
        with grpc.insecure_channel(f"unix:{domain.workload_socket}") as channel:
            eventually(lambda: "nested-wit" in test_wit.keys(channel, domain), "workloads know the key")
        with domain.workload() as api:
            jwks = json.loads(first(api.jwt_bundles()).bundles[domain.id])
        assert "nested-wit" not in [k["kid"] for k in jwks["keys"]]


class TestTheSocket:
    def test_health(self, admin):
        assert admin.health.Check(m.health.HealthCheckRequest(), timeout=20).status == (
            m.health.HealthCheckResponse.SERVING
        )

    def test_an_unknown_rpc_is_unimplemented(self, admin):
        call = admin.channel.unary_unary("/spire.api.server.entry.v1.Entry/Nothing", lambda x: x, lambda x: x)
        assert code_of(lambda: call(b"", timeout=20)) == grpc.StatusCode.UNIMPLEMENTED

    def test_another_user_cannot_reach_it(self, server, other_user):
        """The socket's mode, or its folder's, is the only guard of administration"""
        code = (
            "import os, socket, sys\n"
            f"os.setgroups([]); os.setgid({other_user}); os.setuid({other_user})\n"
            "s = socket.socket(socket.AF_UNIX)\n"
            "try:\n    s.connect(sys.argv[1])\nexcept PermissionError:\n    sys.exit(7)\n"
        )
        done = subprocess.run([sys.executable, "-c", code, server.admin_socket], timeout=20)
        assert done.returncode == 7

    def test_the_owner_can_reach_nothing_else_in_the_data_folder(self, server):
        """Keys and databases are for their owner alone"""
        for folder, _, files in os.walk(server.folder / "data"):
            for name in files:
                path = os.path.join(folder, name)
                if not os.path.islink(path) and "key" in path.lower():
                    assert os.stat(path).st_mode & 0o077 == 0, path
