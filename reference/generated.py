"""`python -m reference.generated`: names the committed files that are made by a command and are not what it would write.

`make lint` runs it. It writes nothing; `make generated` writes all of them.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks import report
from catalogue import document
from reference import pages, protos


def _stale_tables() -> list[str]:
    text = document.DOCUMENT.read_text(encoding="utf-8")
    return [] if document.filled(text) == text else [document.DOCUMENT.as_posix()]


GENERATORS: Mapping[str, Callable[[], list[str]]] = {
    "make proto": protos.stale_files,
    "python -m catalogue document": _stale_tables,
    "python -m reference": lambda: pages.out_of_date(Path()),
    "python -m benchmarks report": lambda: [path.as_posix() for path in report.stale_files()],
}
"""What returns the stale files of a command, by the command that writes them."""


def problems(generators: Mapping[str, Callable[[], list[str]]] = GENERATORS) -> Iterator[str]:
    """Yield a line a file that is not what its command would write in the working directory's project."""
    for command, stale_files in generators.items():
        yield from (f"{path} is out of date: {command}" for path in stale_files())


if __name__ == "__main__":
    found = list(problems())
    if found:
        sys.exit("\n".join([*found, "`make generated` writes all of them."]))
