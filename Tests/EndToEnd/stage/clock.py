"""A wall clock of a process's own, which a test sets while the process runs."""

import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("shift.c")


def compiled(folder: Path) -> Path:
    """The library that shifts the clock, by the compiler that comes with Swift or the system's."""
    library = folder / "shift.so"
    compiler = shutil.which("clang") or shutil.which("cc")
    assert compiler, "no C compiler: the Swift toolchain brings clang"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, SOURCE, "-ldl"], check=True)
    return library


class Clock:
    """Starts where the machine's is. `command` goes before a command line whose process shall have this clock."""

    def __init__(self, library: Path, path: Path):
        self.path, self.shift = path, 0
        path.write_bytes(bytes(8))
        self.command = ["env", f"LD_PRELOAD={library}", f"SHIFT_FILE={path}"]

    def set(self, seconds: int) -> None:
        """Seconds that it is ahead of the machine's from now on."""
        self.shift = seconds
        # In place: the process has mapped the file.
        with open(self.path, "r+b") as file:
            file.write((seconds * 1000).to_bytes(8, "little", signed=True))
