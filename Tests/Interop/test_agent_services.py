"""What else the node agent's socket serves: health, reflection, bundles without identity, limits; and files."""

import os
import stat
import subprocess
import time

import grpc
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from harness import domain as shield
from harness.polling import eventually
from harness.process import Process
from wire import messages as m
from wire import sds
from wire.admin import entry
from wire.workload import first

SERVICES = {
    "SpiffeWorkloadAPI",
    "agentshield.agent.v1.Launch",
    "agentshield.workload.v1.Revocation",
    "envoy.service.secret.v3.SecretDiscoveryService",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
}


def code_of(call) -> grpc.StatusCode:
    try:
        call()
        return grpc.StatusCode.OK
    except grpc.RpcError as error:
        return error.code()


class TestHealthAndReflection:
    """None of them needs the security header, nor an identity."""

    @pytest.mark.parametrize("service", ["", "SpiffeWorkloadAPI", "envoy.service.secret.v3.SecretDiscoveryService"])
    def test_health(self, up, service):
        with up.workload() as workload:
            reply = workload.health.Check(m.health.HealthCheckRequest(service=service), timeout=10)
            assert reply.status == m.health.HealthCheckResponse.SERVING

    def test_reflection_lists_and_describes(self, up):
        with up.workload() as workload:
            database = ProtoReflectionDescriptorDatabase(workload.channel)
            assert set(database.get_services()) == SERVICES
            pool = DescriptorPool(database)
            api = pool.FindServiceByName("SpiffeWorkloadAPI")
            assert {method.name for method in api.methods} >= {"FetchX509SVID", "FetchJWTSVID", "ValidateJWTSVID"}
            assert pool.FindMessageTypeByName("X509SVIDResponse").fields_by_number[1].name == "svids"
            for ours, method in (("agentshield.agent.v1.Launch", "Hold"), ("agentshield.workload.v1.Revocation", "Watch")):
                assert pool.FindServiceByName(ours).methods_by_name[method].server_streaming
            discovery = pool.FindServiceByName("envoy.service.secret.v3.SecretDiscoveryService")
            assert discovery.methods_by_name["StreamSecrets"].input_type.fields_by_number[6].name == "error_detail"
            secret = pool.FindMessageTypeByName("envoy.extensions.transport_sockets.tls.v3.Secret")
            assert secret.fields_by_number[4].name == "validation_context"

    def test_reflection_v1_is_the_same(self, up):
        """The messages of both versions are equal on the wire."""
        asked = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol="no.such.Thing"),
            reflection_pb2.ServerReflectionRequest(file_by_filename="workload.proto"),
            reflection_pb2.ServerReflectionRequest(),
        ]
        with up.workload() as workload:
            one = workload.channel.stream_stream(
                "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                lambda message: message.SerializeToString(),
                reflection_pb2.ServerReflectionResponse.FromString,
            )
            replies = list(one(iter(asked), timeout=10))
            alpha = reflection_pb2_grpc.ServerReflectionStub(workload.channel)
            assert replies == list(alpha.ServerReflectionInfo(iter(asked), timeout=10))
        assert {service.name for service in replies[0].list_services_response.service} == SERVICES
        assert replies[1].error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
        assert replies[2].file_descriptor_response.file_descriptor_proto
        assert replies[3].error_response.error_code == grpc.StatusCode.INVALID_ARGUMENT.value[0]


class TestSwitches:
    def test_bundles_without_identity(self, start):
        domain = start("verifiers.test", extra=["-allowUnauthenticatedVerifiers"])
        with domain.workload() as workload:
            assert list(first(workload.x509_bundles()).bundles) == [domain.id]
            assert list(first(workload.jwt_bundles()).bundles) == [domain.id]
            found = sds.secrets(sds.fetch(workload.channel, sds.request("ROOTCA", node=sds.node())))
            assert sds.trust_domains(found["ROOTCA"])["verifiers.test"] == domain.roots_pem
            # Bundles, and nothing else.
            assert code_of(lambda: first(workload.x509_svids())) == grpc.StatusCode.PERMISSION_DENIED
            assert code_of(lambda: workload.jwt_svid(["a"])) == grpc.StatusCode.PERMISSION_DENIED
            wanted = sds.request("default", node=sds.node())
            assert code_of(lambda: sds.fetch(workload.channel, wanted)) == grpc.StatusCode.INVALID_ARGUMENT

    def test_other_names_for_secrets(self, start):
        domain = start(
            "names.test",
            extra=["-sdsDefaultSVIDName", "me", "-sdsDefaultBundleName", "us", "-sdsDefaultAllBundlesName", "them",
                   "-sdsDisableSPIFFECertValidation"],
        )  # fmt: skip
        domain.entry("/web")
        domain.wait_for_ids("/web")
        with domain.workload() as workload:
            found = sds.secrets(sds.fetch(workload.channel, sds.request("me", "us", node=sds.node())))
            assert found["us"].validation_context.trusted_ca.inline_bytes == domain.roots_pem
            for name in ("default", "ROOTCA", "ALL", "them"):
                asked = sds.request(name, node=sds.node())
                assert code_of(lambda: sds.fetch(workload.channel, asked)) == grpc.StatusCode.INVALID_ARGUMENT

    def test_calls_per_second(self, start):
        domain = start("limits.test", extra=["-callsPerSecond", "20"])
        domain.entry("/web")
        domain.wait_for_ids("/web")
        time.sleep(1.1)
        with domain.workload() as workload:
            codes = [code_of(lambda: first(workload.x509_svids())) for _ in range(60)]
            assert codes[0] == grpc.StatusCode.OK and grpc.StatusCode.UNAVAILABLE in codes
            assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
            # Health stays, and the caller comes back.
            workload.health.Check(m.health.HealthCheckRequest(), timeout=10)
            time.sleep(1.1)
            assert code_of(lambda: first(workload.x509_svids())) == grpc.StatusCode.OK

    @pytest.mark.parametrize(
        "flags", [["-callsPerSecond", "-1"], ["-sdsDefaultSVIDName", "ROOTCA"], ["-sdsDefaultBundleName", "ALL"]]
    )
    def test_wrong_values_are_refused_before_anything_starts(self, tmp_path, flags):
        done = shield.run_cli("up", "-trustDomain", "x.test", "-dataDir", tmp_path / "d", *flags, check=False)
        assert done.returncode == 1 and done.stderr.startswith("agentshield: ")


def test_claims_of_another_trust_domain_are_filtered(start, tmp_path):
    """Validation shows sub, aud and exp of a foreign token, and what the operator named; also of claims by rules."""
    rules = tmp_path / "claims.yaml"
    rules.write_text("claims: [{for: /**, add: {team: '{path[1]}', groups: [admins]}}]\n")
    home = start("home.test", extra=["-allowedForeignJWTClaims", "iat", "-allowedForeignJWTClaims", "team"])
    strict = start("strict.test")
    away = start("away.test", extra=["-config", str(rules)])
    away.entry("/caller")
    away.wait_for_ids("/caller")
    with away.workload() as workload:
        token = workload.jwt_svid(["home"]).svids[0].svid
        own = workload.validate("home", token)
        assert {"sub", "aud", "exp", "iat", "team", "groups"} <= set(own.claims.fields)
        keys = first(workload.jwt_bundles()).bundles[away.id]
    for domain, wanted in ((home, {"sub", "aud", "exp", "iat", "team"}), (strict, {"sub", "aud", "exp"})):
        _trust(domain, away.name, keys)
        domain.entry("/verifier", federates_with=[away.name])
        domain.wait_for_ids("/verifier")
        with domain.workload() as workload:
            reply = eventually(
                lambda: workload.validate("home", token), "the bundle is there", ignore=(grpc.RpcError,)
            )
            assert reply.spiffe_id == "spiffe://away.test/caller" and set(reply.claims.fields) == wanted


def _trust(domain, name: str, jwks: bytes) -> None:
    import json

    from cryptography.hazmat.primitives import serialization

    keys = []
    for key in json.loads(jwks)["keys"]:
        public = jwt.PyJWK(key, algorithm="ES256").key
        spki = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        keys.append(m.types.JWTKey(public_key=spki, key_id=key["kid"]))
    call = domain.admin.channel.unary_unary(
        "/spire.api.server.bundle.v1.Bundle/BatchSetFederatedBundle",
        lambda message: message.SerializeToString(),
        m.sds.SetFederatedBundlesReply.FromString,
    )
    bundle = m.types.Bundle(trust_domain=name, jwt_authorities=keys)
    (result,) = call(m.sds.SetFederatedBundles(bundle=[bundle]), timeout=20).results
    assert result.status.code == 0, result.status.message


def mode(path) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def pair_of(folder):
    """Certificate and key of one state, by its directory: opened once, so that no swap comes between."""
    state = os.open(folder / ".current", os.O_RDONLY | os.O_DIRECTORY)
    try:

        def read(name: str) -> bytes:
            with open(os.open(name, os.O_RDONLY, dir_fd=state), "rb") as file:
                return file.read()

        return x509.load_pem_x509_certificates(read("svid.pem"))[0], load_pem_private_key(read("svid.key"), None)
    finally:
        os.close(state)


def subject(folder) -> str:
    leaf, _ = pair_of(folder)
    (uri,) = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return uri.value


@pytest.fixture(scope="module")
def short():
    # Half of its life is left at rotation: time for a signature on a busy machine, and for a second attempt.
    domain = shield.start_up("files.test", extra=["-defaultX509SVIDTTL", "16s", "-defaultJWTSVIDTTL", "1h"])
    domain.entry("/app")
    domain.wait_for_ids("/app")
    yield domain
    domain.discard()


class TestFiles:
    def test_once(self, short, tmp_path):
        folder = tmp_path / "svid"
        done = shield.run_cli(
            "svid", "watch", "-once", "-dir", folder, "-jwtAudience", "api", "-jwtAudience", "other",
            "-exec", f"test -e {folder}/svid.pem && touch {tmp_path}/told", "-socketPath", short.workload_socket,
        )  # fmt: skip
        assert done.stdout == "" and (tmp_path / "told").exists()
        shown = {name for name in os.listdir(folder) if not name.startswith(".")}
        assert shown == {"svid.pem", "svid.key", "bundle.pem", "jwt_svid.token", "jwt_svid.1.token"}
        for name in ("svid.key", "jwt_svid.token", "jwt_svid.1.token"):
            assert mode(folder / name) == 0o600
        assert (folder / "bundle.pem").read_bytes() == short.roots_pem
        leaf, key = pair_of(folder)
        assert key.public_key().public_numbers() == leaf.public_key().public_numbers()
        token = (folder / "jwt_svid.token").read_text()
        assert not token[-1].isspace()
        claims = jwt.decode(token, options={"verify_signature": False})
        assert claims["sub"] == "spiffe://files.test/app" and claims["aud"] == ["api"]
        assert claims["exp"] - time.time() > 15 * 60
        assert jwt.decode((folder / "jwt_svid.1.token").read_text(), options={"verify_signature": False})["aud"] == ["other"]

    def test_watch_swaps_pairs_that_belong_together(self, short, tmp_path):
        """A reader that never stops sees no mixture, and the program is told of every change by signal and command."""
        folder = tmp_path / "svid"
        told = tmp_path / "told"
        receiver = subprocess.Popen(
            ["sh", "-c", f"trap 'echo hup >> {tmp_path}/signals' HUP; echo up > {tmp_path}/ready; while :; do sleep 0.1; done"]
        )
        (tmp_path / "pid").write_text(f"{receiver.pid}\n")
        eventually(lambda: (tmp_path / "ready").exists(), "the receiver runs")
        watch = Process(
            "watch",
            [shield.default_binary(), "svid", "watch", "-dir", folder, "-exec", f"echo x >> {told}",
             "-signal", "HUP", "-pidFile", tmp_path / "pid", "-socketPath", short.workload_socket],
            tmp_path,
        )  # fmt: skip
        try:
            eventually(lambda: (folder / "svid.pem").exists() and (folder / "svid.key").exists(), "files", within=20)
            serials = set()
            end = time.monotonic() + 60
            while len(serials) < 3 and time.monotonic() < end:
                leaf, key = pair_of(folder)
                assert key.public_key().public_numbers() == leaf.public_key().public_numbers()
                assert leaf.not_valid_after_utc.timestamp() > time.time()
                serials.add(leaf.serial_number)
            assert len(serials) == 3
            for news in (told, tmp_path / "signals"):
                eventually(lambda: len(news.read_text().split()) >= 3, f"three in {news.name}", ignore=(OSError,))
            states = [name for name in os.listdir(folder) if name.startswith(".state-")]
            assert len(states) <= 3
        finally:
            receiver.kill()
            receiver.wait()
            watch.stop()

    def test_an_identity_that_is_withdrawn_does_not_stay_on_the_disk(self, tmp_path):
        domain = shield.start_up("gone.test")
        try:
            app, other = (domain.admin.create_one(
                entry(domain.id + path, domain.id + shield.ANY_NODE, [f"unix:uid:{os.geteuid()}"])
            ) for path in ("/app", "/other"))  # fmt: skip
            domain.wait_for_ids("/app", "/other")
            watches, folders = [], []
            for name, flags in (("any", []), ("one", ["-spiffeID", f"{domain.id}/app"])):
                folders.append(tmp_path / name)
                watches.append(
                    Process(
                        name,
                        [shield.default_binary(), "svid", "watch", "-dir", folders[-1], "-jwtAudience", "api",
                         "-socketPath", domain.workload_socket, *flags],
                        tmp_path,
                    )
                )  # fmt: skip
            try:
                for folder in folders:
                    eventually(lambda folder=folder: (folder / "jwt_svid.token").exists(), "files", within=20)
                # One of two identities goes: whoever wants that one has nothing, whoever takes any has the other.
                domain.admin.delete(app.id)
                eventually(lambda: os.listdir(folders[1]) == [], "nothing is left of it", within=20)
                eventually(
                    lambda: subject(folders[0]) == f"{domain.id}/other", "the other", within=20, ignore=(OSError,)
                )
                domain.admin.delete(other.id)
                eventually(lambda: os.listdir(folders[0]) == [], "nothing is left", within=20)
                # The folder stays, and so does the command: the identity comes back.
                domain.entry("/app")
                for folder in folders:
                    eventually(lambda folder=folder: (folder / "jwt_svid.token").exists(), "files again", within=60)
                domain.forget_entries()
                done = shield.run_cli(
                    "svid", "watch", "-once", "-dir", folders[0], "-socketPath", domain.workload_socket, check=False
                )
                assert done.returncode == 1 and os.listdir(folders[0]) == []
            finally:
                for watch in watches:
                    watch.stop()
        finally:
            domain.discard()

    def test_without_an_identity_nothing_is_written(self, short, tmp_path):
        done = shield.run_cli(
            "svid", "watch", "-once", "-dir", tmp_path / "svid", "-spiffeID", "spiffe://files.test/other",
            "-socketPath", short.workload_socket, check=False,
        )  # fmt: skip
        assert done.returncode == 1 and "spiffe://files.test/other" in done.stderr
        assert [name for name in os.listdir(tmp_path / "svid")] == []

    def test_a_directory_that_others_can_write_to_is_refused(self, short, tmp_path):
        (tmp_path / "open").mkdir()
        (tmp_path / "open").chmod(0o777)
        done = shield.run_cli(
            "svid", "watch", "-once", "-dir", tmp_path / "open", "-socketPath", short.workload_socket, check=False
        )
        assert done.returncode == 1

    @pytest.mark.parametrize("flags", [["-signal", "HUP"], ["-pidFile", "x"], ["-signal", "KILL", "-pidFile", "x"]])
    def test_flags_that_do_not_fit(self, tmp_path, flags):
        done = shield.run_cli("svid", "watch", "-dir", tmp_path / "d", *flags, check=False)
        assert done.returncode == 1

    def test_it_outlives_the_node_agent(self, tmp_path):
        """The files stay while the agent is away, and go on when it is back."""
        domain = shield.start_up("back.test", folder=shield.temporary_folder(), extra=["-defaultX509SVIDTTL", "60s"])
        folder = tmp_path / "svid"
        try:
            domain.entry("/app")
            domain.wait_for_ids("/app")
            watch = Process(
                "watch",
                [shield.default_binary(), "svid", "watch", "-dir", folder, "-socketPath", domain.workload_socket],
                tmp_path,
            )
            eventually(lambda: (folder / "svid.key").exists(), "files", within=20)
            before, _ = pair_of(folder)
            assert domain.stop() == [0]
            assert pair_of(folder)[0] == before
            again = shield.start_up("back.test", folder=domain.folder, extra=["-defaultX509SVIDTTL", "60s"])
            try:
                eventually(lambda: pair_of(folder)[0] != before, "a new certificate", within=60)
                assert watch.popen.poll() is None
            finally:
                again.stop()
                watch.stop()
        finally:
            domain.discard()
