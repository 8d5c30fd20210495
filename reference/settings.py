"""The page of settings: every environment variable of every service."""

from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

import gateway.settings
import rewriter.settings
import speech.settings
import storefront.settings
from benchmarks.tables import table
from reference.markdown import MADE_BY, attribute_texts, cell
from vitrine.process.settings import variable

_SERVICES = (
    ("The gateway", gateway.settings.PREFIX, gateway.settings.Settings),
    ("The rewriter", rewriter.settings.PREFIX, rewriter.settings.Settings),
    ("The speech service", speech.settings.PREFIX, speech.settings.Settings),
    ("The page", storefront.settings.PREFIX, storefront.settings.Settings),
)


def page() -> list[str]:
    """Return the page's lines."""
    lines = [
        "# Settings",
        "",
        MADE_BY,
        "",
        "Every service reads its settings from the environment, once, and refuses to start over a name that it does not know.",
        "`_MS` and `_S` are milliseconds and seconds. On one machine `python -m stack up --set NAME=VALUE` passes them on; in the",
        "chart they are `gateway.settings`, `rewriter.settings` and `speech.settings`. What they are good for is in",
        "[Operations](../operations.md).",
    ]
    for title, prefix, kind in _SERVICES:
        lines += [
            "",
            f"## {title}",
            "",
            *table(["variable", "default", "what it is"], list(_rows(prefix, kind))),
        ]
    return lines


def _rows(prefix: str, kind: type) -> Iterator[list[str]]:
    texts = attribute_texts(kind)
    for field in fields(kind):
        yield [f"`{variable(prefix, field.name)}`", _default(field), cell(texts.get(field.name, ""))]


def _default(field: Field[Any]) -> str:
    value = field.default if field.default is not MISSING else None
    if value is None or value == "":
        return ""
    return f"`{value.as_posix() if isinstance(value, Path) else value}`"
