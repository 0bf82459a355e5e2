"""Follows a guide literally: the shell blocks of a Markdown page, in order, in one shell. The current directory stands for
the repository and has of it what a test puts there."""

import os
import re
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Callable, Optional, Union

from harness import domain as shield

ROOT = Path(__file__).resolve().parents[3]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Guide:
    """`run` gives what each block printed. Blocks of other languages are skipped, or a test turns them into shell."""

    def __init__(self, page: str, folder: Path):
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        (self.bin / "agentshield").symlink_to(shield.default_binary())
        self.work = folder / "repository"
        self.work.mkdir()
        self.blocks = BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))

    def command(self, name: str, script: str) -> None:
        """A program that the guide calls and that is not there: `script` stands in for it."""
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    @staticmethod
    def typed(text: str) -> str:
        """What is typed in a `console` block: lines that begin with `$ `, and their continuations."""
        lines, going_on = [], False
        for line in text.splitlines():
            if line.startswith("$ ") or going_on:
                lines.append(line.removeprefix("$ "))
                going_on = line.endswith("\\")
        return "".join(line + "\n" for line in lines)

    def run(self, others: dict[str, Callable[[str], Optional[str]]] = {}, timeout: float = 120) -> list[str]:
        """Runs every block; fails with what was printed if one fails. Processes that it left behind are ended."""
        parts = []
        for language, text in self.blocks:
            code = text if language == "sh" else others.get(language, lambda _: None)(text)
            if code is not None:
                parts.append(code)
        script = "set -euo pipefail\ncd repository\n" + "".join(f"printf '\\036'\n{part}" for part in parts)
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("SPIFFE_", "SPIRE_", "AGENTSHIELD_"))}
        clean["PATH"] = f"{self.bin}:{clean['PATH']}"
        with tempfile.TemporaryFile("w+") as out:
            shell = subprocess.Popen(
                ["bash", "-c", script], cwd=self.folder, env=clean, stdin=subprocess.DEVNULL,
                stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            try:
                code: Union[int, str] = shell.wait(timeout)
            except subprocess.TimeoutExpired:
                code = f"nothing within {timeout} s"
            finally:
                # The shell leads a session of its own: what it started in the background ends with it.
                try:
                    os.killpg(shell.pid, signal.SIGTERM)
                except ProcessLookupError:
                    pass
                shell.wait()
            out.seek(0)
            text = out.read()
        assert code == 0, f"the guide's shell ended with {code}:\n{text}"
        return text.split("\x1e")[1:]
