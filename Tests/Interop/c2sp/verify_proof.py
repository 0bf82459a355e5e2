#!/usr/bin/env python3
"""Verifies a `.tlog-proof` file offline: that a log signed a tree that contains an entry.

    verify_proof.py --vkey VKEY --origin ORIGIN --entry ENTRYFILE PROOFFILE

Written from the C2SP texts signed-note, tlog-checkpoint, tlog-cosignature and tlog-proof and from RFC 6962 alone, as a
second opinion on any log. Needs Python 3.9 or later and `cryptography`. One line of output; exit status 0 if the proof
holds, 1 if not.
"""

import argparse
import base64
import binascii
import hashlib
import re
import sys
from dataclasses import dataclass
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ED25519 = 0x01
COSIGNATURE = 0x04
MAXIMUM_NOTE = 1 << 20
MAXIMUM_PROOF = 2 << 20
MAXIMUM_SIGNATURES = 64
MAXIMUM_SIZE = 2**63 - 1
PROOF_HEADER = b"c2sp.org/tlog-proof@v1"


class VerificationError(Exception):
    """Something is malformed or does not verify; the text says what."""


def require(condition: bool, message: str) -> None:
    if not condition:
        raise VerificationError(message)


# Spelling: base64 and decimals have one form each.


def from_base64(text: bytes, what: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise VerificationError(f"{what} is not base64") from None
    require(base64.b64encode(data) == text, f"{what} is not canonical base64")
    return data


def from_decimal(text: bytes, what: str) -> int:
    require(re.fullmatch(rb"0|[1-9][0-9]{0,18}", text) is not None, f"{what} is not a decimal number")
    require(int(text) <= MAXIMUM_SIZE, f"{what} is too large")
    return int(text)


def from_hash(text: bytes, what: str) -> bytes:
    data = from_base64(text, what)
    require(len(data) == 32, f"{what} has {len(data)} bytes instead of 32")
    return data


def is_key_name(name: str) -> bool:
    # str.isspace takes the separators U+001C to U+001F for spaces too; control characters are refused anyway.
    return bool(name) and "+" not in name and not any(c.isspace() or c < " " for c in name)


# signed-note


class Key(NamedTuple):
    """A public key that signatures are verified with."""

    name: str
    key_id: bytes
    kind: int
    public_key: bytes


def key_id(name: str, kind: int, public_key: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public_key).digest()[:4]


def parse_vkey(vkey: str) -> Key:
    parts = vkey.split("+", 2)
    require(len(parts) == 3, "the verifier key is not name+hash+base64")
    name, stated_id, encoded = parts
    require(is_key_name(name), "the verifier key has a malformed name")
    require(encoded.isascii(), "the verifier key is not base64")
    data = from_base64(encoded.encode(), "the verifier key")
    require(len(data) == 33 and data[0] in (ED25519, COSIGNATURE), "the verifier key is not of a supported type")
    key = Key(name, key_id(name, data[0], data[1:]), data[0], data[1:])
    require(stated_id == key.key_id.hex(), "the verifier key's hash is not that of its name and key")
    return key


class Signature(NamedTuple):
    name: str
    key_id: bytes
    data: bytes


def split_note(note: bytes) -> Tuple[bytes, List[Signature]]:
    """The text, with its last newline, and the signatures."""
    require(len(note) <= MAXIMUM_NOTE, "the note is too large")
    try:
        note.decode("utf-8")
    except UnicodeDecodeError:
        raise VerificationError("the note is not UTF-8") from None
    require(not any(byte < 0x20 and byte != 0x0A for byte in note), "the note has control characters")
    separator = note.rfind(b"\n\n")
    require(separator >= 0 and note.endswith(b"\n"), "the note has no blank line before its signatures")
    text, block = note[: separator + 1], note[separator + 2 :]
    require(block != b"", "the note has no signatures")
    lines = block[:-1].split(b"\n")
    require(len(lines) <= MAXIMUM_SIGNATURES, "the note has too many signatures")
    signatures = []
    for line in lines:
        parts = line.split(b" ")
        require(len(parts) == 3 and parts[0] == "\u2014".encode(), "a signature line is malformed")
        name = parts[1].decode()
        require(is_key_name(name), "a signature line has a malformed key name")
        data = from_base64(parts[2], "a signature")
        require(len(data) > 4, "a signature is too short")
        signatures.append(Signature(name, data[:4], data[4:]))
    return text, signatures


def verify_signature(key: Key, signature: Signature, text: bytes) -> Optional[int]:
    """Gives the time of a cosignature, None for a plain one."""
    time = None
    data, message = signature.data, text
    if key.kind == COSIGNATURE:
        require(len(data) == 8 + 64, f"the cosignature by {key.name} has the wrong length")
        time = int.from_bytes(data[:8], "big")
        require(time <= MAXIMUM_SIZE, f"the cosignature by {key.name} is out of time")
        data, message = data[8:], b"cosignature/v1\ntime %d\n" % time + text
    try:
        Ed25519PublicKey.from_public_bytes(key.public_key).verify(data, message)
    except InvalidSignature:
        raise VerificationError(f"the signature by {key.name} does not verify") from None
    return time


def verify_signatures(note: bytes, keys: Sequence[Key]) -> Tuple[bytes, Dict[Key, List[Optional[int]]]]:
    """The text, and for each known key that signed it the times it states. A bad one by a known key refuses all."""
    text, signatures = split_note(note)
    found: Dict[Key, List[Optional[int]]] = {}
    for signature in signatures:
        for key in set(keys):
            if (key.name, key.key_id) == (signature.name, signature.key_id):
                found.setdefault(key, []).append(verify_signature(key, signature, text))
    return text, found


# tlog-checkpoint


@dataclass(frozen=True)
class Checkpoint:
    origin: str
    size: int
    root: bytes


def parse_checkpoint(text: bytes) -> Checkpoint:
    require(text.endswith(b"\n"), "the checkpoint does not end in a newline")
    lines = text[:-1].split(b"\n")
    require(len(lines) >= 3 and all(lines), "the checkpoint does not have three lines that are not empty")
    size = from_decimal(lines[1], "the tree size")
    root = from_hash(lines[2], "the root hash")
    require(size > 0 or root == empty_root(), "the empty tree has another root hash")
    return Checkpoint(lines[0].decode(), size, root)


def open_checkpoint(
    note: bytes, origin: str, keys: Sequence[Key], witnesses: Sequence[Key] = (), quorum: int = 0
) -> Checkpoint:
    """A checkpoint of this origin, signed by one of the log's keys and by as many witnesses as asked for."""
    text, signers = verify_signatures(note, [*keys, *witnesses])
    require(any(key in signers for key in keys), "the checkpoint has no signature by the log")
    cosigners = {key.public_key for key in signers if key in witnesses}
    require(len(cosigners) >= quorum, f"the checkpoint has {len(cosigners)} cosignatures of {quorum} required")
    checkpoint = parse_checkpoint(text)
    require(checkpoint.origin == origin, f"the checkpoint is of {checkpoint.origin!r}")
    return checkpoint


# RFC 6962, section 2.1


def empty_root() -> bytes:
    return hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def split_point(size: int) -> int:
    """The largest power of two below the size."""
    return 1 << ((size - 1).bit_length() - 1)


def root_from_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that PATH(index, D[size]) leads to: the recursion of the RFC, read backwards."""
    require(0 <= index < size, f"entry {index} is not in a tree of size {size}")
    if size == 1:
        require(not path, "the inclusion proof has too many hashes")
        return leaf
    require(len(path) > 0, "the inclusion proof has too few hashes")
    split = split_point(size)
    if index < split:
        return node_hash(root_from_path(leaf, index, split, path[:-1]), path[-1])
    return node_hash(path[-1], root_from_path(leaf, index - split, size - split, path[:-1]))


# tlog-proof


@dataclass(frozen=True)
class Proof:
    extra: Optional[bytes]
    index: int
    hashes: List[bytes]
    checkpoint: bytes


def parse_proof(data: bytes) -> Proof:
    require(len(data) <= MAXIMUM_PROOF, "the proof is too large")
    head, separator, checkpoint = data.partition(b"\n\n")
    require(separator != b"", "the proof has no blank line before its checkpoint")
    lines = head.split(b"\n")
    require(lines.pop(0) == PROOF_HEADER, f"the proof does not begin with {PROOF_HEADER.decode()}")
    extra = None
    if lines and lines[0].startswith(b"extra "):
        extra = from_base64(lines.pop(0)[len(b"extra ") :], "the extra data")
        require(extra != b"", "the extra data is empty")
    require(bool(lines) and lines[0].startswith(b"index "), "the proof has no index")
    index = from_decimal(lines.pop(0)[len(b"index ") :], "the index")
    require(len(lines) <= 63, "the proof has too many hashes")
    return Proof(extra, index, [from_hash(line, "a hash of the proof") for line in lines], checkpoint)


def verify_proof(
    data: bytes, entry: bytes, origin: str, keys: Sequence[Key], witnesses: Sequence[Key] = (), quorum: int = 0
) -> Tuple[Proof, Checkpoint]:
    """The whole check: the log signed a tree that has the entry at the proof's index."""
    proof = parse_proof(data)
    checkpoint = open_checkpoint(proof.checkpoint, origin, keys, witnesses, quorum)
    root = root_from_path(leaf_hash(entry), proof.index, checkpoint.size, proof.hashes)
    require(root == checkpoint.root, f"the entry is not number {proof.index} of the signed tree")
    return proof, checkpoint


# Command line


def read_file(path: str, limit: int) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise VerificationError(f"cannot read {path}: {error.strerror}") from None
    require(len(data) <= limit, f"{path} is too large")
    return data


def add_trust_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--vkey", action="append", required=True, help="verifier key of the log; repeat while rotating")
    parser.add_argument("--origin", required=True, help="first line of the log's checkpoints")
    parser.add_argument("--witness", action="append", default=[], help="verifier key of a witness; may be repeated")
    parser.add_argument("--quorum", type=int, default=None, help="witnesses required; all of them if not given")


def trust(options: argparse.Namespace) -> Tuple[List[Key], List[Key], int]:
    keys = [parse_vkey(vkey) for vkey in options.vkey]
    witnesses = [parse_vkey(vkey) for vkey in options.witness]
    quorum = len(witnesses) if options.quorum is None else options.quorum
    require(0 <= quorum <= len(witnesses), "the quorum does not fit the number of witnesses")
    return keys, witnesses, quorum


def one_line(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:500]


def main(arguments: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(description="Verify a transparency-log proof file offline.")
    add_trust_arguments(parser)
    parser.add_argument("--entry", required=True, help="file with the bytes of the entry")
    parser.add_argument("proof", help="the .tlog-proof file")
    options = parser.parse_args(arguments)
    try:
        keys, witnesses, quorum = trust(options)
        entry = read_file(options.entry, 65_535)
        proof, checkpoint = verify_proof(
            read_file(options.proof, MAXIMUM_PROOF), entry, options.origin, keys, witnesses, quorum
        )
    except VerificationError as error:
        print(f"failed: {one_line(str(error))}")
        return 1
    root = base64.b64encode(checkpoint.root).decode()
    print(one_line(f"ok: entry {proof.index} of {checkpoint.size} in {checkpoint.origin}, root {root}"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
