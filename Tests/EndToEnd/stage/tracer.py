"""Kills a running process at its n-th write to the disk, by strace."""

import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Optional

WRITES = "pwrite64,fdatasync,fsync,rename,renameat,renameat2,unlink,unlinkat,ftruncate,link,linkat"
"""What changes files, and what makes changes last. `write` is not among them: logs and wake-ups are that."""


STEP = 3
"""Of the writes of an act every so many-th is tried before the ones in between."""


class Writes:
    """The writes of an act that are still to die at."""

    def __init__(self):
        # From the n-th write on the act survives: unknown before it has.
        self.survives: Optional[int] = None
        self.tried: set[int] = set()

    def next(self) -> Optional[int]:
        """The write to die at next; None when all have been tried."""
        for start in range(1, STEP + 1):
            number = start
            while self.survives is None or number < self.survives:
                if number not in self.tried:
                    return number
                number += STEP
        return None


def deadly_start(number: int, calls: str = WRITES) -> list[str]:
    """What goes before a command whose n-th call of these, of one thread, is its last."""
    return [
        "strace", "-D", "-f", "-qq", "-e", f"trace={calls}", "-e", f"inject={calls}:signal=KILL:when={number}",
        "-o", "/dev/null",
    ]  # fmt: skip


class DiedAlready(Exception):
    """The process came to its deadly write while it was being attached to: a write of its own, before any act."""


class Deadly:
    """Attached to a process: its n-th call of these (of one thread; each counts for itself) is its last, and is not done."""

    def __init__(self, pid: int, number: int, calls: str = WRITES):
        self._strace = subprocess.Popen(
            ["strace", "-f", "-qq", "-p", str(pid), "-e", f"trace={calls}",
             "-e", f"inject={calls}:signal=KILL:when={number}", "-o", "/dev/null"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 10
        while not self._is_attached(pid):
            if self._strace.poll() is not None or time.monotonic() > deadline:
                self.detach()
                if has_ended(pid):
                    raise DiedAlready(f"{pid} ended while it was being attached to")
                raise PermissionError("strace cannot be attached here")
            time.sleep(0.005)

    def _is_attached(self, pid: int) -> bool:
        """Every thread has a tracer."""
        try:
            threads = [thread for thread in Path(f"/proc/{pid}/task").iterdir()]
            return all(f"TracerPid:\t{self._strace.pid}\n" in (thread / "status").read_text() for thread in threads)
        except (FileNotFoundError, ProcessLookupError):
            return False

    def detach(self) -> None:
        if self._strace.poll() is None:
            self._strace.send_signal(signal.SIGTERM)
        try:
            # A tracer that is told to go while its process dies waits for ever; without one a living process goes on.
            self._strace.wait(1)
        except subprocess.TimeoutExpired:
            self._strace.kill()
            self._strace.wait(10)


def has_ended(pid: int) -> bool:
    """Gone, or dead and not yet waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def why_not() -> Optional[str]:
    """Why processes cannot be traced here; None when they can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    victim = subprocess.Popen(["sleep", "60"])
    try:
        Deadly(victim.pid, 1000).detach()
        return None
    except PermissionError as error:
        return str(error)
    finally:
        victim.kill()
        victim.wait()
