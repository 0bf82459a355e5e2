"""An authority of 60 s and SVIDs of 10 s, fetched every 3 s: each valid, no gap, across a change of the authority."""

import datetime

import jwt
import pytest
from cryptography import x509

from harness import rules
from harness.polling import eventually
from stage.deployment import log_events
from stage.rotation import SAMPLES

pytestmark = [pytest.mark.long, pytest.mark.together("rotation")]


def test_every_sample_is_valid_and_the_authority_changed(rotation_watch):
    samples = rotation_watch.wait()
    issuers = [rules.check_signed_by(sample.leaf, sample.roots) for sample in samples]
    serials = {issuer.serial_number for issuer in issuers}
    assert len(serials) >= 2, "the authority that signs changed at least once"
    order = list(dict.fromkeys(issuer.serial_number for issuer in issuers))
    assert len(order) == len(serials), "an authority that was replaced never signs again"
    assert len({sample.leaf.serial_number for sample in samples}) >= SAMPLES * 3 // 10, "SVIDs of 10 s were renewed"


def test_the_next_authority_is_in_the_bundle_before_it_signs(rotation_watch):
    """Prepared at half of life, so that no verifier meets a signer it has not heard of"""
    samples = rotation_watch.wait()
    for before, after in zip(samples, samples[1:]):
        issuer = rules.check_signed_by(after.leaf, after.roots)
        assert issuer in before.roots, f"at {after.at:.0f} s the signer was not in the bundle 3 s before"


def test_an_svid_verifies_with_the_next_samples_bundle_too(rotation_watch):
    samples = rotation_watch.wait()
    for before, after in zip(samples, samples[1:]):
        rules.check_signed_by(before.leaf, after.roots)


def test_no_leaf_outlives_its_authority(rotation_watch):
    for sample in rotation_watch.wait():
        issuer = rules.check_signed_by(sample.leaf, sample.roots)
        assert sample.leaf.not_valid_after_utc <= issuer.not_valid_after_utc


def test_every_token_verifies_with_the_keys_of_the_moment(rotation_watch):
    for sample in rotation_watch.wait():
        keys = rules.check_jwt_bundle(sample.jwks)
        header, claims = rules.jwt_parts(sample.token)
        jwt.decode(
            sample.token,
            jwt.PyJWK(keys[header["kid"]]).key,
            algorithms=["ES256"],
            audience="watch",
            options={"verify_exp": False},
        )
        assert claims["exp"] > claims["iat"]


def test_the_held_stream_was_never_without_a_valid_svid(rotation_watch):
    """Every pushed SVID begins before its predecessor ends"""
    rotation_watch.wait()
    leaves = [
        x509.load_der_x509_certificate(rules.split_der(message.svids[0].x509_svid)[0])
        for message in list(rotation_watch.pushed)
    ]
    rotated = list({leaf.serial_number: leaf for leaf in leaves}.values())
    assert len(rotated) >= 4
    for before, after in zip(rotated, rotated[1:]):
        # notBefore is set 10 s back; the certificate was made after that.
        made = after.not_valid_before_utc + datetime.timedelta(seconds=10)
        assert made < before.not_valid_after_utc, "the next SVID came after the previous one had ended"


def test_the_log_says_what_happened_and_verifies(rotation_watch):
    rotation_watch.wait()
    domain = rotation_watch.domain
    done = [
        (item["event"]["type"], item["event"]["resource"]["kind"])
        for item in log_events(domain)
        if item["event"]["phase"] == "outcome" and item["event"]["type"].startswith("authority.")
    ]
    for kind in ("x509-authority", "jwt-authority"):
        assert done.count(("authority.prepare", kind)) >= 2
        assert done.count(("authority.activate", kind)) >= 2
    eventually(lambda: domain.cli("log", "verify").returncode == 0, "the log verifies")
