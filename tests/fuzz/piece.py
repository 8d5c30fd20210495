"""Pieces of a run of fuzzing: `python -m tests.fuzz.piece SEED STATE TARGET=CASES ...`.

Each is a process of its own, since the fuzzer ends it. It is forked off one that has imported the code and instrumented
it, which takes longer than thousands of cases do. In STATE/TARGET it leaves piece.log, what it said, and piece.json where
every case went well.
"""

import ctypes
import gc
import json
import logging
import os
import signal
import sys
import warnings
from pathlib import Path

import atheris

INSTRUMENTED = ("vitrine", "gateway", "rewriter", "catalogue", "storefront", "tests.fuzz.targets")

with atheris.instrument_imports(include=[*INSTRUMENTED]):
    from tests.fuzz.targets import PLANTED, TARGETS, planted

_PAGE = os.sysconf("SC_PAGE_SIZE")
_SLOW_CASE_S = 20
_MOST_MEMORY_MB = 2_048
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Run the pieces, one after the other."""
    for each in sys.argv[3:]:
        target, _, cases = each.partition("=")
        child = os.fork()
        if not child:
            _fuzz(target, int(cases), int(sys.argv[1]), Path(sys.argv[2]) / target)
        os.waitpid(child, 0)


def _fuzz(name: str, cases: int, seed: int, folder: Path) -> None:
    """Run the cases of a target; never returns."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # whoever ends the pieces ends this one
    with (folder / "piece.log").open("wb") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    target = (TARGETS | {PLANTED: planted})[name]
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    run = before = 0

    def one(data: bytes) -> None:
        nonlocal run, before
        target(data)
        run += 1
        if run == cases // 10:
            before = _memory()
        if run == cases:
            growth = (_memory() - before) / 1e6
            (folder / "piece.json").write_text(json.dumps({"cases": run, "growth_mb": round(growth, 2)}))

    options = (
        f"-runs={cases}",
        f"-seed={seed}",
        "-max_len=4096",
        f"-timeout={_SLOW_CASE_S}",
        f"-rss_limit_mb={_MOST_MEMORY_MB}",
        f"-artifact_prefix={folder}/",
        "-verbosity=0",
    )
    atheris.Setup([sys.argv[0], *options, str(folder / "corpus")], one)
    atheris.Fuzz()


def _memory() -> int:
    """Return the bytes of memory in use, garbage and what the allocator keeps left out."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


if __name__ == "__main__":
    main()
