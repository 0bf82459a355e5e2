"""Forced rotation: prepare, activate, taint, everything is re-issued within seconds, revoke, the old root is gone."""

import json
import subprocess
import time

import grpc
import jwt
import pytest
from spiffe import WorkloadApiClient

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from harness import rules
from harness.domain import CommandFailed, run_cli
from harness.polling import eventually
from stage.deployment import Deployment, log_events, uid_selector
from wire import messages as m

WITHIN = 10
"""Seconds in which everything has to be re-issued. It is a matter of milliseconds; machines of tests are busy."""


@pytest.fixture(scope="module")
def domain():
    # Long lives: nothing here rotates by its own schedule.
    domain = Deployment("forced.test").start()
    try:
        yield domain
    finally:
        domain.discard()


def authority(domain, kind: str, act: str, *flags: str) -> dict:
    return domain.cli_json("localauthority", kind, act, *flags)


def refused(domain, kind: str, act: str, *flags: str) -> str:
    with pytest.raises(CommandFailed) as failure:
        authority(domain, kind, act, *flags)
    return failure.value.stderr


def code_of(domain, method: str, authority_id: str) -> grpc.StatusCode:
    """What the raw call answers; the request has one field, a string of number 1."""
    field = authority_id.encode()
    body = b"\x0a" + bytes([len(field)]) + field if field else b""
    with grpc.insecure_channel(f"unix:{domain.admin_socket}") as channel:
        call = channel.unary_unary(f"/spire.api.server.localauthority.v1.LocalAuthority/{method}")
        try:
            call(body, timeout=20)
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK


def node_issuer_key(domain) -> bytes:
    """The authority key identifier of the node agent's own certificate, as it lies on the disk."""
    pem = (domain.folder / "agent" / "svid.pem").read_bytes()
    leaf = x509.load_pem_x509_certificates(pem[pem.index(b"-----BEGIN CERTIFICATE") :])[0]
    return leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier


def issuer_key(leaf: x509.Certificate) -> str:
    return leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier.hex()


def test_forced_rotation_of_the_certificate_authority(domain):
    entries = [domain.entry(f"/forced/{number}", [uid_selector()]) for number in range(20)]
    domain.wait_for_ids(*(f"/forced/{number}" for number in range(20)))
    before = authority(domain, "x509", "show")
    old = before["active"]["authority_id"]
    assert before["prepared"] is None and before["old"] is None

    # The wrong order is refused, and nothing changes.
    for act in ("taint", "revoke"):
        assert "active" in refused(domain, "x509", act, "-authorityID", old)
        assert code_of(domain, f"{act.capitalize()}X509Authority", old) == grpc.StatusCode.FAILED_PRECONDITION
        assert code_of(domain, f"{act.capitalize()}X509Authority", "") == grpc.StatusCode.INVALID_ARGUMENT
        assert code_of(domain, f"{act.capitalize()}X509Authority", "00") == grpc.StatusCode.INVALID_ARGUMENT
    assert code_of(domain, "ActivateX509Authority", old) == grpc.StatusCode.FAILED_PRECONDITION
    assert authority(domain, "x509", "show") == before

    prepared = authority(domain, "x509", "prepare")["prepared_authority"]["authority_id"]
    assert prepared != old
    for act in ("taint", "revoke"):
        assert code_of(domain, f"{act.capitalize()}X509Authority", prepared) == grpc.StatusCode.FAILED_PRECONDITION
    assert issuer_key_of_all(domain) == {old}, "a prepared authority does not sign"
    assert authority(domain, "x509", "activate", "-authorityID", prepared)["activated_authority"]["authority_id"] == prepared
    now = authority(domain, "x509", "show")
    assert (now["active"]["authority_id"], now["old"]["authority_id"]) == (prepared, old)
    assert code_of(domain, "RevokeX509Authority", old) == grpc.StatusCode.FAILED_PRECONDITION, "not tainted yet"
    assert issuer_key_of_all(domain) == {old}, "what is signed stays until it is tainted"
    assert node_issuer_key(domain).hex() == old

    began = time.monotonic()
    authority(domain, "x509", "taint", "-authorityID", old)
    eventually(lambda: issuer_key_of_all(domain) == {prepared}, "every SVID is re-issued", within=WITHIN)
    print(f"taint to {len(entries)} new SVIDs in hand: {(time.monotonic() - began) * 1000:.0f} ms")
    eventually(lambda: node_issuer_key(domain).hex() == prepared, "the node agent's SVID too", within=WITHIN)
    print(f"taint to the node agent's new SVID: {(time.monotonic() - began) * 1000:.0f} ms")
    assert code_of(domain, "TaintX509Authority", old) == grpc.StatusCode.FAILED_PRECONDITION, "tainted already"
    assert subject_keys(domain) == {old, prepared}, "a tainted root still verifies"
    # The bundle on the wire says so.
    wire = domain.cli_json("bundle", "show")["x509_authorities"]
    assert sorted(item["tainted"] for item in wire) == [False, True]

    authority(domain, "x509", "revoke", "-authorityID", old)
    eventually(lambda: subject_keys(domain) == {prepared}, "the old root is gone from the Workload API", within=WITHIN)
    assert len(domain.cli_json("bundle", "show")["x509_authorities"]) == 1
    assert authority(domain, "x509", "show")["old"] is None
    assert issuer_key_of_all(domain) == {prepared}
    # The node agent goes on, with its new SVID: a change still reaches the workload.
    domain.entry("/forced/after", [uid_selector()])
    domain.wait_for_ids("/forced/after", *(f"/forced/{number}" for number in range(20)))
    domain.forget_entries()


def contexts(domain):
    with WorkloadApiClient(socket_path=domain.endpoint) as client:
        return client.fetch_x509_context()


def issuer_key_of_all(domain) -> set[str]:
    return {issuer_key(svid.leaf) for svid in contexts(domain).x509_svids}


def subject_keys(domain) -> set[str]:
    from spiffe import TrustDomain

    with WorkloadApiClient(socket_path=domain.endpoint) as client:
        bundle = client.fetch_x509_bundles().get_bundle_for_trust_domain(TrustDomain(domain.name))
    return {
        root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex()
        for root in bundle.x509_authorities
    }


def test_forced_rotation_of_the_jwt_key(domain):
    domain.entry("/token", [uid_selector()])
    domain.wait_for_ids("/token")

    def kid(audience="same") -> str:
        with WorkloadApiClient(socket_path=domain.endpoint) as client:
            return jwt.get_unverified_header(client.fetch_jwt_svid(audience={audience}).token)["kid"]

    old = authority(domain, "jwt", "show")["active"]["authority_id"]
    assert kid() == old
    prepared = authority(domain, "jwt", "prepare")["prepared_authority"]["authority_id"]
    authority(domain, "jwt", "activate", "-authorityID", prepared)
    assert kid() == old, "from the cache"
    authority(domain, "jwt", "taint", "-authorityID", old)
    eventually(lambda: kid() == prepared, "a cached token of a tainted key is dropped", within=WITHIN)
    authority(domain, "jwt", "revoke", "-authorityID", old)

    def kids() -> set[str]:
        with domain.workload() as api:
            message = next(iter(api.jwt_bundles(timeout=5)))
        return {key["kid"] for key in json.loads(message.bundles[domain.id])["keys"]}

    eventually(lambda: kids() == {prepared}, "the old key is gone from the JWT bundle", within=WITHIN)
    domain.forget_entries()


def test_the_log_names_every_act_and_every_refusal(domain):
    """Runs after the two above"""
    acts = [
        (item["event"]["type"], item["event"]["phase"], item["event"]["decision"]["result"])
        for item in log_events(domain)
        if item["event"]["type"].startswith("authority.")
        and item["event"]["agent"].get("authMethod", item["event"]["agent"].get("auth_method")) == "unix_socket"
    ]
    for act in ("prepare", "activate", "taint", "revoke"):
        assert acts.count((f"authority.{act}", "intent", "permit")) == 2
        assert acts.count((f"authority.{act}", "outcome", "permit")) == 2
    assert ("authority.taint", "single", "deny") in acts
    assert ("authority.revoke", "single", "deny") in acts
    assert run_cli("log", "verify", "-socketPath", domain.admin_socket).returncode == 0
