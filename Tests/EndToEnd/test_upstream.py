"""An authority above ours, in files: roots in the bundle, intermediates in the chain, its replacement after a theft."""

import datetime
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from harness import domain as shield
from harness.polling import eventually
from wire.workload import first

NOW = datetime.datetime.now(datetime.timezone.utc)
DAY = datetime.timedelta(days=1)
NAME = "upstream.test"
KEYS = {
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
}


def pem(certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


class CA:
    """A certificate authority of an operator's own PKI; without `parent` a root."""

    def __init__(self, name, kind="p256", parent=None, path_length=None, is_ca=True, uri=None, end=NOW + 30 * DAY):
        self.key = KEYS[kind]()
        signer = parent or self
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(signer.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - 2 * DAY)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(is_ca, path_length), True)
            .add_extension(x509.KeyUsage(False, False, False, False, False, is_ca, is_ca, False, False), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), False)
        )
        if parent:
            # RFC 5280 §4.2.1.1 demands it of all but roots.
            builder = builder.add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(parent.key.public_key()), False
            )
        if uri:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), False)
        self.certificate = builder.sign(signer.key, hashes.SHA256())

    @property
    def key_id(self) -> str:
        return x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()).digest.hex()

    def write_key(self, path, mode=0o600):
        path.write_bytes(
            self.key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        path.chmod(mode)


def write(folder, signer: CA, above=(), roots=()):
    """The three files; the flags that name them."""
    (folder / "ca.pem").write_bytes(b"".join(pem(one.certificate) for one in (signer, *above)))
    signer.write_key(folder / "ca.key")
    flags = ["-upstreamCert", folder / "ca.pem", "-upstreamKey", folder / "ca.key"]
    if roots:
        (folder / "roots.pem").write_bytes(b"".join(pem(one.certificate) for one in roots))
        flags += ["-upstreamBundle", folder / "roots.pem"]
    return [str(flag) for flag in flags]


@pytest.fixture
def folder():
    path = shield.temporary_folder()
    yield path
    shield.shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def up():
    started = []

    def start(*flags, folder=None):
        started.append(shield.start_up(NAME, folder=folder, extra=list(flags)))
        return started[-1]

    yield start
    for domain in started:
        domain.discard()


def bundle(domain) -> list[bytes]:
    text = domain.cli("bundle", "show").stdout.encode()
    return [one.public_bytes(serialization.Encoding.DER) for one in x509.load_pem_x509_certificates(text)]


def der(ca: CA) -> bytes:
    return ca.certificate.public_bytes(serialization.Encoding.DER)


def certificates(blob: bytes) -> list[x509.Certificate]:
    """Certificates that stand one behind the other."""
    found = []
    while blob:
        length = 4 + int.from_bytes(blob[2:4], "big") if blob[1] == 0x82 else 3 + blob[2]
        found.append(x509.load_der_x509_certificate(blob[:length]))
        blob = blob[length:]
    return found


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("depth", [0, 1])
def test_the_chain_leads_to_the_root_that_the_bundle_has(folder, up, kind, depth):
    root = CA("root", kind)
    signer = CA("issuing", kind, root) if depth else root
    domain = up(*write(folder, signer, roots=[root] if depth else ()))
    assert bundle(domain) == [der(root)]
    domain.entry("/app")
    domain.wait_for_ids("/app")
    with domain.workload() as api:
        svid = first(api.x509_svids()).svids[0]
    assert svid.bundle == der(root)
    chain = certificates(svid.x509_svid)
    assert len(chain) == 2 + depth, "leaf, our authority, and what is between that and the root"
    assert [one.public_bytes(serialization.Encoding.DER) for one in chain[2:]] == ([der(signer)] if depth else [])
    for path, several in (("leaf.pem", chain[:1]), ("between.pem", chain[1:]), ("root.pem", [root.certificate])):
        (folder / path).write_bytes(b"".join(map(pem, several)))
    verify = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", folder / "root.pem",
         "-untrusted", folder / "between.pem", folder / "leaf.pem"], capture_output=True, text=True,
    )  # fmt: skip
    assert verify.returncode == 0, verify.stderr
    shown = domain.cli_json("localauthority", "x509", "show")["active"]
    assert shown["upstream_authority_subject_key_id"] == root.key_id


def test_a_restart_keeps_the_chain_without_the_files(folder, up):
    root = CA("root")
    flags = write(folder, root)
    domain = up(*flags)
    before = domain.cli_json("localauthority", "x509", "show")["active"]
    place = domain.folder
    domain.stop()
    (folder / "ca.key").unlink()
    again = up(*flags, folder=place)
    assert again.cli_json("localauthority", "x509", "show")["active"] == before
    # The next authority cannot be made, and says so.
    refused = again.cli("localauthority", "x509", "prepare", check=False)
    assert refused.returncode == 1


def test_forced_rotation_of_the_upstream_authority(folder, up):
    old, new = CA("old root"), CA("new root")
    domain = up(*write(folder, old))
    domain.entry("/app")
    domain.wait_for_ids("/app")

    def refused(*words) -> str:
        result = domain.cli(*words, check=False)
        assert result.returncode == 1 and len(result.stderr.splitlines()) == 1
        return result.stderr

    assert "active" in refused("upstreamauthority", "taint", "-subjectKeyID", old.key_id)
    assert "no authority" in refused("upstreamauthority", "taint", "-subjectKeyID", new.key_id)
    local = domain.cli_json("localauthority", "x509", "show")["active"]["authority_id"]
    assert "not an upstream" in refused("upstreamauthority", "taint", "-subjectKeyID", local)

    write(folder, new)
    with domain.workload() as api:
        stream = api.x509_svids(timeout=60)
        assert next(stream).svids[0].bundle == der(old)
        prepared = domain.cli_json("localauthority", "x509", "prepare")["prepared_authority"]
        assert prepared["upstream_authority_subject_key_id"] == new.key_id
        assert sorted(bundle(domain)) == sorted([der(old), der(new)])
        domain.cli("localauthority", "x509", "activate", "-authorityID", prepared["authority_id"])
        assert "upstream" in refused("localauthority", "x509", "taint", "-authorityID", local)
        assert "taint it first" in refused("upstreamauthority", "revoke", "-subjectKeyID", old.key_id)
        domain.cli("upstreamauthority", "taint", "-subjectKeyID", old.key_id)

        def under_the_new_root():
            svid = next(stream).svids[0]
            return certificates(svid.x509_svid)[1].issuer == new.name

        eventually(under_the_new_root, "everything is re-issued under the new root")
        domain.cli("upstreamauthority", "revoke", "-subjectKeyID", old.key_id)
        assert bundle(domain) == [der(new)]
        eventually(lambda: next(stream).svids[0].bundle == der(new), "the workload trusts the new root alone")


def test_without_one_there_is_nothing_to_taint(up):
    domain = up()
    for act in ("taint", "revoke"):
        result = domain.cli("upstreamauthority", act, "-subjectKeyID", "00", check=False)
        assert result.returncode == 1 and "upstream authority is not configured" in result.stderr


def broken(folder) -> dict[str, tuple[list[str], str]]:
    root, other = CA("root"), CA("other")
    place = lambda name: (folder / name).mkdir() or folder / name  # noqa: E731
    cases = {}
    cases["a key of another"] = (write(place("1"), root), "does not belong")
    other.write_key(folder / "1" / "ca.key")
    cases["a key that others can read"] = (write(place("2"), root), "others can read")
    (folder / "2" / "ca.key").chmod(0o644)
    cases["no authority"] = (write(place("3"), CA("leaf", parent=root, is_ca=False), roots=[root]), "may not sign")
    cases["path length 0"] = (write(place("4"), CA("last", parent=root, path_length=0), roots=[root]), "may not sign")
    cases["ended"] = (write(place("5"), CA("ended", end=NOW - DAY)), "not valid")
    cases["no root"] = (write(place("6"), CA("between", parent=root)), "root")
    cases["another root"] = (write(place("7"), CA("between", parent=root), roots=[other]), "root")
    cases["a root of another trust domain"] = (write(place("8"), CA("foreign", uri="spiffe://other.test")), "trust domain")
    cases["no certificates"] = (write(place("9"), root), "certificate")
    (folder / "9" / "ca.pem").write_text("nothing\n")
    cases["no file"] = (["-upstreamCert", str(folder / "none"), "-upstreamKey", str(folder / "none")], "cannot be read")
    cases["a key alone"] = (["-upstreamKey", str(folder / "none")], "needed")
    return cases


def test_files_that_do_not_do(folder):
    for what, (flags, says) in broken(folder).items():
        data = folder / "data"
        result = shield.run_cli(
            "server", "run", "-trustDomain", NAME, "-dataDir", data, "-serverPort", 0, "-httpsPort", 0, *flags, check=False
        )
        assert result.returncode == 1, what
        assert says in result.stderr, (what, result.stderr)
        shield.shutil.rmtree(data, ignore_errors=True)
