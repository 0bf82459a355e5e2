"""Waiting with a bound, the only kind of waiting in these tests."""

import time
from typing import Callable, Optional, TypeVar

T = TypeVar("T")


def eventually(
    probe: Callable[[], Optional[T]], what: str, within: float = 20.0, every: float = 0.05, ignore: tuple = ()
) -> T:
    """The first true answer of `probe`; fails with `what` and the last answer or error when none comes in time."""
    deadline = time.monotonic() + within
    last: object = None
    while True:
        try:
            last = probe()
            if last:
                return last
        except ignore as error:
            last = error
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {within} s: {what}; last: {last!r}")
        time.sleep(every)
