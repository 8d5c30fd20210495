"""One piece of a run of fuzzing: `python -m tests.fuzz.piece TARGET CASES SEED FOLDER`.

A process of its own, since the fuzzer ends it; it leaves piece.json where every case went well.
"""

import ctypes
import gc
import json
import logging
import os
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


def main() -> None:
    """Run the cases; never returns."""
    target, cases, seed, folder = (
        (TARGETS | {PLANTED: planted})[sys.argv[1]],
        int(sys.argv[2]),
        int(sys.argv[3]),
        Path(sys.argv[4]),
    )
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
