"""Envoy 1.40 as mutual-TLS client and server, with identities and bundles by SDS from the node agent's socket."""

import http.client
import socket
import ssl
import threading
import time
from datetime import timedelta

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from harness import domain as shield
from harness.envoy import Envoy
from harness.polling import eventually
from harness.ports import free_port
from wire import messages as m
from wire import sds
from wire.keys import new_key
from wire.spire_authority import X509Authority, der
from wire.tunnel import client_context

DOMAIN = "example.org"


def code_of(call) -> grpc.StatusCode:
    try:
        call()
        return grpc.StatusCode.OK
    except grpc.RpcError as error:
        return error.code()


def get(port: int):
    """(status, headers, body) of one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/")
        reply = connection.getresponse()
        return reply.status, dict(reply.getheaders()), reply.read().decode()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def short():
    """A trust domain whose SVIDs live for 8 seconds."""
    domain = shield.start_up(DOMAIN, extra=["-defaultX509SVIDTTL", "8s"])
    try:
        yield domain
        assert domain.stop() == [0]
    finally:
        domain.discard()


@pytest.fixture
def identities(short):
    short.entry("/web")
    short.entry("/caller")
    short.wait_for_ids("/web", "/caller")
    yield short
    short.forget_entries()


@pytest.fixture
def envoys(short):
    """Starts Envoys: `envoys(name, example, replace)`."""
    started = []

    def start(name: str, example: str, replace: dict[str, str]) -> Envoy:
        started.append(Envoy(name, example, short.folder, replace))
        return started[-1]

    yield start
    for envoy in reversed(started):
        envoy.stop()


def pair(envoys, domain, server=None, client=None):
    """Both Envoys of the example, live; returns them and the port that takes plain requests."""
    tls, plain = free_port(), free_port()
    socket = {"data/agent/api.sock": domain.workload_socket}
    web = envoys("web", "server.yaml", {"8500": str(tls), **socket, **(server or {})})
    caller = envoys("caller", "client.yaml", {"8500": str(tls), "8501": str(plain), **socket, **(client or {})})
    return web.wait_live(), caller.wait_live(), plain


ONE_REQUEST = {
    "      connect_timeout: 5s\n": """      connect_timeout: 5s
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          common_http_protocol_options: {max_requests_per_connection: 1}
          explicit_http_config: {http_protocol_options: {}}
"""
}
"""A handshake for every request."""


class TestMutualTLS:
    def test_two_envoys_authenticate_each_other(self, identities, envoys):
        web, caller, port = pair(envoys, identities)
        status, headers, body = get(port)
        assert (status, body) == (200, "hello from spiffe://example.org/web\n")
        assert headers["x-caller"] == "spiffe://example.org/caller"
        assert web.stat("listener.127.0.0.1_.*.ssl.fail_verify_error") == 0

    def test_a_caller_with_another_identity_is_refused(self, identities, envoys):
        web, caller, port = pair(envoys, identities, client={"name: spiffe://example.org/caller": "name: spiffe://example.org/web"})
        assert get(port)[0] == 503

    def test_a_server_with_another_identity_is_refused(self, identities, envoys):
        web, caller, port = pair(
            envoys, identities, client={'exact: "spiffe://example.org/web"': 'exact: "spiffe://example.org/other"'}
        )
        assert get(port)[0] == 503
        assert caller.stat("cluster.web.ssl.fail_verify_san") + caller.stat("cluster.web.ssl.fail_verify_error") > 0

    def test_rotation_under_traffic_fails_no_request(self, identities, envoys):
        web, caller, port = pair(envoys, identities, client=ONE_REQUEST)
        serials: set[str] = set()
        failures: list = []
        count = 0
        end = time.monotonic() + 20
        while time.monotonic() < end:
            status, headers, body = get(port)
            count += 1
            if status != 200:
                failures.append((count, status, body))
            serials.add(headers.get("x-caller-serial", ""))
        assert not failures, f"{len(failures)} of {count} requests failed: {failures[:3]}"
        assert count > 100 and len(serials) >= 3, (count, serials)
        assert web.stat("listener.*.server_ssl_socket_factory.ssl_context_update_by_sds") >= 3

    def test_plain_authorities_where_the_node_asks_for_them(self, identities, envoys):
        """Without the SPIFFE validator Envoy gets trusted_ca, and everything works the same."""
        plain = {"cluster: example}": "cluster: example, metadata: {disable_spiffe_cert_validation: true}}"}
        _, _, port = pair(envoys, identities, server=plain, client=plain)
        assert get(port)[0] == 200

    def test_an_identity_that_comes_later_is_found(self, short, envoys):
        """Envoy waits for its secret; it asks again after each refusal."""
        tls, plain = free_port(), free_port()
        socket = {"data/agent/api.sock": short.workload_socket}
        envoys("web", "server.yaml", {"8500": str(tls), **socket})
        envoys("caller", "client.yaml", {"8500": str(tls), "8501": str(plain), **socket})
        try:
            time.sleep(1)
            short.entry("/web")
            short.entry("/caller")
            eventually(lambda: get(plain)[0] == 200, "requests get through", within=30, ignore=(OSError,))
        finally:
            short.forget_entries()


class TestFederation:
    def test_a_caller_of_a_federated_trust_domain(self, identities, envoys, start):
        """The server takes all bundles and lets in an identity of the other trust domain; each side verifies the other
        with the bundle of that trust domain only."""
        other = start("other.test")
        for here, there in ((identities, other), (other, identities)):
            _trust(here, there)
        other.entry("/caller", federates_with=[DOMAIN])
        identities.forget_entries()
        identities.entry("/web", federates_with=["other.test"])
        other.wait_for_ids("/caller")
        identities.wait_for_ids("/web")
        all_bundles = {"name: ROOTCA": "name: ALL"}
        tls, plain = free_port(), free_port()
        web = envoys(
            "web",
            "server.yaml",
            {"8500": str(tls), "data/agent/api.sock": identities.workload_socket, **all_bundles,
             'exact: "spiffe://example.org/caller"': 'exact: "spiffe://other.test/caller"'},
        )  # fmt: skip
        caller = envoys(
            "caller",
            "client.yaml",
            {"8500": str(tls), "8501": str(plain), "data/agent/api.sock": other.workload_socket,
             "name: ROOTCA": 'name: "spiffe://example.org"', "name: spiffe://example.org/caller": "name: default"},
        )  # fmt: skip
        web.wait_live(), caller.wait_live()
        status, headers, _ = get(plain)
        assert status == 200 and headers["x-caller"] == "spiffe://other.test/caller"

    def test_rotation_under_traffic_between_trust_domains_fails_no_request(self, identities, envoys, start):
        """Both sides' SVIDs live for 8 s, and every request has a handshake of its own."""
        other = start("other.test", extra=["-defaultX509SVIDTTL", "8s"])
        for here, there in ((identities, other), (other, identities)):
            _trust(here, there)
        other.entry("/caller", federates_with=[DOMAIN])
        identities.forget_entries()
        identities.entry("/web", federates_with=["other.test"])
        other.wait_for_ids("/caller")
        identities.wait_for_ids("/web")
        tls, plain = free_port(), free_port()
        web = envoys(
            "web",
            "server.yaml",
            {"8500": str(tls), "data/agent/api.sock": identities.workload_socket, "name: ROOTCA": "name: ALL",
             'exact: "spiffe://example.org/caller"': 'exact: "spiffe://other.test/caller"'},
        )  # fmt: skip
        caller = envoys(
            "caller",
            "client.yaml",
            {"8500": str(tls), "8501": str(plain), "data/agent/api.sock": other.workload_socket,
             "name: ROOTCA": 'name: "spiffe://example.org"', "name: spiffe://example.org/caller": "name: default",
             **ONE_REQUEST},
        )  # fmt: skip
        web.wait_live(), caller.wait_live()
        serials: set[str] = set()
        failures: list = []
        count = 0
        end = time.monotonic() + 20
        while time.monotonic() < end:
            status, headers, body = get(plain)
            count += 1
            if status != 200 or headers["x-caller"] != "spiffe://other.test/caller":
                failures.append((count, status, body))
            serials.add(headers.get("x-caller-serial", ""))
        assert not failures, f"{len(failures)} of {count} requests failed: {failures[:3]}"
        assert count > 100 and len(serials) >= 3, (count, serials)
        assert web.stat("listener.*.server_ssl_socket_factory.ssl_context_update_by_sds") >= 3
        assert web.stat("listener.127.0.0.1_.*.ssl.fail_verify_error") == 0

    def test_each_trust_domain_speaks_for_itself_alone(self, identities, envoys):
        """The server lets in every ID, so that nothing but the bundles decides: those of the trust domains that its entry
        federates with, each for its own IDs. The control plane knows the third one too, but the entry does not."""
        one, two, three = (X509Authority(f"{name}.test") for name in ("one", "two", "three"))
        for authority in (one, two, three):
            _take_bundle(identities, authority.trust_domain, [der(authority.certificate)])
        identities.forget_entries()
        identities.entry("/web", federates_with=["one.test", "two.test"])
        identities.wait_for_ids("/web")
        port = free_port()
        web = envoys(
            "web",
            "server.yaml",
            {"8500": str(port), "data/agent/api.sock": identities.workload_socket, "name: ROOTCA": "name: ALL",
             'exact: "spiffe://example.org/caller"': 'prefix: "spiffe://"'},
        )  # fmt: skip
        web.wait_live()

        def knock(authority: X509Authority, id: str):
            return _knock(port, identities.roots, authority, id)

        def refused() -> int:
            return web.stat("listener.127.0.0.1_.*.ssl.fail_verify_error")

        for authority in (one, two):
            id = f"spiffe://{authority.trust_domain}/caller"
            assert knock(authority, id) == id
        assert refused() == 0
        cases = [
            (three, "spiffe://three.test/caller"),
            (three, "spiffe://one.test/caller"),
            (one, "spiffe://two.test/caller"),
            (one, "spiffe://three.test/caller"),
            (two, "spiffe://example.org/caller"),
            (two, "spiffe://nobody.test/caller"),
        ]
        for number, (authority, id) in enumerate(cases, 1):
            assert knock(authority, id) is None, f"a key of {authority.trust_domain} passed for {id}"
            assert refused() == number
        assert knock(one, "spiffe://one.test/caller") == "spiffe://one.test/caller"


def _knock(port: int, roots: list[bytes], authority: X509Authority, id: str):
    """One request with a certificate that `authority` has signed for `id`: whom the server saw, or None if it refused."""
    key = new_key()
    context = client_context(roots, authority.issue(key.public_key(), id, timedelta(hours=1)), key)
    context.set_alpn_protocols(["http/1.1"])
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as plain, context.wrap_socket(plain) as tls:
            tls.sendall(b"GET / HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n")
            reply = http.client.HTTPResponse(tls)
            reply.begin()
            assert reply.status == 200
            return reply.getheader("x-caller")
    # With TLS 1.3 the refusal comes after the client's own side of the handshake.
    except (ssl.SSLError, ConnectionError, http.client.RemoteDisconnected) as error:
        assert not isinstance(error, ssl.SSLCertVerificationError), "our own side must accept the server"
        return None


def _trust(here, there):
    """Gives one trust domain the other's bundle."""
    _take_bundle(here, there.name, there.roots)


def _take_bundle(here, name: str, authorities: list[bytes]) -> None:
    roots = [m.types.X509Certificate(asn1=der) for der in authorities]
    bundle = m.types.Bundle(trust_domain=name, x509_authorities=roots)
    call = here.admin.channel.unary_unary(
        "/spire.api.server.bundle.v1.Bundle/BatchSetFederatedBundle",
        lambda message: message.SerializeToString(),
        m.sds.SetFederatedBundlesReply.FromString,
    )
    (result,) = call(m.sds.SetFederatedBundles(bundle=[bundle]), timeout=20).results
    assert result.status.code == 0, result.status.message


class TestWire:
    """The protocol itself, with a client whose every field is the test's choice."""

    @pytest.fixture
    def api(self, identities):
        with identities.workload() as workload:
            yield workload.channel

    def test_no_names_gives_everything(self, identities, api):
        found = sds.secrets(sds.fetch(api, sds.request(node=sds.node())))
        assert set(found) == {"spiffe://example.org", "spiffe://example.org/web", "spiffe://example.org/caller"}
        assert sds.trust_domains(found["spiffe://example.org"])[DOMAIN] == identities.roots_pem

    def test_magic_names(self, identities, api):
        found = sds.secrets(sds.fetch(api, sds.request("default", "ROOTCA", "ALL", node=sds.node())))
        assert set(found) == {"default", "ROOTCA", "ALL"}
        certificate = found["default"].tls_certificate
        leaf = x509.load_pem_x509_certificates(certificate.certificate_chain.inline_bytes)[0]
        key = load_pem_private_key(certificate.private_key.inline_bytes, None)
        assert key.public_key().public_numbers() == leaf.public_key().public_numbers()
        assert list(sds.trust_domains(found["ALL"])) == [DOMAIN]

    @pytest.mark.parametrize(
        "node, spiffe",
        [
            (sds.node(), True),
            (sds.node(18), True),
            (sds.node(17), False),
            (sds.node(disable_spiffe_cert_validation=True), False),
            (sds.node(disable_spiffe_cert_validation="true"), False),
            (sds.node(disable_spiffe_cert_validation=False), True),
            (m.sds.Node(), False),
        ],
    )
    def test_the_validator_is_chosen_by_node(self, identities, api, node, spiffe):
        context = sds.secrets(sds.fetch(api, sds.request("ROOTCA", node=node)))["ROOTCA"].validation_context
        assert context.HasField("custom_validator_config") == spiffe
        assert (context.trusted_ca.inline_bytes == identities.roots_pem) == (not spiffe)
        if not spiffe:
            assert code_of(lambda: sds.fetch(api, sds.request("ALL", node=node))) == grpc.StatusCode.INVALID_ARGUMENT

    @pytest.mark.parametrize(
        "name", ["nobody", "spiffe://example.org/nobody", "spiffe://nobody.test", "example.org", "spiffe://"]
    )
    def test_an_unknown_name_is_refused(self, api, name):
        assert code_of(lambda: sds.fetch(api, sds.request("default", name))) == grpc.StatusCode.INVALID_ARGUMENT
        stream = sds.Stream(api)
        stream.send(sds.request(name, node=sds.node()))
        with pytest.raises(grpc.RpcError) as caught:
            stream.receive()
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT

    def test_another_type_is_refused(self, api):
        wrong = m.sds.DiscoveryRequest(type_url="type.googleapis.com/envoy.config.cluster.v3.Cluster")
        assert code_of(lambda: sds.fetch(api, wrong)) == grpc.StatusCode.INVALID_ARGUMENT

    def test_delta_is_not_offered(self, api):
        call = api.stream_stream(sds.SERVICE + "DeltaSecrets", bytes, bytes)
        assert code_of(lambda: list(call(iter([b""]), timeout=10))) == grpc.StatusCode.UNIMPLEMENTED

    def test_a_large_first_request(self, api):
        """Envoy 1.40 lists 516 extensions, 61 KB; here it is a megabyte."""
        node = sds.node()
        for number in range(10_000):
            node.extensions.add(name=f"envoy.extension.{number}", category="test", type_urls=["x" * 80])
        assert node.ByteSize() > 1_000_000
        stream = sds.Stream(api)
        stream.send(sds.request("default", node=node))
        assert set(sds.secrets(stream.receive())) == {"default"}
        stream.close()

    def test_too_many_names(self, api):
        names = [f"n{number}" for number in range(1001)]
        assert code_of(lambda: sds.fetch(api, sds.request(*names))) == grpc.StatusCode.INVALID_ARGUMENT

    def test_nonces_and_versions(self, api):
        stream = sds.Stream(api)
        stream.send(sds.request("ROOTCA", node=sds.node()))
        one = stream.receive()
        assert one.version_info == "1" and one.nonce and one.type_url == sds.TYPE
        # An acknowledgement is not answered, and a rotation of the SVID is no news for a bundle.
        stream.send(sds.request("ROOTCA", version_info="1", response_nonce=one.nonce))
        assert stream.is_quiet(1)
        # A stale nonce is ignored even if it asks for something else.
        stream.send(sds.request("default", version_info="1", response_nonce="0000"))
        assert stream.is_quiet(1)
        # Other names are answered, with what the first request said of the node.
        stream.send(sds.request("ALL", version_info="1", response_nonce=one.nonce))
        two = stream.receive()
        assert two.version_info == "2" and two.nonce != one.nonce
        assert sds.trust_domains(sds.secrets(two)["ALL"])
        # A rejection ends nothing and is not answered with the same again.
        problem = m.sds.Problem(code=13, message="cannot use it")
        stream.send(sds.request("ALL", version_info="1", response_nonce=two.nonce, error_detail=problem))
        assert stream.is_quiet(1)
        stream.send(sds.request("ROOTCA", version_info="1", response_nonce=two.nonce))
        assert set(sds.secrets(stream.receive())) == {"ROOTCA"}
        stream.close()

    def test_a_rotation_is_pushed(self, api):
        stream = sds.Stream(api)
        stream.send(sds.request("default", node=sds.node()))
        seen = {}
        nonce = ""
        while len(seen) < 3:
            reply = stream.receive()
            assert reply.nonce != nonce
            nonce = reply.nonce
            seen[reply.version_info] = sds.secrets(reply)["default"].tls_certificate.certificate_chain.inline_bytes
            stream.send(sds.request("default", version_info=reply.version_info, response_nonce=nonce))
        assert len(set(seen.values())) == 3 and list(seen) == ["1", "2", "3"]
        stream.close()

    def test_losing_everything_ends_the_stream(self, short):
        made = short.entry("/web")
        short.wait_for_ids("/web")
        with short.workload() as workload:
            stream = sds.Stream(workload.channel)
            stream.send(sds.request("default", node=sds.node()))
            stream.receive()
            short.admin.delete(made.id)
            with pytest.raises(grpc.RpcError) as caught:
                stream.receive()
            assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED
        short.forget_entries()

    def test_without_an_identity(self, short):
        with short.workload() as workload:
            asked = sds.request("ROOTCA", node=sds.node())
            assert code_of(lambda: sds.fetch(workload.channel, asked)) == grpc.StatusCode.PERMISSION_DENIED

    def test_keys_are_recorded_and_bundles_are_not(self, identities, api):
        def count() -> int:
            lines = identities.cli("log", "list", "-count", "100", "-type", "workload.attest", "-output", "json").stdout
            return lines.count("StreamSecrets")

        sds.fetch(api, sds.request("ROOTCA", node=sds.node()))
        before = count()
        sds.fetch(api, sds.request("default", node=sds.node()))
        eventually(lambda: count() == before + 1, "one record", within=10)


def test_every_stream_ends_with_its_client(identities):
    """Hundreds of streams that begin and go leave nothing behind that keeps the socket from answering."""
    for _ in range(100):
        with identities.workload() as workload:
            stream = sds.Stream(workload.channel)
            stream.send(sds.request("default", node=sds.node()))
            stream.receive()
            stream.close()
    assert identities.ids()
