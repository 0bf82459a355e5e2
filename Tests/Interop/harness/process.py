"""One process of the product: started, watched, stopped by its own pid."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Optional, Sequence

START_TIMEOUT = 30.0
"""Seconds until the ready file must be there; generous, because a debug build shares two cores with a build."""

STOP_TIMEOUT = 15.0


def becoming(user: int) -> list[str]:
    """What goes before a command that another user runs.

    Not by Popen's `user`: that makes Python fork with all its handlers, which gRPC's threads do not always survive.
    """
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]


class Process:
    """Runs a command with its output in a log file; `alive` holds every one that was started and not yet forgotten."""

    alive: list["Process"] = []

    def __init__(self, name: str, command: Sequence[str], folder: Path, user: Optional[int] = None):
        self.name = name
        self.command = [str(part) for part in ([] if user is None else becoming(user)) + [*command]]
        self.log_path = folder / f"{name}.log"
        self._log = open(self.log_path, "ab")
        # No variable of the developer's shell may point the product at another instance.
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("SPIFFE_", "SPIRE_", "AGENTSHIELD_"))}
        self.popen = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=clean,
            start_new_session=True,
        )
        Process.alive.append(self)

    @property
    def pid(self) -> int:
        return self.popen.pid

    def log(self, lines: int = 80) -> str:
        if not self.log_path.exists():
            return "(the folder of the test has gone, and the log with it)"
        text = self.log_path.read_text(errors="replace").splitlines()
        return "\n".join(text[-lines:])

    def wait_ready(self, ready_file: Path) -> dict:
        """What the ready file says, once it is whole."""
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            if self.popen.poll() is not None:
                raise AssertionError(
                    f"{self.name} ended with {self.popen.returncode} before it was ready:\n{self.log()}"
                )
            try:
                return json.loads(ready_file.read_text())
            except (FileNotFoundError, json.JSONDecodeError):
                time.sleep(0.02)
        raise AssertionError(f"{self.name} was not ready within {START_TIMEOUT} s:\n{self.log()}")

    def stop(self, sign: int = signal.SIGTERM) -> int:
        """Ends the process and returns its exit code; one that does not end in time is killed and that is an error."""
        if self.popen.poll() is None:
            self.popen.send_signal(sign)
            try:
                self.popen.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait(STOP_TIMEOUT)
                self._forget()
                raise AssertionError(f"{self.name} did not end within {STOP_TIMEOUT} s of signal {sign}:\n{self.log()}")
        self._forget()
        return self.popen.returncode

    def _forget(self) -> None:
        self._log.close()
        if self in Process.alive:
            Process.alive.remove(self)
