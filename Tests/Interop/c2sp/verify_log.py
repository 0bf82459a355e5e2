#!/usr/bin/env python3
"""Verifies a whole tiled log: checkpoint, every entry bundle, every tile, and the root recomputed from the entries.

    verify_log.py --vkey VKEY --origin ORIGIN (--url http://… | --dir DIRECTORY) [--previous CHECKPOINT]

With `--previous`, also that the log continues the one of an earlier checkpoint. Written from C2SP tlog-tiles and
RFC 6962 alone. One line of output; exit status 0 if all is well, 1 if not: then the first bad entry is named.
"""

import argparse
import base64
import http.client
import sys
import urllib.error
import urllib.parse
import urllib.request
import zlib
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

sys.path.insert(0, str(Path(__file__).resolve().parent))

from verify_proof import (  # noqa: E402
    MAXIMUM_NOTE,
    Checkpoint,
    Key,
    VerificationError,
    add_trust_arguments,
    empty_root,
    leaf_hash,
    node_hash,
    one_line,
    open_checkpoint,
    read_file,
    require,
    trust,
)

TILE = 256
HASH = 32
MAXIMUM_BUNDLE = TILE * (2 + 65_535)


class NotStored(VerificationError):
    """The log does not have a resource."""


# Where the resources come from


class Directory:
    """A log as files below a directory."""

    def __init__(self, root: str):
        self.root = Path(root)

    def get(self, path: str, limit: int) -> bytes:
        file = self.root / path
        if not file.is_file():
            raise NotStored(f"{path} is missing")
        return read_file(str(file), limit)


class Web:
    """A log below a URL prefix."""

    def __init__(self, prefix: str, timeout: float = 30):
        try:
            scheme = urllib.parse.urlsplit(prefix).scheme
        except ValueError:
            scheme = ""
        require(scheme in ("http", "https"), "the URL is not of http or https")
        self.prefix = prefix.rstrip("/")
        self.timeout = timeout

    def get(self, path: str, limit: int) -> bytes:
        request = urllib.request.Request(f"{self.prefix}/{path}", headers={"Accept-Encoding": "gzip, identity"})
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as response:
                data = response.read(limit + 1)
                require(len(data) <= limit, f"{path} is too large")
                if response.headers.get("Content-Encoding", "identity").strip().lower() == "gzip":
                    data = self.decompressed(data, path, limit)
                return data
        except urllib.error.HTTPError as error:
            if error.code in (404, 410):
                raise NotStored(f"{path} is missing") from None
            raise VerificationError(f"{path}: HTTP status {error.code}") from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise VerificationError(f"{path}: {error}") from None

    @staticmethod
    def decompressed(data: bytes, path: str, limit: int) -> bytes:
        decoder = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        try:
            plain = decoder.decompress(data, limit + 1)
        except zlib.error:
            raise VerificationError(f"{path} is not gzip") from None
        require(len(plain) <= limit, f"{path} is too large")
        require(decoder.eof, f"{path} ends within its compressed data")
        return plain


# tlog-tiles


def index_path(index: int, width: int) -> str:
    """Three digits an element, all but the last after an x; `.p/<W>` for a partial tile."""
    elements = [f"{index % 1000:03d}"]
    while index >= 1000:
        index //= 1000
        elements.insert(0, f"x{index % 1000:03d}")
    return "/".join(elements) + ("" if width == TILE else f".p/{width}")


def get_tile(source, kind: str, index: int, width: int, limit: int) -> Tuple[bytes, int]:
    """The resource and its width: the full tile if the partial one is gone."""
    try:
        return source.get(f"tile/{kind}/{index_path(index, width)}", limit), width
    except NotStored:
        if width == TILE:
            raise
        try:
            return source.get(f"tile/{kind}/{index_path(index, TILE)}", limit), TILE
        except NotStored:
            raise NotStored(f"tile/{kind}/{index_path(index, width)} is missing") from None


def get_hashes(source, level: int, index: int, width: int) -> List[bytes]:
    data, stored = get_tile(source, str(level), index, width, TILE * HASH)
    name = f"tile/{level}/{index_path(index, width)}"
    require(len(data) == stored * HASH, f"{name} has {len(data)} bytes instead of {stored * HASH}")
    return [data[start : start + HASH] for start in range(0, width * HASH, HASH)]


def get_entries(source, index: int, width: int) -> List[bytes]:
    data, stored = get_tile(source, "entries", index, width, MAXIMUM_BUNDLE)
    name = f"tile/entries/{index_path(index, width)}"
    entries, position = [], 0
    while position < len(data):
        end = position + 2 + int.from_bytes(data[position : position + 2], "big")
        require(position + 2 <= len(data) and end <= len(data), f"{name} ends within entry {index * TILE + len(entries)}")
        entries.append(data[position + 2 : end])
        position = end
    require(len(entries) == stored, f"{name} has {len(entries)} entries instead of {stored}")
    return entries[:width]


def tiles_of_level(size: int, level: int) -> Iterator[Tuple[int, int]]:
    """Index and width of every tile of a level."""
    hashes = size // TILE**level
    for index in range((hashes + TILE - 1) // TILE):
        yield index, min(TILE, hashes - index * TILE)


# RFC 6962, section 2.1


class Roots:
    """The root over leaves that come one after the other, in memory of the tree's height."""

    def __init__(self) -> None:
        self.size = 0
        self.peaks: List[bytes] = []

    def append(self, leaf: bytes) -> None:
        self.peaks.append(leaf)
        self.size += 1
        completed = self.size
        while completed % 2 == 0:
            right = self.peaks.pop()
            self.peaks.append(node_hash(self.peaks.pop(), right))
            completed //= 2

    def root(self) -> bytes:
        if not self.peaks:
            return empty_root()
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root


def root_of(hashes: Sequence[bytes]) -> bytes:
    roots = Roots()
    for value in hashes:
        roots.append(value)
    return roots.root()


# The checks


def verify_log(
    source,
    origin: str,
    keys: Sequence[Key],
    witnesses: Sequence[Key] = (),
    quorum: int = 0,
    previous: Optional[bytes] = None,
) -> Checkpoint:
    """Fetches and checks everything of the tree that the log's checkpoint signs."""
    note = source.get("checkpoint", MAXIMUM_NOTE)
    checkpoint = open_checkpoint(note, origin, keys, witnesses, quorum)
    earlier: Dict[int, bytes] = {}
    if previous is not None:
        before = open_checkpoint(previous, origin, keys)
        require(before.size <= checkpoint.size, f"the log has shrunk from {before.size} to {checkpoint.size} entries")
        earlier[before.size] = before.root
    root = verify_entries(source, checkpoint.size, earlier)
    verify_upper_tiles(source, checkpoint.size)
    require(root == checkpoint.root, "entries and tiles agree, but their root is not the signed one")
    return checkpoint


def verify_entries(source, size: int, earlier: Dict[int, bytes]) -> bytes:
    """Compares each entry with its hash in the level-0 tile; gives the root over the entries."""
    roots = Roots()
    require(earlier.get(0, empty_root()) == empty_root(), "the earlier checkpoint of size 0 has another root")
    for index, width in tiles_of_level(size, 0):
        entries = get_entries(source, index, width)
        hashes = get_hashes(source, 0, index, width)
        for position, (entry, stored) in enumerate(zip(entries, hashes)):
            leaf = leaf_hash(entry)
            require(leaf == stored, f"entry {index * TILE + position} does not match its hash")
            roots.append(leaf)
            if roots.size in earlier:
                require(
                    earlier[roots.size] == roots.root(),
                    f"the first {roots.size} entries are not those of the earlier checkpoint",
                )
    require(roots.size == size, f"there are {roots.size} entries instead of {size}")
    return roots.root()


def verify_upper_tiles(source, size: int) -> None:
    """Compares every hash above level 0 with the full tile below that it stands for."""
    level = 1
    while size // TILE**level > 0:
        for index, width in tiles_of_level(size, level):
            for position, stored in enumerate(get_hashes(source, level, index, width)):
                below = index * TILE + position
                require(
                    root_of(get_hashes(source, level - 1, below, TILE)) == stored,
                    f"hash {position} of tile/{level}/{index_path(index, width)} is not that of the tile below",
                )
        level += 1


def main(arguments: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(description="Verify a whole tiled transparency log.")
    add_trust_arguments(parser)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--url", help="prefix of the log, http or https")
    where.add_argument("--dir", help="directory of the log")
    parser.add_argument("--previous", help="file with an earlier checkpoint that the log must continue")
    options = parser.parse_args(arguments)
    try:
        keys, witnesses, quorum = trust(options)
        source = Web(options.url) if options.url is not None else Directory(options.dir)
        previous = read_file(options.previous, MAXIMUM_NOTE) if options.previous else None
        checkpoint = verify_log(source, options.origin, keys, witnesses, quorum, previous)
    except VerificationError as error:
        print(f"failed: {one_line(str(error))}")
        return 1
    root = base64.b64encode(checkpoint.root).decode()
    print(one_line(f"ok: {checkpoint.size} entries in {checkpoint.origin}, root {root}"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
