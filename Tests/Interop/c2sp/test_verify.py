"""The two verifiers against logs built here, whole and damaged in every way we could think of."""

import base64
import functools
import gzip
import hashlib
import http.server
import sys
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import verify_log as log_tool  # noqa: E402
import verify_proof as proof_tool  # noqa: E402
from verify_proof import VerificationError  # noqa: E402

ORIGIN = "log.example/audit"


def private_key(name):
    """A fixed key for each name, so that every run makes the same bytes."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


# A log builder that follows the definitions and nothing else: every hash is recomputed from the leaves.


def entry(index):
    return b"" if index == 3 else f'{{"event":{index}}}'.encode()


def mth(leaves):
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(index, leaves):
    if len(leaves) == 1:
        return []
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if index < k:
        return path(index, leaves[:k]) + [mth(leaves[k:])]
    return path(index - k, leaves[k:]) + [mth(leaves[:k])]


def leaf(data):
    return hashlib.sha256(b"\x00" + data).digest()


def b64(data):
    return base64.b64encode(data).decode()


def vkey(name, kind=1, key=None):
    public = (key or private_key(name)).public_key().public_bytes_raw()
    identifier = hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]
    return f"{name}+{identifier.hex()}+{b64(bytes([kind]) + public)}"


def signature_line(name, text, time=None):
    key = private_key(name)
    kind, message, stamp = 1, text, b""
    if time is not None:
        kind, stamp = 4, time.to_bytes(8, "big")
        message = f"cosignature/v1\ntime {time}\n".encode() + text
    public = key.public_key().public_bytes_raw()
    identifier = hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]
    return f"\u2014 {name} {b64(identifier + stamp + key.sign(message))}\n".encode()


def checkpoint(leaves, signers=((ORIGIN, None),), origin=ORIGIN):
    text = f"{origin}\n{len(leaves)}\n{b64(mth(leaves))}\n".encode()
    return text + b"\n" + b"".join(signature_line(name, text, time) for name, time in signers)


def proof(index, leaves, note=None, extra=None):
    lines = ["c2sp.org/tlog-proof@v1"]
    if extra is not None:
        lines.append(f"extra {b64(extra)}")
    lines.append(f"index {index}")
    lines += [b64(value) for value in path(index, leaves)]
    return "\n".join(lines).encode() + b"\n\n" + (note or checkpoint(leaves))


def write(directory, name, data):
    file = directory / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


def name_of(index, width):
    digits = f"{index:03d}"
    while len(digits) % 3:
        digits = "0" + digits
    groups = [digits[start : start + 3] for start in range(0, len(digits), 3)]
    return "/".join([f"x{group}" for group in groups[:-1]] + groups[-1:]) + ("" if width == 256 else f".p/{width}")


def build_log(directory, size, make_entry=entry, **options):
    entries = [make_entry(index) for index in range(size)]
    leaves = [leaf(data) for data in entries]
    write(directory, "checkpoint", checkpoint(leaves, **options))
    for start in range(0, size, 256):
        chunk = entries[start : start + 256]
        bundle = b"".join(len(data).to_bytes(2, "big") + data for data in chunk)
        write(directory, f"tile/entries/{name_of(start // 256, len(chunk))}", bundle)
    level, span = 0, 1
    while size // span:
        count = size // span
        hashes = [mth(leaves[n * span : (n + 1) * span]) for n in range(count)]
        for start in range(0, count, 256):
            chunk = hashes[start : start + 256]
            write(directory, f"tile/{level}/{name_of(start // 256, len(chunk))}", b"".join(chunk))
        level, span = level + 1, span * 256
    return leaves


KEYS = [proof_tool.parse_vkey(vkey(ORIGIN))]


def check_log(directory, **options):
    return log_tool.verify_log(log_tool.Directory(str(directory)), ORIGIN, KEYS, **options)


# Proof files


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 64, 100])
def test_every_entry_has_a_proof_that_holds(size):
    leaves = [leaf(entry(index)) for index in range(size)]
    note = checkpoint(leaves)
    for index in range(size):
        data = proof(index, leaves, note)
        found, signed = proof_tool.verify_proof(data, entry(index), ORIGIN, KEYS)
        assert (found.index, signed.size, signed.origin) == (index, size, ORIGIN)
        with pytest.raises(VerificationError):
            proof_tool.verify_proof(data, entry(index) + b"!", ORIGIN, KEYS)


def test_no_changed_byte_of_a_proof_is_accepted():
    leaves = [leaf(entry(index)) for index in range(11)]
    data = proof(5, leaves)
    for position in range(len(data)):
        for mask in (0x01, 0x20, 0x80):
            changed = bytearray(data)
            changed[position] ^= mask
            with pytest.raises(VerificationError):
                proof_tool.verify_proof(bytes(changed), entry(5), ORIGIN, KEYS)
    for length in range(len(data)):
        with pytest.raises(VerificationError):
            proof_tool.verify_proof(data[:length], entry(5), ORIGIN, KEYS)


def test_extra_data_is_carried_but_not_empty():
    leaves = [leaf(entry(index)) for index in range(4)]
    found, _ = proof_tool.verify_proof(proof(2, leaves, extra=b"\x00\xff"), entry(2), ORIGIN, KEYS)
    assert found.extra == b"\x00\xff"
    with pytest.raises(VerificationError):
        proof_tool.verify_proof(proof(2, leaves, extra=b""), entry(2), ORIGIN, KEYS)


def test_witnesses_count_by_key_and_must_verify():
    leaves = [leaf(entry(index)) for index in range(4)]
    names = ["w1.example", "w2.example"]
    witnesses = [proof_tool.parse_vkey(vkey(name, kind=4)) for name in names]
    note = checkpoint(leaves, signers=((ORIGIN, None), ("w1.example", 1_700_000_000), ("stranger.example", 5)))
    proof_tool.verify_proof(proof(1, leaves, note), entry(1), ORIGIN, KEYS, witnesses, 1)
    with pytest.raises(VerificationError, match="1 cosignatures of 2"):
        proof_tool.verify_proof(proof(1, leaves, note), entry(1), ORIGIN, KEYS, witnesses, 2)
    twice = checkpoint(leaves, signers=((ORIGIN, None), ("w1.example", 1), ("w1.example", 2)))
    with pytest.raises(VerificationError, match="1 cosignatures of 2"):
        proof_tool.open_checkpoint(twice, ORIGIN, KEYS, witnesses, 2)
    alone = checkpoint(leaves, signers=(("w1.example", 1),))
    with pytest.raises(VerificationError, match="no signature by the log"):
        proof_tool.open_checkpoint(alone, ORIGIN, KEYS, witnesses, 1)
    text = note.split(b"\n\n")[0] + b"\n"
    moved = text + b"\n" + signature_line(ORIGIN, text) + signature_line("w1.example", b"other\n", 7)
    with pytest.raises(VerificationError, match="w1.example does not verify"):
        proof_tool.open_checkpoint(moved, ORIGIN, KEYS, witnesses, 0)


def test_published_notes_verify():
    key = proof_tool.parse_vkey("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
    note = (
        "This is an example message.\n\n\u2014 example.com/foo "
        "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
    ).encode()
    text, found = proof_tool.verify_signatures(note, [key])
    assert text == b"This is an example message.\n"
    assert found == {key: [None]}


@pytest.mark.parametrize(
    "changed",
    [
        lambda v: v.replace("+", " ", 1),
        lambda v: v[:-1],
        lambda v: v + "=",
        lambda v: v.replace("log", "lög"),
        lambda v: "x" + v,
        lambda v: v.split("+")[0] + "+00000000+" + v.split("+", 2)[2],
        lambda v: v.split("+")[0] + "+" + v.split("+")[1].upper() + "+" + v.split("+", 2)[2],
        lambda v: "",
    ],
)
def test_malformed_verifier_keys_are_refused(changed):
    good = vkey(ORIGIN)
    assert proof_tool.parse_vkey(good).name == ORIGIN
    if changed(good) == good:
        pytest.skip("the hash has no letters")
    with pytest.raises(VerificationError):
        proof_tool.parse_vkey(changed(good))


@pytest.mark.parametrize("text", [b"01", b"", b"-1", b"+1", b" 1", b"1\n", b"1_0", b"9223372036854775808", "١".encode()])
def test_numbers_have_one_spelling(text):
    with pytest.raises(VerificationError):
        proof_tool.from_decimal(text, "it")


def test_the_command_says_one_line(tmp_path, capsys):
    leaves = [leaf(entry(index)) for index in range(6)]
    write(tmp_path, "entry", entry(4))
    write(tmp_path, "event.tlog-proof", proof(4, leaves))
    arguments = ["--vkey", vkey(ORIGIN), "--entry", str(tmp_path / "entry"), str(tmp_path / "event.tlog-proof")]
    assert proof_tool.main(["--origin", ORIGIN, *arguments]) == 0
    assert capsys.readouterr().out == f"ok: entry 4 of 6 in {ORIGIN}, root {b64(mth(leaves))}\n"
    assert proof_tool.main(["--origin", "other.example", *arguments]) == 1
    assert capsys.readouterr().out == f"failed: the checkpoint is of {ORIGIN!r}\n"
    witness = ["--witness", vkey("w1.example", kind=4)]
    assert proof_tool.main(["--origin", ORIGIN, *witness, *arguments]) == 1
    assert proof_tool.main(["--origin", ORIGIN, *witness, "--quorum", "0", *arguments]) == 0
    arguments[-1] = str(tmp_path / "missing")
    assert proof_tool.main(["--origin", ORIGIN, *arguments]) == 1


# Whole logs


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 600])
def test_a_whole_log_is_accepted(tmp_path, size):
    leaves = build_log(tmp_path, size)
    assert check_log(tmp_path).root == mth(leaves)


def test_tiles_of_70000_entries_are_those_of_the_standard():
    tiles = {level: list(log_tool.tiles_of_level(70_000, level)) for level in range(4)}
    assert len(tiles[0]) == 274 and tiles[0][-1] == (273, 112)
    assert tiles[1] == [(0, 256), (1, 17)]
    assert tiles[2] == [(0, 1)]
    assert tiles[3] == []
    assert log_tool.index_path(1234067, 256) == "x001/x234/067"
    assert log_tool.index_path(0, 5) == "000.p/5"
    assert name_of(1234067, 256) == "x001/x234/067"


def test_full_tiles_stand_in_for_partial_ones(tmp_path):
    small, large = tmp_path / "small", tmp_path / "large"
    build_log(small, 200)
    build_log(large, 600)
    write(large, "checkpoint", (small / "checkpoint").read_bytes())
    assert check_log(large).size == 200


@pytest.mark.parametrize("bad", [0, 255, 256, 599])
def test_the_first_bad_entry_is_named(tmp_path, bad):
    build_log(tmp_path, 600)
    for index in {bad, 599}:
        width = 256 if index < 512 else 88
        file = tmp_path / "tile/entries" / name_of(index // 256, width)
        data = file.read_bytes()
        position = 0
        for _ in range(index % 256):
            position += 2 + int.from_bytes(data[position : position + 2], "big")
        file.write_bytes(data[: position + 2] + b"X" + data[position + 3 :])
    with pytest.raises(VerificationError, match=f"^entry {bad} does not match its hash$"):
        check_log(tmp_path)


def test_every_other_damage_is_found(tmp_path):
    def damage(file, change):
        data = file.read_bytes()
        file.write_bytes(change(data))
        with pytest.raises(VerificationError):
            check_log(tmp_path)
        file.write_bytes(data)

    build_log(tmp_path, 600)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) == 1 + 3 + 3 + 1
    for file in files:
        damage(file, lambda data: data[:-1])
        damage(file, lambda data: data + b"\x00")
        damage(file, lambda data: b"")
        damage(file, lambda data: bytes([data[0] ^ 1]) + data[1:])
        damage(file, lambda data: data[:-1] + bytes([data[-1] ^ 1]))
        data = file.read_bytes()
        file.unlink()
        with pytest.raises(VerificationError, match="missing"):
            check_log(tmp_path)
        file.write_bytes(data)
    check_log(tmp_path)


def test_a_rewritten_log_has_another_root(tmp_path):
    build_log(tmp_path, 300)
    note = (tmp_path / "checkpoint").read_bytes()
    build_log(tmp_path, 300, make_entry=lambda index: b"forged" if index == 7 else entry(index))
    (tmp_path / "checkpoint").write_bytes(note)
    with pytest.raises(VerificationError, match="root is not the signed one"):
        check_log(tmp_path)


def test_an_earlier_checkpoint_must_be_continued(tmp_path):
    leaves = build_log(tmp_path, 300)
    for size in (0, 1, 256, 299, 300):
        check_log(tmp_path, previous=checkpoint(leaves[:size]))
    fork = leaves[:100] + [leaf(b"forged")]
    with pytest.raises(VerificationError, match="first 101 entries"):
        check_log(tmp_path, previous=checkpoint(fork))
    with pytest.raises(VerificationError, match="shrunk"):
        check_log(tmp_path, previous=checkpoint(leaves + leaves))


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files, entry bundles compressed."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        if "/entries/" not in self.path:
            return super().do_GET()
        file = Path(self.translate_path(self.path))
        if not file.is_file():
            return self.send_error(404)
        data = gzip.compress(file.read_bytes())
        self.send_response(200)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def served(tmp_path):
    handler = functools.partial(Handler, directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield tmp_path, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_log_is_verified_over_http_by_the_command(served, capsys):
    directory, url = served
    leaves = build_log(directory, 300)
    arguments = ["--vkey", vkey(ORIGIN), "--origin", ORIGIN]
    assert log_tool.main([*arguments, "--url", url]) == 0
    assert capsys.readouterr().out == f"ok: 300 entries in {ORIGIN}, root {b64(mth(leaves))}\n"
    assert log_tool.main([*arguments, "--dir", str(directory), "--previous", str(directory / "checkpoint")]) == 0
    capsys.readouterr()
    (directory / "tile/0/000").unlink()
    assert log_tool.main([*arguments, "--url", url + "/"]) == 1
    assert capsys.readouterr().out == "failed: tile/0/000 is missing\n"
    for bad in ("file:///tmp", "http://[", "log.example"):
        assert log_tool.main([*arguments, "--url", bad]) == 1
    assert log_tool.main([*arguments, "--url", "http://127.0.0.1:1"]) == 1


def test_compressed_data_is_bounded():
    bomb = gzip.compress(bytes(10_000_000))
    with pytest.raises(VerificationError, match="too large"):
        log_tool.Web.decompressed(bomb, "checkpoint", 1000)
    with pytest.raises(VerificationError, match="ends within"):
        log_tool.Web.decompressed(bomb[:-20], "checkpoint", 20_000_000)
