"""What the machine does to a service: a disk that is small, a clock that is set."""

import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLOCK_VARIABLE = "VITRINE_CHAOS_CLOCK"
SMALL_DISK_MB = 256
_BLOCK = 1 << 20


@contextmanager
def small_disk(place: Path) -> Iterator[None]:
    """Lay a small file system of its own over a folder; raises PermissionError where that takes root."""
    place.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_MB}m", "vitrine-chaos", str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PermissionError(f"no small disk can be mounted: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


class Disk:
    """The disk of a folder, which can be filled."""

    def __init__(self, folder: Path) -> None:
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave not a byte."""
        with self._ballast.open("wb", buffering=0) as ballast:
            for size in (_BLOCK, 4_096, 1):
                try:
                    while True:
                        ballast.write(bytes(size))
                except OSError:
                    continue

    def free(self) -> None:
        """Give it all back."""
        self._ballast.unlink(missing_ok=True)


class Clock:
    """A wall clock of its own for whatever is started with its environment; raises OSError where it cannot be built.

    Milvus Lite keeps the true time unless `lite` says otherwise: it does not bear a clock that goes back.
    """

    def __init__(self, folder: Path, *, lite: bool = False) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            raise FileNotFoundError("no C compiler: make setup-test")
        library = folder / "clock.so"
        source = Path(__file__).with_name("clock.c")
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(source), "-ldl"], check=True
        )
        self._shift = folder / "clock"
        self.set(0.0)
        spared = {} if lite else {f"{CLOCK_VARIABLE}_NOT": "milvus"}
        self.environment = {"LD_PRELOAD": str(library), CLOCK_VARIABLE: str(self._shift), **spared}

    def set(self, shift_s: float) -> None:
        """Let it jump to so many seconds from the true time."""
        with self._shift.open("r+b" if self._shift.exists() else "wb", buffering=0) as file:
            file.write(struct.pack("d", shift_s))
