"""A scripted agent of ours on loopback, as a process of its own."""

import shutil
import tempfile
from pathlib import Path
from typing import Optional, Sequence

from harness import domain as shield
from harness.ports import free_port
from harness.process import Process

EXAMPLE = Path(__file__).resolve().parents[3] / "Examples" / "a2a" / "script.yaml"


class ScriptedAgent:
    """`agentshield a2a scripted-agent`, with the documented example script unless another is given."""

    def __init__(self, script: Optional[str] = None, extra: Sequence[str] = (), keeps_tasks: bool = False):
        self.folder = Path(tempfile.mkdtemp(prefix="agentshield-a2a-"))
        self.script = EXAMPLE
        if script is not None:
            self.script = self.folder / "script.yaml"
            self.script.write_text(script)
        self.port = free_port()
        self.grpc_port = free_port()
        self.extra = ["-grpcPort", str(self.grpc_port), *extra]
        if keeps_tasks:
            (self.folder / "data").mkdir()
            self.extra += ["-dataDir", self.folder / "data"]
        self.process: Optional[Process] = None

    def start(self) -> "ScriptedAgent":
        ready = self.folder / "ready.json"
        ready.unlink(missing_ok=True)
        self.process = Process(
            "scripted-agent",
            [shield.default_binary(), "a2a", "scripted-agent", "-script", self.script, "-port", str(self.port),
             "-readyFile", ready, *self.extra],
            self.folder,
        )  # fmt: skip
        self.url = self.process.wait_ready(ready)["url"]
        return self

    def kill(self) -> None:
        self.process.popen.kill()
        self.process.popen.wait(20)

    def stop(self) -> None:
        if self.process and self.process.popen.poll() is None:
            assert self.process.stop() == 0
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "ScriptedAgent":
        return self.start()

    def __exit__(self, *_) -> None:
        self.stop()
