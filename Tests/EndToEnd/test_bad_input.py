"""What an operator or a disk does wrong: refused with exit code 1 and one line, and nothing is broken by it."""

import os
import re
import shutil
import sqlite3
import subprocess
from pathlib import Path

import grpc
import pytest

from harness.domain import default_binary, run_cli, temporary_folder
from harness.polling import eventually
from stage.deployment import OneProcess, uid_selector
from wire import messages as m
from wire.keys import spiffe_id
from wire.workload import first

GOOD = "server:\n  trust_domain: bad.test\n  data_dir: DATA\n  bind_port: 0\n  https_port: 0\n"


def one_line(result) -> str:
    """The command failed as every command does: code 1, nothing on stdout, one line on stderr."""
    assert result.returncode == 1, result.stdout + result.stderr
    assert result.stdout == ""
    (line,) = result.stderr.strip().splitlines()
    return line


class TestConfiguration:
    @pytest.mark.parametrize(
        ("change", "named"),
        [
            (("bind_port: 0", "bind_prot: 0"), "server.bind_prot"),
            (("bind_port: 0", "bind_port: 65536"), "server.bind_port"),
            (("bind_port: 0", "bind_port: -1"), "server.bind_port"),
            (("bind_port: 0", "bind_port: http"), "server.bind_port"),
            (("bind_port: 0", "bind_port: [1, 2]"), "server.bind_port"),
            (("bind_port: 0", "bind_port: {a: 1}"), "server.bind_port"),
            (("bind_port: 0", "ca_ttl: soon"), "server.ca_ttl"),
            (("bind_port: 0", "ca_ttl: 0s"), "server.ca_ttl"),
            (("bind_port: 0", "ca_ttl: -5m"), "server.ca_ttl"),
            (("bind_port: 0", "ca_ttl: 99999999999999999999h"), "server.ca_ttl"),
            (("bind_port: 0", "default_x509_svid_ttl: 1x"), "server.default_x509_svid_ttl"),
            (("bind_port: 0", "require_parent: perhaps"), "server.require_parent"),
            (("bind_port: 0", "max_connections: 0"), "server.max_connections"),
            (("bind_port: 0", "max_connections: many"), "server.max_connections"),
            (("bind_port: 0", "max_connections_per_source: 1000001"), "server.max_connections_per_source"),
            (("bind_port: 0", "max_connections_per_source: 2049"), "server.max_connections_per_source"),
            (("bind_port: 0", "log_level: loud"), "server.log_level"),
            (("trust_domain: bad.test", "trust_domain: Bad_Test!"), "server.trust_domain"),
            (("trust_domain: bad.test", "trust_domain: ''"), "server.trust_domain"),
            (("trust_domain: bad.test", "socket_path: /tmp/x"), "server.trust_domain"),
            (("server:", "sever:"), "sever"),
            (("server:", "server: [\n"), "YAML"),
            (("  data_dir", "\tdata_dir"), "YAML"),
            ((GOOD, "just text"), "server:"),
            ((GOOD, "server: 7\n"), "server"),
            ((GOOD, "agent:\n  trust_domain: a.test\n  server_port: x\n"), "agent.server_port"),
        ],
        ids=lambda value: value if isinstance(value, str) else None,
    )
    def test_the_key_is_named(self, tmp_path, change, named):
        """By `validate` and, for the server's section, by the server itself"""
        file = tmp_path / "agentshield.yaml"
        text = GOOD.replace(*change)
        assert text != GOOD
        file.write_text(text.replace("DATA", str(tmp_path / "data")))
        assert named in one_line(run_cli("validate", "-config", file, check=False))
        if "agent:" not in text:
            assert named in one_line(run_cli("server", "run", "-config", file, check=False, timeout=10))
            assert not (tmp_path / "data").exists(), "nothing is made before the configuration holds"

    @pytest.mark.parametrize(
        "content",
        [b"\xff\xfe\x00", b"\x00" * 64, b"&a [*a, *a]" * 9, b"server: " + b"[" * 5000, b"a: b\n" * 300_000],
        ids=["no-utf8", "zeros", "aliases", "deep", "too-long"],
    )
    def test_rubbish_is_refused(self, tmp_path, content):
        file = tmp_path / "agentshield.yaml"
        file.write_bytes(content)
        one_line(run_cli("validate", "-config", file, check=False))

    def test_a_missing_file_is_named(self, tmp_path):
        assert "nowhere.yaml" in one_line(run_cli("validate", "-config", tmp_path / "nowhere.yaml", check=False))

    def test_the_file_is_what_the_server_runs_with(self, tmp_path):
        file = tmp_path / "agentshield.yaml"
        file.write_text(GOOD.replace("DATA", str(tmp_path / "data")))
        assert run_cli("validate", "-config", file).returncode == 0

    def test_an_environment_variable_is_named(self, tmp_path, monkeypatch):
        result = subprocess.run(
            [default_binary(), "server", "run", "-trustDomain", "bad.test", "-dataDir", tmp_path / "data"],
            env={**os.environ, "AGENTSHIELD_SERVER_CA_TTL": "soon"},
            capture_output=True, text=True, timeout=10,
        )  # fmt: skip
        assert "AGENTSHIELD_SERVER_CA_TTL" in one_line(result) or "server.ca_ttl" in one_line(result)


@pytest.fixture(scope="module")
def good():
    """The data directory of a stopped trust domain."""
    domain = OneProcess("damaged.test").start()
    try:
        for number in range(40):
            domain.entry(f"/damaged/{number}", ["unix:uid:4242"])
        assert domain.end() == 0
        yield domain.data
    finally:
        domain.discard()


class TestDamage:
    """A damaged data directory is refused, with what to do"""

    @pytest.fixture
    def copy(self, good):
        folder = temporary_folder()
        shutil.copytree(good, folder / "data", ignore=lambda _, names: [n for n in names if n.endswith(".sock")])
        (folder / "data").chmod(0o700)
        yield folder / "data"
        shutil.rmtree(folder)

    def refused(self, data: Path) -> str:
        return one_line(
            run_cli(
                "server", "run", "-dataDir", data, "-trustDomain", "damaged.test", "-serverPort", 0, "-httpsPort", 0,
                check=False, timeout=8,
            )
        )  # fmt: skip

    @pytest.mark.parametrize("name", ["registry.sqlite", "audit.sqlite"])
    @pytest.mark.parametrize("where", ["head", "schema", "middle", "cut", "text"])
    def test_a_damaged_database(self, copy, name, where):
        file = copy / name
        whole = bytearray(file.read_bytes())
        match where:
            case "head":
                whole[:100] = os.urandom(100)
            case "schema":
                whole[100:4096] = os.urandom(3996)
            case "middle":
                for page in range(1, len(whole) // 4096):
                    whole[page * 4096 : page * 4096 + 600] = os.urandom(600)
            case "cut":
                del whole[len(whole) // 2 :]
            case _:
                whole[:] = b"this was a database once\n" * 400
        file.write_bytes(whole)
        line = self.refused(copy)
        assert name in line
        assert "restore" in line or "another data directory" in line, line

    def test_an_empty_audit_log_beside_an_old_key(self, copy):
        """A log that was thrown away is not silently begun anew under the same key"""
        for file in copy.glob("audit.sqlite*"):
            file.unlink()
        assert "log" in self.refused(copy)

    @pytest.mark.parametrize("how", ["gone", "damaged"])
    def test_the_logs_key(self, copy, how):
        key = copy / "keys" / "audit-log.pem"
        key.unlink() if how == "gone" else key.write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
        if how == "damaged":
            key.chmod(0o600)
        line = self.refused(copy)
        assert "audit-log.pem" in line and "restore" in line

    def test_another_trust_domains_directory(self, copy):
        line = one_line(
            run_cli(
                "server", "run", "-dataDir", copy, "-trustDomain", "other.test", "-serverPort", 0, "-httpsPort", 0,
                check=False, timeout=8,
            )
        )  # fmt: skip
        assert "damaged.test" in line or "trust domain" in line

    def test_a_data_directory_that_others_can_read(self, copy):
        copy.chmod(0o755)
        assert str(copy) in self.refused(copy)

    def test_a_key_that_others_can_read(self, copy):
        next((copy / "keys" / "authorities").glob("x509-*.pem")).chmod(0o644)
        assert self.refused(copy)

    def test_a_database_of_a_newer_version(self, copy):
        database = sqlite3.connect(copy / "registry.sqlite")
        database.execute("PRAGMA user_version = 9999")
        database.commit()
        database.close()
        assert "newer" in self.refused(copy)


class TestDirectories:
    def test_a_second_server_on_the_same_data_directory(self, one_process):
        domain = one_process("second.test")
        domain.entry("/second", [uid_selector()])
        result = run_cli(
            "server", "run", "-dataDir", domain.data, "-trustDomain", domain.name, "-serverPort", 0, "-httpsPort", 0,
            check=False, timeout=8,
        )  # fmt: skip
        line = one_line(result)
        assert str(domain.data) in line and "stop it first" in line
        domain.wait_for_ids("/second")
        assert domain.cli("log", "verify").returncode == 0, "the first one is not disturbed"

    def test_a_second_agent_on_the_same_data_directory(self, deployment):
        domain = deployment("second.test")
        result = run_cli(
            "agent", "run", "-dataDir", domain.folder / "agent", "-trustDomain", domain.name, "-serverAddress",
            "127.0.0.1", "-serverPort", domain.port, "-socketPath", domain.folder / "x" / "w.sock",
            check=False, timeout=8,
        )  # fmt: skip
        assert str(domain.folder / "agent") in one_line(result)
        assert domain.ids() == []

    @pytest.mark.parametrize("mode", [0o777, 0o775])
    @pytest.mark.parametrize("flag", ["-socketPath", "-adminSocketPath"])
    def test_a_socket_directory_that_others_can_write_to(self, flag, mode):
        """Whoever can write there can put another socket in its place"""
        folder = temporary_folder()
        try:
            shared = folder / "shared"
            shared.mkdir()
            shared.chmod(mode)
            result = run_cli(
                "up", "-dataDir", folder / "data", "-trustDomain", "dir.test", "-serverPort", 0, "-httpsPort", 0,
                flag, shared / "s.sock", check=False, timeout=8,
            )  # fmt: skip
            line = result.stderr.strip().splitlines()[-1]
            assert result.returncode == 1
            assert str(shared) in line and "writable" in line
            assert not (shared / "s.sock").exists()
        finally:
            shutil.rmtree(folder)

    def test_a_socket_path_that_is_too_long(self, tmp_path):
        folder = tmp_path / ("x" * 100)
        result = run_cli(
            "server", "run", "-dataDir", tmp_path / "d", "-trustDomain", "long.test", "-serverPort", 0, "-httpsPort", 0,
            "-socketPath", folder / "a.sock", check=False, timeout=8,
        )  # fmt: skip
        assert result.returncode == 1
        assert re.search("path|long", result.stderr.strip().splitlines()[-1])


@pytest.fixture
def small_disk():
    """A file system of 3 MiB for the data directory."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    folder = temporary_folder()
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m,mode=0755", "tmpfs", disk], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        shutil.rmtree(folder)
        pytest.skip(f"cannot mount a small file system here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)
    shutil.rmtree(folder)


class TestFullDisk:
    def test_writes_fail_reads_go_on_and_space_heals_it(self, small_disk):
        domain = OneProcess("full.test", folder=small_disk).start()
        try:
            kept = domain.entry("/full", [uid_selector()])
            domain.wait_for_ids("/full")
            filler = small_disk / "filler"
            with open(filler, "wb", buffering=0) as file:
                for size in (65536, 4096, 512):
                    try:
                        while True:
                            file.write(b"\0" * size)
                    except OSError:
                        pass

            refused = []
            for _ in range(200):
                try:
                    domain.admin.join_token()
                except grpc.RpcError as error:
                    refused.append(error)
                    if len(refused) == 3:
                        break
            assert len(refused) == 3, "200 writes on a full disk, and none failed"
            for error in refused:
                assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED), error
                assert re.search("space|full|record", error.details()), error.details()
            with pytest.raises(grpc.RpcError):
                domain.admin.svids.MintJWTSVID(
                    m.svid.MintJWTSVIDRequest(id=spiffe_id(f"{domain.id}/x"), audience=["a"], ttl=60), timeout=20
                )

            assert [one.id for one in domain.admin.list_entries()] == [kept.id], "reading goes on"
            assert domain.admin.bundles.GetBundle(m.bundle.GetBundleRequest(), timeout=20).x509_authorities
            with domain.workload() as api:
                assert first(api.health.Watch(m.health.HealthCheckRequest(), timeout=10)).status >= 0
            assert "no space" in domain.processes[0].log().lower() or "full" in domain.processes[0].log().lower()

            filler.unlink()
            eventually(lambda: domain.admin.join_token(), "writes work again", ignore=(grpc.RpcError,), within=20)
            domain.entry("/full/after", [uid_selector()])
            domain.wait_for_ids("/full", "/full/after", within=30)
            assert domain.cli("log", "verify").returncode == 0
            assert domain.end() == 0
            assert run_cli("log", "verify", "-dataDir", domain.data).returncode == 0
        finally:
            domain.stop()

    def test_killed_on_a_full_disk(self, small_disk):
        """It comes back with what it had, once there is space"""
        domain = OneProcess("fullkill.test", folder=small_disk).start()
        try:
            kept = domain.entry("/full", [uid_selector()])
            filler = small_disk / "filler"
            with open(filler, "wb", buffering=0) as file:
                try:
                    while True:
                        file.write(b"\0" * 4096)
                except OSError:
                    pass
            for _ in range(50):
                try:
                    domain.admin.join_token()
                except grpc.RpcError:
                    break
            domain.end(9)
            filler.unlink()
            domain.start()
            assert [one.id for one in domain.admin.list_entries()] == [kept.id]
            domain.wait_for_ids("/full", within=30)
            assert domain.cli("log", "verify").returncode == 0
            assert domain.end() == 0
        finally:
            domain.stop()
