"""Revocation with real processes: issuance, streams, tokens and certificates of the revoked end at once."""

import time

import grpc
import pytest
from cryptography import x509

from harness.polling import eventually
from stage.deployment import log_events, uid_selector


def serial(response) -> int:
    return x509.load_der_x509_certificate(response.svids[0].x509_svid).serial_number


def end_of(stream) -> grpc.StatusCode:
    """Reads on until the stream ends; how it ended."""
    with pytest.raises(grpc.RpcError) as ended:
        for _ in stream:
            pass
    return ended.value.code()


def test_a_revoked_agent_loses_stream_tokens_and_renewal_within_a_second_and_gets_them_back(deployment):
    domain = deployment("revoked.test")
    domain.entry("/refunds", [uid_selector()])
    domain.wait_for_ids("/refunds")
    identity = f"{domain.id}/refunds"
    with domain.workload() as api:
        stream = api.x509_svids(timeout=60)
        held = next(stream)
        token = api.jwt_svid(["shop"]).svids[0].svid
        assert api.validate("shop", token).spiffe_id == identity
        begin = time.monotonic()
        domain.cli("revoke", "-spiffeID", identity, "-reason", "stolen")
        assert end_of(stream) == grpc.StatusCode.PERMISSION_DENIED
        assert time.monotonic() - begin < 5, "by push, not by the next poll"
        with pytest.raises(grpc.RpcError) as refused:
            api.jwt_svid(["shop"])
        assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
        with pytest.raises(grpc.RpcError) as refused:
            api.validate("shop", token)
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    minted = domain.cli("jwt", "mint", "-spiffeID", identity, "-audience", "shop", check=False)
    assert minted.returncode == 1
    listed = domain.cli_json("revoke", "list")["items"]
    assert {(item["kind"], item["value"]) for item in listed} == {
        ("spiffe_id", identity), ("serial", f"{serial(held):032x}"),
    }  # fmt: skip

    domain.cli("unrevoke", "-spiffeID", identity)
    domain.wait_for_ids("/refunds")
    assert domain.cli_json("revoke", "list")["items"] == []
    events = [record["event"] for record in log_events(domain)]
    acts = [event for event in events if event["type"].startswith("revocation.") and event["phase"] == "outcome"]
    assert [act["type"] for act in acts] == ["revocation.add", "revocation.remove"]


def test_what_is_revoked_stays_revoked_over_restarts_of_both(deployment):
    domain = deployment("still-revoked.test")
    domain.entry("/refunds", [uid_selector()])
    domain.entry("/other", [uid_selector()])
    domain.wait_for_ids("/other", "/refunds")
    domain.cli("revoke", "-spiffeID", f"{domain.id}/refunds")
    domain.wait_for_ids("/other")
    before = int(domain.cli_json("revoke", "list")["sequence"])
    domain.end(domain.agent, 9)
    domain.end(domain.server, 9)
    domain.start_server()
    domain.start_agent()
    domain.wait_for_ids("/other")
    assert int(domain.cli_json("revoke", "list")["sequence"]) > before
    domain.cli("unrevoke", "-spiffeID", f"{domain.id}/refunds")
    domain.wait_for_ids("/other", "/refunds")


def test_a_revoked_certificate_is_replaced_and_named_in_the_crl(deployment):
    domain = deployment("serial.test")
    domain.entry("/refunds", [uid_selector()])
    domain.wait_for_ids("/refunds")
    with domain.workload() as api:
        stream = api.x509_svids(timeout=60)
        first = next(stream)
        assert not first.crl
        revoked = serial(first)
        domain.cli("revoke", "-serial", f"{revoked:032x}")

        def replaced():
            response = next(stream)
            return response if serial(response) != revoked and response.crl else None

        response = eventually(replaced, "another certificate and a CRL")
        crl = x509.load_der_x509_crl(response.crl[0])
        assert crl.get_revoked_certificate_by_serial_number(revoked) is not None
        issuer = x509.load_der_x509_certificate(response.svids[0].bundle)
        assert crl.is_signature_valid(issuer.public_key())
        assert crl.issuer == issuer.subject
