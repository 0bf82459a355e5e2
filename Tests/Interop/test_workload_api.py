"""The SPIFFE Workload API, judged by the stock `spiffe` package, by raw calls and by `cryptography`.

Sections are those of the SPIFFE Workload API and Workload Endpoint standards.
"""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import jwt
import pytest
from cryptography import x509
from spiffe import JwtSource, JwtSvid, SpiffeId, TrustDomain, WorkloadApiClient, X509Source
from spiffe.workloadapi.errors import FetchJwtSvidError, FetchX509SvidError, ValidateJwtSvidError

from harness import rules
from harness.as_user import ask
from harness.domain import start_agent
from harness.polling import eventually
from wire import messages as m
from wire.workload import HEADER, SERVICE, first


def code_of(call) -> grpc.StatusCode:
    """The status a call ends with; OK when it gives an answer."""
    try:
        answer = call()
        if hasattr(answer, "cancel"):
            first(answer)
        return grpc.StatusCode.OK
    except grpc.RpcError as error:
        return error.code()


@pytest.fixture
def client(registry):
    with WorkloadApiClient(registry.endpoint, default_timeout=15) as client:
        yield client


@pytest.fixture
def raw(registry):
    with registry.workload() as api:
        yield api


class TestX509WithTheStockClient:
    def test_an_entry_becomes_an_svid(self, registry, client):
        """Workload API §5.2.1: FetchX509SVID"""
        registry.entry("/stock/one")
        registry.wait_for_ids("/stock/one")
        svid = client.fetch_x509_svid()
        assert str(svid.spiffe_id) == f"{registry.id}/stock/one"
        rules.check_leaf(svid.leaf, str(svid.spiffe_id))
        assert rules.public_bytes(svid.private_key.public_key()) == rules.public_bytes(svid.leaf.public_key())

    def test_every_matching_entry_becomes_an_svid(self, registry, client):
        registry.entry("/stock/a")
        registry.entry("/stock/b", dns_names=["b.interop.test"])
        registry.wait_for_ids("/stock/a", "/stock/b")
        svids = {s.spiffe_id.path: s for s in client.fetch_x509_svids()}
        assert set(svids) == {"/stock/a", "/stock/b"}
        san = svids["/stock/b"].leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert san.get_values_for_type(x509.DNSName) == ["b.interop.test"]

    def test_the_context_joins_svids_and_bundles(self, registry, client):
        registry.entry("/stock/context")
        registry.wait_for_ids("/stock/context")
        context = client.fetch_x509_context()
        bundle = context.x509_bundle_set.get_bundle_for_trust_domain(TrustDomain(registry.name))
        assert bundle.x509_authorities
        rules.check_signed_by(context.default_svid.cert_chain[-1], list(bundle.x509_authorities))

    def test_bundles_hold_the_own_trust_domain(self, registry, client):
        """§5.2.2: FetchX509Bundles; keys of the map are trust domain IDs"""
        registry.entry("/stock/bundles")
        registry.wait_for_ids("/stock/bundles")
        bundles = client.fetch_x509_bundles()
        (bundle,) = bundles.bundles
        assert bundle.trust_domain == TrustDomain(registry.name)
        for root in bundle.x509_authorities:
            rules.check_authority(root, registry.name)

    def test_without_an_entry_the_answer_is_permission_denied(self, registry, client):
        """Workload Endpoint §6: PermissionDenied, not an empty list"""
        with pytest.raises(FetchX509SvidError, match="PERMISSION_DENIED"):
            client.fetch_x509_svid()

    def test_a_source_follows_rotation_before_the_end(self, registry):
        """Rotation with 45 to 55 % of life left, pushed on the open stream"""
        registry.entry("/stock/rotating", x509_svid_ttl=10)
        registry.wait_for_ids("/stock/rotating")
        with X509Source(socket_path=registry.endpoint, timeout_in_seconds=15) as source:
            before = source.get_x509_context().default_svid.leaf
            seen = threading.Event()
            source.subscribe_for_updates(seen.set)
            assert rules.lifetime(before) == 20, "TTL 10 s, and notBefore 10 s back"
            assert seen.wait(15), "no rotation came on the stream"
            after = source.get_x509_context().default_svid.leaf
            assert after.serial_number != before.serial_number
            assert after.not_valid_before_utc < before.not_valid_after_utc, "no gap between the two"

    def test_a_source_gets_a_new_entry_by_push(self, registry):
        registry.entry("/stock/first")
        registry.wait_for_ids("/stock/first")
        with X509Source(
            socket_path=registry.endpoint,
            timeout_in_seconds=15,
            svid_picker=lambda svids: max(svids, key=lambda s: s.spiffe_id.path),
        ) as source:
            registry.entry("/stock/second")
            eventually(
                lambda: source.get_x509_context().default_svid.spiffe_id.path == "/stock/second",
                "the source has the second identity",
            )


class TestJWTWithTheStockClient:
    def test_one_token_holds_every_audience(self, registry, client):
        """JWT-SVID §3.2: aud; the client refuses a token without one of the asked audiences"""
        registry.entry("/jwt/many")
        registry.wait_for_ids("/jwt/many")
        svid = client.fetch_jwt_svid(audience={"one", "two"})
        assert str(svid.spiffe_id) == f"{registry.id}/jwt/many"
        header, claims = rules.jwt_parts(svid.token)
        assert set(header) == {"alg", "kid", "typ"} and header["typ"] == "JWT" and header["alg"] == "ES256"
        assert sorted(claims["aud"]) == ["one", "two"]
        assert claims["sub"] == f"{registry.id}/jwt/many"
        assert claims["iat"] <= time.time() < claims["exp"] <= claims["iat"] + 300

    def test_a_single_audience_is_still_a_list(self, registry, client):
        registry.entry("/jwt/single")
        registry.wait_for_ids("/jwt/single")
        _, claims = rules.jwt_parts(client.fetch_jwt_svid(audience={"only"}).token)
        assert claims["aud"] == ["only"]

    def test_the_token_verifies_with_the_fetched_bundle(self, registry, client):
        """§5.3.2: FetchJWTBundles; the stock validator and a JWT library that knows no SPIFFE agree"""
        registry.entry("/jwt/bundle")
        registry.wait_for_ids("/jwt/bundle")
        token = client.fetch_jwt_svid(audience={"me"}).token
        bundle = client.fetch_jwt_bundles().get_bundle_for_trust_domain(TrustDomain(registry.name))
        assert str(JwtSvid.parse_and_validate(token, bundle, {"me"}).spiffe_id) == f"{registry.id}/jwt/bundle"
        with registry.workload() as raw:
            keys = rules.check_jwt_bundle(first(raw.jwt_bundles()).bundles[registry.id])
        key = jwt.PyJWK(keys[jwt.get_unverified_header(token)["kid"]])
        assert jwt.decode(token, key, algorithms=["ES256"], audience="me")["sub"] == f"{registry.id}/jwt/bundle"

    def test_every_identity_gets_a_token_or_the_one_asked_for(self, registry, client):
        registry.entry("/jwt/a")
        registry.entry("/jwt/b")
        registry.wait_for_ids("/jwt/a", "/jwt/b")
        paths = {s.spiffe_id.path for s in client.fetch_jwt_svids(audience={"x"})}
        assert paths == {"/jwt/a", "/jwt/b"}
        wanted = SpiffeId(f"{registry.id}/jwt/b")
        assert [s.spiffe_id for s in client.fetch_jwt_svids(audience={"x"}, subject=wanted)] == [wanted]
        with pytest.raises(FetchJwtSvidError, match="PERMISSION_DENIED"):
            client.fetch_jwt_svid(audience={"x"}, subject=SpiffeId(f"{registry.id}/jwt/c"))

    def test_validation_accepts_ours_and_refuses_everything_else(self, registry, client):
        """§5.3.3: ValidateJWTSVID"""
        registry.entry("/jwt/validated")
        registry.wait_for_ids("/jwt/validated")
        token = client.fetch_jwt_svid(audience={"me", "too"}).token
        validated = client.validate_jwt_svid(token, "me")
        assert str(validated.spiffe_id) == f"{registry.id}/jwt/validated"
        header, claims, signature = token.split(".")
        flipped = signature[:-2] + ("A" if signature[-2] != "A" else "B") + signature[-1]
        stranger = jwt.encode(
            {"sub": f"{registry.id}/jwt/validated", "aud": ["me"], "exp": int(time.time()) + 60},
            rules.ec.generate_private_key(rules.ec.SECP256R1()),
            algorithm="ES256",
            headers={"kid": jwt.get_unverified_header(token)["kid"]},
        )
        for name, bad, audience in [
            ("another audience", token, "other"),
            ("a flipped signature", f"{header}.{claims}.{flipped}", "me"),
            ("a stranger's signature under our kid", stranger, "me"),
            ("no signature", f"{header}.{claims}.", "me"),
            ("no token", "x", "me"),
        ]:
            with pytest.raises(ValidateJwtSvidError, match="INVALID_ARGUMENT"):
                client.validate_jwt_svid(bad, audience)
                pytest.fail(f"{name} was accepted")

    def test_an_expired_token_is_refused(self, registry, client):
        registry.entry("/jwt/short", jwt_svid_ttl=1)
        registry.wait_for_ids("/jwt/short")
        token = client.fetch_jwt_svid(audience={"me"}).token
        with registry.workload() as raw:
            eventually(
                lambda: code_of(lambda: raw.validate("me", token)) == grpc.StatusCode.INVALID_ARGUMENT,
                "the token is refused after its end",
            )

    def test_a_source_fetches_and_keeps_bundles(self, registry):
        registry.entry("/jwt/source")
        registry.wait_for_ids("/jwt/source")
        with JwtSource(socket_path=registry.endpoint, timeout_in_seconds=15) as source:
            token = source.fetch_svid(audience={"me"}).token
            bundle = source.get_bundle_for_trust_domain(TrustDomain(registry.name))
            assert JwtSvid.parse_and_validate(token, bundle, {"me"})


STREAMS = ["x509_svids", "x509_bundles", "jwt_bundles"]


class TestHeaderAndCodes:
    """Workload Endpoint §4 and §6"""

    @pytest.mark.parametrize("stream", STREAMS)
    @pytest.mark.parametrize(
        "headers",
        [(), (("workload.spiffe.io", "false"),), (("workload.spiffe.io", "TRUE"),), HEADER + HEADER],
        ids=["missing", "false", "upper case", "twice"],
    )
    def test_a_stream_without_the_header_is_an_invalid_argument(self, raw, stream, headers):
        assert code_of(lambda: getattr(raw, stream)(headers=headers)) == grpc.StatusCode.INVALID_ARGUMENT

    def test_a_unary_call_without_the_header_is_an_invalid_argument(self, raw):
        assert code_of(lambda: raw.jwt_svid(["a"], headers=())) == grpc.StatusCode.INVALID_ARGUMENT
        assert code_of(lambda: raw.validate("a", "b", headers=())) == grpc.StatusCode.INVALID_ARGUMENT

    def test_no_identity_is_permission_denied_on_every_call(self, raw):
        for stream in STREAMS:
            assert code_of(getattr(raw, stream)) == grpc.StatusCode.PERMISSION_DENIED, stream
        assert code_of(lambda: raw.jwt_svid(["a"])) == grpc.StatusCode.PERMISSION_DENIED

    def test_no_audience_is_an_invalid_argument_before_anything_else(self, raw):
        assert code_of(lambda: raw.jwt_svid([])) == grpc.StatusCode.INVALID_ARGUMENT

    @pytest.mark.parametrize(
        "bad", ["spiffe://", "https://interop.test/x", "spiffe://Interop test/x", "x", "spiffe://a/b/"]
    )
    def test_a_malformed_requested_id_is_an_invalid_argument(self, registry, raw, bad):
        registry.entry("/codes/id")
        registry.wait_for_ids("/codes/id")
        assert code_of(lambda: raw.jwt_svid(["a"], spiffe_id=bad)) == grpc.StatusCode.INVALID_ARGUMENT

    def test_mandatory_fields_of_validation(self, raw):
        assert code_of(lambda: raw.validate("", "x")) == grpc.StatusCode.INVALID_ARGUMENT
        assert code_of(lambda: raw.validate("x", "")) == grpc.StatusCode.INVALID_ARGUMENT

    @pytest.mark.parametrize("method", ["NoSuchMethod", "FetchWITSVIDs"])
    def test_an_unknown_rpc_is_unimplemented(self, raw, method):
        assert code_of(lambda: raw.unknown(method)) == grpc.StatusCode.UNIMPLEMENTED

    def test_an_unknown_service_is_unimplemented(self, raw):
        call = raw.channel.unary_unary("/no.such.Service/Do", lambda x: x, lambda x: x)
        assert code_of(lambda: call(b"", timeout=10)) == grpc.StatusCode.UNIMPLEMENTED

    def test_the_admin_services_are_not_on_the_public_socket(self, raw):
        """A workload may never reach administration: the socket is open to everyone on the machine"""
        stub = m.entry_grpc.EntryStub(raw.channel)
        request = m.entry.CountEntriesRequest()
        assert code_of(lambda: stub.CountEntries(request, timeout=10)) == grpc.StatusCode.UNIMPLEMENTED

    def test_health_answers_without_the_header(self, raw):
        reply = raw.health.Check(m.health.HealthCheckRequest(), timeout=10)
        assert reply.status == m.health.HealthCheckResponse.SERVING


class TestWhatEveryClientNeeds:
    """The rules that satisfy every known client at once"""

    def test_an_svid_message_keeps_every_rule(self, registry, raw):
        registry.entry("/rules/one", x509_svid_ttl=600)
        registry.wait_for_ids("/rules/one")
        reply = first(raw.x509_svids())
        (svid,) = reply.svids
        leaf = rules.check_x509_svid(svid, registry.name, f"{registry.id}/rules/one")
        assert rules.lifetime(leaf) == 610, "TTL, and notBefore 10 s back"
        assert not reply.crl and not reply.federated_bundles

    def test_bundle_messages_are_keyed_by_trust_domain_id(self, registry, raw):
        registry.entry("/rules/bundles")
        registry.wait_for_ids("/rules/bundles")
        x509_bundles = first(raw.x509_bundles()).bundles
        assert list(x509_bundles) == [registry.id]
        for der in rules.split_der(x509_bundles[registry.id]):
            rules.check_authority(x509.load_der_x509_certificate(der), registry.name)
        jwt_bundles = first(raw.jwt_bundles()).bundles
        assert list(jwt_bundles) == [registry.id]
        rules.check_jwt_bundle(jwt_bundles[registry.id])

    def test_the_three_places_of_an_identity_agree(self, registry, raw):
        registry.entry("/rules/agree", hint="internal")
        registry.wait_for_ids("/rules/agree")
        (svid,) = first(raw.x509_svids()).svids
        (token,) = raw.jwt_svid(["me"]).svids
        assert svid.spiffe_id == token.spiffe_id == rules.jwt_parts(token.svid)[1]["sub"]
        assert svid.hint == token.hint == "internal"

    def test_hints_are_unique_and_the_older_entry_keeps_it(self, registry, raw):
        """§5.2.1: hint"""
        older = registry.entry("/rules/older", hint="same")
        newer = registry.entry("/rules/newer", hint="same")
        registry.entry("/rules/other", hint="different")
        survivor = min((older, newer), key=lambda e: (e.created_at, e.id))
        wanted = {f"{registry.id}{survivor.spiffe_id.path}", f"{registry.id}/rules/other"}
        eventually(
            lambda: {s.spiffe_id for s in first(raw.x509_svids()).svids} == wanted, "one of the two with the same hint"
        )
        assert {s.spiffe_id for s in raw.jwt_svid(["me"]).svids} == wanted

    @pytest.mark.parametrize("authority", ["localhost", "tmp%2Fdir%2Fx.sock", "[::1]:1", "sds-cluster"])
    def test_any_authority_is_accepted(self, registry, authority):
        registry.entry("/rules/authority")
        registry.wait_for_ids("/rules/authority")
        assert registry.ids(authority=authority) == [f"{registry.id}/rules/authority"]

    def test_a_message_in_many_frames_is_accepted(self, registry, raw):
        """Envoy's first request has 61 KB; this one also exceeds the first flow-control window"""
        registry.entry("/rules/frames")
        registry.wait_for_ids("/rules/frames")
        padding = b"\xfa\x3f" + b"\x80\x80\x05" + bytes(5 << 14)  # field 1023, unknown: 80 KiB of zeroes
        request = m.workload.JWTSVIDRequest(audience=["me"]).SerializeToString() + padding
        call = raw.channel.unary_unary(SERVICE + "FetchJWTSVID", lambda x: x, m.workload.JWTSVIDResponse.FromString)
        assert len(call(request, metadata=HEADER, timeout=15).svids) == 1

    def test_an_oversize_message_is_refused_and_the_service_goes_on(self, registry, raw):
        registry.entry("/rules/oversize")
        registry.wait_for_ids("/rules/oversize")
        call = raw.channel.unary_unary(SERVICE + "FetchJWTSVID", lambda x: x, m.workload.JWTSVIDResponse.FromString)
        refused = code_of(lambda: call(bytes(8 << 20), metadata=HEADER, timeout=15))
        assert refused in (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            grpc.StatusCode.INVALID_ARGUMENT,
            grpc.StatusCode.INTERNAL,
            grpc.StatusCode.UNAVAILABLE,
        )
        assert registry.ids() == [f"{registry.id}/rules/oversize"]

    def test_a_malformed_message_is_refused_and_the_service_goes_on(self, registry, raw):
        registry.entry("/rules/malformed")
        registry.wait_for_ids("/rules/malformed")
        call = raw.channel.unary_unary(SERVICE + "FetchJWTSVID", lambda x: x, m.workload.JWTSVIDResponse.FromString)
        assert code_of(lambda: call(b"\x0a\xff", metadata=HEADER, timeout=15)) != grpc.StatusCode.OK
        assert registry.ids() == [f"{registry.id}/rules/malformed"]


class TestStreams:
    """Every message is the complete state; the stream ends when the last identity is gone"""

    def test_changes_come_on_the_open_stream_and_deletion_ends_it(self, registry, raw):
        one = registry.entry("/stream/one")
        registry.wait_for_ids("/stream/one")
        messages: list[set] = []
        ended: list[grpc.StatusCode] = []
        stream = raw.x509_svids(timeout=60)

        def read():
            try:
                for message in stream:
                    messages.append({s.spiffe_id.removeprefix(registry.id) for s in message.svids})
            except grpc.RpcError as error:
                ended.append(error.code())

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            eventually(lambda: messages and messages[-1] == {"/stream/one"}, "the first message")
            two = registry.entry("/stream/two")
            eventually(lambda: messages[-1] == {"/stream/one", "/stream/two"}, "the second identity")
            registry.admin.delete(one.id)
            eventually(lambda: messages[-1] == {"/stream/two"}, "the first identity is withdrawn")
            assert not ended
            registry.admin.delete(two.id)
            eventually(lambda: ended == [grpc.StatusCode.PERMISSION_DENIED], "the stream's end")
        finally:
            stream.cancel()
            reader.join(10)

    def test_an_update_reaches_the_open_stream(self, registry, raw):
        made = registry.entry("/stream/updated")
        registry.wait_for_ids("/stream/updated")
        stream = raw.x509_svids(timeout=60)
        try:
            assert next(stream).svids[0].hint == ""
            changed = m.types.Entry(id=made.id, hint="external")
            registry.admin.entries.BatchUpdateEntry(
                m.entry.BatchUpdateEntryRequest(entries=[changed], input_mask=m.types.EntryMask(hint=True)), timeout=20
            )
            for _ in range(5):
                message = next(stream)
                if message.svids[0].hint == "external":
                    break
            else:
                pytest.fail("five messages, none with the new hint")
        finally:
            stream.cancel()

    def test_many_streams_at_once_all_get_the_change(self, registry):
        registry.entry("/stream/many")
        registry.wait_for_ids("/stream/many")
        apis = [registry.workload() for _ in range(20)]
        try:
            streams = [api.x509_svids(timeout=60) for api in apis]
            for stream in streams:
                assert len(next(stream).svids) == 1
            registry.entry("/stream/more")
            for stream in streams:
                for message in stream:
                    if len(message.svids) == 2:
                        break
        finally:
            for api in apis:
                api.close()

    def test_many_callers_at_once_all_get_valid_tokens(self, registry):
        registry.entry("/stream/crowd")
        registry.wait_for_ids("/stream/crowd")

        def fetch(number: int) -> str:
            with WorkloadApiClient(registry.endpoint, default_timeout=30) as client:
                for i in range(10):
                    audience = f"service-{number}-{i}"
                    token = client.fetch_jwt_svid(audience={audience}).token
                    assert rules.jwt_parts(token)[1]["aud"] == [audience]
                return client.validate_jwt_svid(token, audience).spiffe_id.path

        with ThreadPoolExecutor(16) as pool:
            assert set(pool.map(fetch, range(16))) == {"/stream/crowd"}


class TestWhoCalls:
    """Workload attestation by the kernel's word: the `unix` selectors"""

    def test_another_user_gets_only_its_own_identity(self, registry, other_user):
        registry.entry("/users/mine")
        registry.entry("/users/theirs", selectors=[f"unix:uid:{other_user}"])
        registry.wait_for_ids("/users/mine")
        answer = eventually(
            lambda: (got := ask(other_user, registry.workload_socket)) and got["code"] == "OK" and got,
            "the other user's identity",
        )
        assert answer["ids"] == answer["stock"] == [f"{registry.id}/users/theirs"]

    def test_another_user_without_an_entry_gets_nothing(self, registry, other_user):
        registry.entry("/users/mine")
        registry.wait_for_ids("/users/mine")
        answer = ask(other_user, registry.workload_socket)
        assert answer["code"] == "PERMISSION_DENIED" and "PERMISSION_DENIED" in answer["stock"]

    def test_an_entry_applies_only_if_all_its_selectors_match(self, registry):
        import os

        uid, gid = os.geteuid(), os.getegid()
        registry.entry("/selectors/both", selectors=[f"unix:uid:{uid}", f"unix:gid:{gid}"])
        registry.entry("/selectors/one-wrong", selectors=[f"unix:uid:{uid}", "unix:gid:54321"])
        registry.entry("/selectors/unknown-type", selectors=[f"unix:uid:{uid}", "moon:phase:full"])
        registry.wait_for_ids("/selectors/both")

    def test_names_of_user_and_group_are_selectors_too(self, registry):
        import grp
        import os
        import pwd

        user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
        registry.entry("/selectors/names", selectors=[f"unix:user:{user}", f"unix:group:{group}"])
        registry.wait_for_ids("/selectors/names")


def test_the_jwt_claims_struct_has_aud_as_a_list(registry, raw):
    """§5.3.3: the claims of a validated token; aud is always a list"""
    registry.entry("/claims")
    registry.wait_for_ids("/claims")
    token = raw.jwt_svid(["me"]).svids[0].svid
    reply = raw.validate("me", token)
    assert reply.spiffe_id == f"{registry.id}/claims"
    claims = dict(reply.claims)
    assert list(claims["aud"]) == ["me"] and claims["sub"] == reply.spiffe_id
    assert int(claims["exp"]) == rules.jwt_parts(token)[1]["exp"]


class TestRestart:
    """A held stream recovers by itself, and the trust domain is still the same one"""

    @pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL], ids=["orderly", "killed"])
    def test_a_source_outlives_a_restart(self, start, sign):
        before = start("restart.test")
        before.entry("/restart", x509_svid_ttl=60)
        before.wait_for_ids("/restart")
        roots = before.roots
        with X509Source(socket_path=before.endpoint, timeout_in_seconds=15) as source:
            first_leaf = source.get_x509_context().default_svid.leaf
            updated = threading.Event()
            source.subscribe_for_updates(updated.set)
            (process,) = before.processes
            code = process.stop(sign)
            assert code == (0 if sign == signal.SIGTERM else -sign)
            before.processes.clear()

            after = start("restart.test", folder=before.folder)
            assert after.roots == roots, "the same authority"
            assert [e.spiffe_id.path for e in after.admin.list_entries()] == ["/restart"]
            assert updated.wait(20), "the source got nothing from the new process"
            bundle = source.get_bundle_for_trust_domain(TrustDomain("restart.test"))
            rules.check_signed_by(first_leaf, list(bundle.x509_authorities))
            rules.check_signed_by(source.get_x509_context().default_svid.leaf, list(bundle.x509_authorities))
            assert after.cli("log", "verify").returncode == 0


class TestTwoProcesses:
    """`server run` and `agent run` apart, as they stand in production"""

    def test_an_agent_of_its_own_serves_the_workload_api(self, agent):
        agent.entry("/two/processes", x509_svid_ttl=300)
        agent.wait_for_ids("/two/processes")
        with WorkloadApiClient(agent.endpoint, default_timeout=15) as client:
            assert str(client.fetch_x509_svid().spiffe_id) == f"{agent.id}/two/processes"
            token = client.fetch_jwt_svid(audience={"me"}).token
            assert str(client.validate_jwt_svid(token, "me").spiffe_id) == f"{agent.id}/two/processes"

    def test_a_banned_agent_hands_out_nothing_more(self, server):
        process = start_agent(server)
        try:
            server.entry("/two/banned")
            server.wait_for_ids("/two/banned")
            nodes = server.admin.agents.ListAgents(
                m.agent.ListAgentsRequest(filter={"by_banned": {"value": False}}), timeout=20
            ).agents
            for node in nodes:
                server.admin.ban(f"{server.id}{node.id.path}")

            def cut_off() -> bool:
                with server.workload() as api:
                    return code_of(api.x509_svids) in (
                        grpc.StatusCode.PERMISSION_DENIED,
                        grpc.StatusCode.UNAVAILABLE,
                    )

            eventually(cut_off, "the banned agent's workloads have nothing", within=20)
        finally:
            server.ready.pop("workloadAPISocket", None)
            server.forget_entries()
            server.processes.remove(process)
            process.stop()


class TestOneMachine:
    def test_a_ban_of_its_own_node_leaves_the_control_plane_serving(self, start):
        domain = start("ban.test")
        domain.entry("/banned")
        domain.wait_for_ids("/banned")
        (node,) = domain.admin.agents.ListAgents(m.agent.ListAgentsRequest(), timeout=20).agents
        domain.admin.ban(f"{domain.id}{node.id.path}")
        (process,) = domain.processes
        eventually(lambda: "is banned" in process.log(), "the process says it")
        with domain.workload() as api:
            assert code_of(api.x509_svids) == grpc.StatusCode.UNAVAILABLE
        with domain.spire_agent() as other:
            other.attest(domain.admin.join_token().encode())
        folder = domain.folder
        assert domain.stop() == [0]
        again = start("ban.test", folder=folder)
        again.wait_for_ids("/banned")


class TestAnEntrysOwnEnd:
    def test_the_stream_ends_when_the_entry_does(self, registry, raw):
        """SPIRE's `expires_at`, by the node agent's own clock: not when the server happens to remove it."""
        end = int(time.time()) + 4
        registry.entry("/ending", expires_at=end)
        registry.wait_for_ids("/ending")
        stream = raw.x509_svids(timeout=30)
        assert next(stream).svids
        with pytest.raises(grpc.RpcError) as error:
            for _ in stream:
                pass
        late = time.time() - end
        assert error.value.code() == grpc.StatusCode.PERMISSION_DENIED
        assert -0.1 <= late < 1.5

    def test_what_is_fetched_on_demand_ends_too(self, registry, raw):
        end = int(time.time()) + 3
        registry.entry("/ending/jwt", expires_at=end)
        registry.wait_for_ids("/ending/jwt")
        assert raw.jwt_svid(["a"]).svids
        time.sleep(max(0, end + 1 - time.time()))
        assert code_of(lambda: raw.jwt_svid(["a"])) == grpc.StatusCode.PERMISSION_DENIED
