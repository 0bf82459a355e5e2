"""openssl as a judge that knows nothing of SPIFFE: strict RFC 5280 checks on what is handed out."""

import datetime
import inspect
import shutil
import subprocess

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from harness import rules
from wire import messages as m
from wire.admin import entry
from wire.keys import csr, der_to_pem, new_key, uri_sans
from wire.spire_agent import Identity
from wire.workload import first

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command")


def openssl(*arguments, check: bool = True, text_in: str = "") -> subprocess.CompletedProcess:
    # s_client shows what the server sends first, which is binary HTTP/2.
    done = subprocess.run(
        ["openssl", *map(str, arguments)], capture_output=True, text=True, errors="replace", timeout=30, input=text_in
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture
def files(registry, tmp_path):
    """An SVID of the Workload API as PEM files: leaf, chain, key, bundle."""
    registry.entry("/openssl", dns_names=["openssl.test"])
    registry.wait_for_ids("/openssl")
    with registry.workload() as api:
        (svid,) = first(api.x509_svids()).svids
    chain = rules.split_der(svid.x509_svid)
    paths = {name: tmp_path / f"{name}.pem" for name in ("leaf", "chain", "key", "bundle")}
    paths["leaf"].write_bytes(der_to_pem(chain[:1]))
    paths["chain"].write_bytes(der_to_pem(chain))
    paths["bundle"].write_bytes(der_to_pem(rules.split_der(svid.bundle)))
    der = tmp_path / "key.der"
    der.write_bytes(svid.x509_svid_key)
    openssl("pkcs8", "-inform", "DER", "-nocrypt", "-in", der, "-out", paths["key"])
    return paths


@pytest.mark.parametrize("purpose", ["sslclient", "sslserver"])
def test_a_leaf_verifies_strictly_for_both_purposes(files, purpose):
    """RFC 5280 §6 and OpenSSL's -x509_strict: key identifiers, criticality, CA bits, serial numbers"""
    openssl(
        "verify", "-x509_strict", "-check_ss_sig", "-policy_check", "-purpose", purpose,
        "-CAfile", files["bundle"], "-untrusted", files["chain"], files["leaf"],
    )  # fmt: skip


def test_the_authority_verifies_strictly(files):
    openssl("verify", "-x509_strict", "-check_ss_sig", "-CAfile", files["bundle"], files["bundle"])


@pytest.mark.parametrize("purpose", ["smimesign", "codesign"])
def test_a_leaf_is_for_nothing_else(files, purpose):
    done = openssl("verify", "-purpose", purpose, "-CAfile", files["bundle"], files["leaf"], check=False)
    assert done.returncode != 0


def test_a_leaf_does_not_verify_with_another_root(files, start, tmp_path):
    stranger = start("stranger.test", only_server=True)
    other = tmp_path / "other.pem"
    other.write_bytes(stranger.roots_pem)
    assert openssl("verify", "-CAfile", other, files["leaf"], check=False).returncode != 0


def test_the_extensions_as_openssl_reads_them(registry, files):
    text = openssl(
        "x509", "-in", files["leaf"], "-noout", "-ext",
        "basicConstraints,keyUsage,extendedKeyUsage,subjectAltName,authorityKeyIdentifier,subjectKeyIdentifier",
    ).stdout  # fmt: skip
    assert "Basic Constraints: critical\n    CA:FALSE" in text
    usage = text.split("Key Usage: critical\n", 1)[1].splitlines()[0]
    assert "Digital Signature" in usage and "Certificate Sign" not in usage and "CRL Sign" not in usage
    assert "TLS Web Server Authentication" in text and "TLS Web Client Authentication" in text
    assert f"URI:{registry.id}/openssl" in text and text.count("URI:") == 1 and "DNS:openssl.test" in text


def test_the_key_belongs_to_the_leaf(files):
    leaf = openssl("x509", "-in", files["leaf"], "-noout", "-pubkey").stdout
    assert openssl("pkey", "-in", files["key"], "-pubout").stdout == leaf
    assert openssl("pkey", "-in", files["key"], "-check", "-noout").stdout.startswith("Key is valid")


def test_s_client_completes_a_handshake_with_the_node_api(registry, files, tmp_path):
    roots = tmp_path / "roots.pem"
    roots.write_bytes(registry.roots_pem)
    done = openssl(
        "s_client", "-connect", registry.node_api, "-alpn", "h2", "-CAfile", roots, "-x509_strict",
        "-verify_return_error", "-cert", files["chain"], "-key", files["key"], "-brief",
    )  # fmt: skip
    report = done.stdout + done.stderr
    assert "Verification: OK" in report and "TLSv1.3" in report


def test_a_minted_svid_from_the_command_line_verifies(registry, files, tmp_path):
    """`x509 mint -write DIR`: what the command leaves on disk is what openssl takes"""
    registry.cli("x509", "mint", "-spiffeID", f"{registry.id}/minted", "-ttl", "5m", "-write", tmp_path)
    written = sorted(p.name for p in tmp_path.iterdir())
    assert {"svid.pem", "key.pem", "bundle.pem"} <= set(written), written
    openssl(
        "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", tmp_path / "bundle.pem",
        "-untrusted", tmp_path / "svid.pem", tmp_path / "svid.pem",
    )  # fmt: skip
    assert (tmp_path / "key.pem").stat().st_mode & 0o077 == 0


def test_a_downstream_authority_and_what_it_signs_verify(start, tmp_path):
    """What a nested server does: its authority comes from ours, and an SVID that it signs leads to our root"""
    domain = start("upper.test", only_server=True)
    with domain.spire_agent() as node:
        node.attest(domain.admin.join_token().encode())
        made = domain.admin.create_one(entry(f"{domain.id}/nested", node.identity.id, ["unix:uid:1"], downstream=True))
        node.sync()
        signed = node.sign([made.id])[made.id]
        key = new_key()
        request = m.svid.NewDownstreamX509CARequest(csr=csr(key, uri=domain.id))
        with pytest.raises(grpc.RpcError) as refused:
            node.svid_api.NewDownstreamX509CA(request, timeout=20)
        assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED, "a node agent is no server"
        node.adopt(Identity(signed.chain, signed.key, signed.id, signed.expires_at))
        reply = node.svid_api.NewDownstreamX509CA(request, timeout=20)
        with pytest.raises(grpc.RpcError) as refused:
            node.svid_api.NewDownstreamX509CA(m.svid.NewDownstreamX509CARequest(), timeout=20)
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    authority = x509.load_der_x509_certificate(reply.ca_cert_chain[0])
    assert uri_sans(authority) == [domain.id] and authority.public_key() == key.public_key()
    assert list(reply.x509_authorities) == domain.roots
    now = datetime.datetime.now(datetime.timezone.utc)
    usage = {name: False for name in inspect.signature(x509.KeyUsage).parameters} | {"digital_signature": True}
    leaf = (
        x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(authority.subject)
        .public_key(new_key().public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(seconds=5)).not_valid_after(now + datetime.timedelta(minutes=5))
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"{domain.id}/inner")]), critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    paths = {name: tmp_path / f"{name}.pem" for name in ("roots", "chain", "leaf")}
    paths["roots"].write_bytes(domain.roots_pem)
    paths["chain"].write_bytes(der_to_pem(reply.ca_cert_chain))
    paths["leaf"].write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    openssl("verify", "-x509_strict", "-CAfile", paths["roots"], paths["chain"])
    judge = ("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", paths["roots"])
    openssl(*judge, "-untrusted", paths["chain"], paths["leaf"])
    assert openssl(*judge, paths["leaf"], check=False).returncode != 0, "without the authority between"
