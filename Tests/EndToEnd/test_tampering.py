"""A changed byte anywhere in a stored log is found, and the first bad entry is named; proof files need no log."""

import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from harness.domain import run_cli
from stage.deployment import OneProcess

VERIFY_PROOF = Path(__file__).resolve().parents[1] / "Interop" / "c2sp" / "verify_proof.py"


@pytest.fixture(scope="module")
def stopped():
    """A stopped trust domain whose log fills one whole tile and begins the next."""
    domain = OneProcess("tamper.test").start()
    try:
        for number in range(130):
            domain.entry(f"/tamper/{number}", ["unix:uid:4242"])
        proofs = domain.folder / "proofs"
        proofs.mkdir()
        for index in (0, 255, 256):
            domain.cli("log", "prove", index, "-write", proofs)
        assert domain.end() == 0
        yield domain
    finally:
        domain.discard()


@pytest.fixture
def copy(stopped, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(stopped.data, data, ignore=lambda _, names: [n for n in names if n.endswith(".sock")])
    data.chmod(0o700)
    return data


def edit(data: Path, statement: str, *values) -> None:
    with sqlite3.connect(data / "audit.sqlite") as database:
        assert database.execute(statement, values).rowcount == 1
    database.close()


def read(data: Path, query: str, *values) -> bytes:
    database = sqlite3.connect(data / "audit.sqlite")
    ((value,),) = database.execute(query, values).fetchall()
    database.close()
    return value


def flip(blob: bytes, at: int) -> bytes:
    changed = bytearray(blob)
    changed[at] ^= 0x01
    return bytes(changed)


def refused(data: Path) -> str:
    """The one line that `log verify` says of a bad log."""
    result = run_cli("log", "verify", "-dataDir", data, check=False)
    assert result.returncode == 1, result.stdout
    assert result.stdout == ""
    (line,) = result.stderr.strip().splitlines()
    return line


def size(data: Path) -> int:
    return json.loads(run_cli("log", "verify", "-dataDir", data, "-output", "json").stdout)["size"]


def test_the_untouched_copy_verifies(copy):
    assert size(copy) > 256


@pytest.mark.parametrize("index", [0, 1, 100, 255, 256, -1], ids=lambda i: "last" if i < 0 else str(i))
def test_a_changed_entry_is_named(copy, index):
    index %= size(copy)
    leaf = read(copy, "SELECT leaf FROM entry WHERE idx = ?", index)
    edit(copy, "UPDATE entry SET leaf = ? WHERE idx = ?", flip(leaf, len(leaf) // 2), index)
    assert f"entry {index}" in refused(copy)


def test_the_first_of_several_changed_entries_is_named(copy):
    for index in (200, 77, 140):
        leaf = read(copy, "SELECT leaf FROM entry WHERE idx = ?", index)
        edit(copy, "UPDATE entry SET leaf = ? WHERE idx = ?", flip(leaf, 10), index)
    assert "entry 77" in refused(copy)


def test_swapped_entries_are_named(copy):
    one, two = (read(copy, "SELECT leaf FROM entry WHERE idx = ?", i) for i in (30, 31))
    assert one != two
    edit(copy, "UPDATE entry SET leaf = ? WHERE idx = 30", two)
    edit(copy, "UPDATE entry SET leaf = ? WHERE idx = 31", one)
    assert "entry 30" in refused(copy)


def test_a_removed_entry_is_named(copy):
    edit(copy, "DELETE FROM entry WHERE idx = ?", 42)
    assert "entry 42" in refused(copy)


def test_a_removed_last_entry_is_named(copy):
    last = size(copy) - 1
    edit(copy, "DELETE FROM entry WHERE idx = ?", last)
    assert f"entry {last}" in refused(copy)


@pytest.mark.parametrize("entry", [0, 9, 255])
def test_a_changed_hash_in_a_tile_is_named_by_its_entry(copy, entry):
    tile = read(copy, "SELECT hashes FROM tile WHERE level = 0 AND idx = 0")
    edit(copy, "UPDATE tile SET hashes = ? WHERE level = 0 AND idx = 0", flip(tile, entry * 32 + 5))
    assert f"entry {entry}" in refused(copy)


def test_a_changed_upper_tile_is_found(copy):
    """Its hash covers the first 256 entries, so the first bad one is entry 0"""
    tile = read(copy, "SELECT hashes FROM tile WHERE level = 1 AND idx = 0")
    edit(copy, "UPDATE tile SET hashes = ? WHERE level = 1 AND idx = 0", flip(tile, 3))
    assert refused(copy)


def test_a_missing_tile_is_found(copy):
    edit(copy, "DELETE FROM tile WHERE level = 1 AND idx = 0")
    assert refused(copy)


def test_every_byte_of_the_checkpoint_counts(copy):
    note = read(copy, "SELECT note FROM checkpoint")
    for at in range(0, len(note), 13):
        edit(copy, "UPDATE checkpoint SET note = ?", flip(note, at))
        assert "checkpoint" in refused(copy), f"byte {at}: {note[at : at + 1]!r}"
    edit(copy, "UPDATE checkpoint SET note = ?", note)
    assert size(copy) > 256


def test_another_key_beside_the_log_does_not_vouch_for_it(copy, one_process):
    other = one_process("tamper.test")
    (copy / "audit-log.vkey").write_bytes((other.data / "audit-log.vkey").read_bytes())
    assert "checkpoint" in refused(copy)


def test_a_server_does_not_start_on_a_log_that_does_not_hold(copy, stopped):
    """What it would sign next would vouch for the change; the last entries are looked at when it starts"""
    tile = read(copy, "SELECT hashes FROM tile WHERE level = 1 AND idx = 0")
    edit(copy, "UPDATE tile SET hashes = ? WHERE level = 1 AND idx = 0", flip(tile, 3))
    result = run_cli(
        "server", "run", "-dataDir", copy, "-trustDomain", stopped.name, "-serverPort", 0, "-httpsPort", 0, check=False
    )
    assert result.returncode == 1
    assert "log" in result.stderr.lower()


class TestProofFiles:
    @pytest.fixture
    def proof(self, stopped):
        folder = stopped.folder / "proofs"
        vkey = (stopped.data / "audit-log.vkey").read_text().strip()
        return folder, vkey

    def offline(self, folder: Path, vkey: str, index: int, entry=None, **options):
        return run_cli(
            "log", "verify", "-proof", folder / f"{index}.tlog-proof", "-entry", entry or folder / f"{index}.json",
            "-vkey", vkey, **options,
        )  # fmt: skip

    @pytest.mark.parametrize("index", [0, 255, 256])
    def test_a_proof_verifies_without_the_log(self, proof, index):
        folder, vkey = proof
        assert f"Entry {index} is in the log" in self.offline(folder, vkey, index).stdout

    @pytest.mark.parametrize("index", [0, 255, 256])
    def test_the_second_implementation_agrees(self, proof, index):
        folder, vkey = proof
        result = subprocess.run(
            [
                sys.executable, VERIFY_PROOF, "--vkey", vkey, "--origin", "tamper.test/agentshield/log",
                "--entry", folder / f"{index}.json", folder / f"{index}.tlog-proof",
            ],
            capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        assert result.returncode == 0, result.stdout + result.stderr

    def test_it_proves_nothing_else(self, proof, tmp_path, one_process):
        folder, vkey = proof
        assert self.offline(folder, vkey, 0, entry=folder / "255.json", check=False).returncode == 1
        changed = tmp_path / "changed.json"
        changed.write_bytes(flip((folder / "0.json").read_bytes(), 20))
        assert self.offline(folder, vkey, 0, entry=changed, check=False).returncode == 1
        other = (one_process("tamper.test").data / "audit-log.vkey").read_text().strip()
        assert self.offline(folder, other, 0, check=False).returncode == 1

    def test_no_changed_byte_of_a_proof_is_taken(self, proof, tmp_path):
        folder, vkey = proof
        good = (folder / "255.tlog-proof").read_bytes()
        bad = tmp_path / "255.tlog-proof"
        for at in range(0, len(good), 97):
            bad.write_bytes(flip(good, at))
            result = self.offline(tmp_path, vkey, 255, entry=folder / "255.json", check=False)
            assert result.returncode == 1, f"byte {at}"
