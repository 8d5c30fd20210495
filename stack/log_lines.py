"""A line of a log as people read it, and as programs do.

Our own services write a JSON object a line; Triton and Milvus write what they like.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from vitrine.terminal import printable

_COLOURS: Mapping[str, str] = {"warning": "yellow", "error": "red", "critical": "red"}
_SHOWN_FIRST = ("time", "level", "logger", "event")
_TRACEBACK = "traceback"


def for_people(line: str) -> str:
    """Return the moment, the level, who says what, and the rest as name=value; a traceback in lines below."""
    entry = _parsed(line)
    if entry is None or not entry.keys() >= set(_SHOWN_FIRST):
        return printable(line)
    moment, level, logger, event = (printable(str(entry[name])) for name in _SHOWN_FIRST)
    words = [moment[:19].replace("T", " "), click.style(f"{level:7}", fg=_COLOURS.get(level)), logger, event]
    return "\n".join([" ".join([*words, *_values(entry)]), *_traceback(entry)])


def for_programs(process: str, line: str) -> str:
    """Return a JSON object with the process; what is no object in the log stands in `line`."""
    entry = _parsed(line)
    return json.dumps(
        {"process": process, **({"line": line} if entry is None else entry)}, ensure_ascii=False
    )


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def _values(entry: Mapping[str, Any]) -> Iterator[str]:
    for name, value in entry.items():
        if name not in {*_SHOWN_FIRST, _TRACEBACK}:
            plain = isinstance(value, str) and value and not any(c.isspace() or c in "\"'=" for c in value)
            text = value if plain else json.dumps(value, ensure_ascii=False)
            yield printable(f"{name}={text}")


def _traceback(entry: Mapping[str, Any]) -> list[str]:
    return [printable(f"    {line}") for line in str(entry.get(_TRACEBACK, "")).splitlines()]
