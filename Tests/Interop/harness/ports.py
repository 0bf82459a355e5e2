"""Ports for processes that have to be told theirs: an address that is known before, or that outlives a restart."""

import random
import socket
from pathlib import Path

LOWEST = 15_000
"""Above what guides and examples name."""

_random = random.SystemRandom()
_given: set[int] = set()


def _candidates() -> range:
    """What the kernel gives to nobody who asks for any port: neither to a connection nor to a listener at port 0."""
    lowest_of_kernel = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    return range(LOWEST, lowest_of_kernel) if lowest_of_kernel > LOWEST + 1000 else range(61_000, 65_000)


def free_port() -> int:
    """A loopback port where nobody listens, and that nobody else is given while its process is down.

    At random: tests run in several processes, which know nothing of each other.
    """
    while True:
        port = _random.choice(_candidates())
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
