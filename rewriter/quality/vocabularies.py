"""What a catalogue of many values costs: to learn it, to hold it, and to read turns by it."""

import gc
import hashlib
import os
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from rewriter.engines.rules.engine import Router
from rewriter.linking.linker import Linker
from rewriter.linking.tower import Tower, load_tower
from rewriter.quality.trades import trades
from vitrine.domain.messages import schema_message
from vitrine.v1 import rewrite_pb2, schema_pb2

SIZES = (256, 2_000, 10_000, 50_000)
_SEED = 11
_TIME_S = 600.0
_TURNS = 240
_MIB = 1 << 20
_ENDINGS = ("", " & Co", " Home", " Studio")
_SYLLABLES = ["".join(pair) for pair in product("bdfgklmnprstvz", "aeiou")]
_LETTERS = "bcdfghjklm"
_TEXTS = (
    "red sofa under 500", "{name} sofa", "a lamp by {name}", "scandinavian chair, no plastic", "not by {name}, an oak desk", "lampara de {name}",
    "Küchentisch aus Eiche", "comfy {word} for watching films", "cheapest bookcase from {name}", "{word} table for a small kitchen",
    "a {word} couch in green", "{name} {word}",
)  # fmt: skip


async def measure_vocabularies() -> Mapping[str, Any]:
    """Return, by kind and number of values, the CPU time and memory of learning and the CPU time of readings.

    Names are brands: words of syllables, of which some are two words. Alike are brands of which each differs from others in one
    letter. Words are values of a field of phrases, which are held against by their meaning too.
    """
    tower = load_tower()
    rows = []
    for kind, values in (("names", _names), ("alike", _alike), ("words", _words)):
        for size in SIZES:
            gc.collect()
            own = values(size - sum(len(facet.values) for facet in trades()["furniture"].facets))
            rows.append({"kind": kind, "values": size, **await _measured(tower, kind, own)})
    return {"turns": _TURNS, "vocabularies": rows}


async def _measured(tower: Tower, kind: str, values: Sequence[str]) -> Mapping[str, float]:
    """Have one vocabulary learnt, then read turns by it, each with words that were not read before."""
    rng = random.Random(_SEED)  # noqa: S311 - no secret
    request = _request("make" if kind == "words" else "brand", values)
    before = _resident()
    with closing(Linker(tower=tower)) as linker:
        await linker.learn(_request("brand", []))  # the common words are embedded for any catalogue
        began, began_s = time.process_time(), time.perf_counter()
        await linker.learn(request)
        learnt, learnt_s = time.process_time() - began, time.perf_counter() - began_s
        router = Router(linker)
        spent = []
        for number in range(_TURNS):
            word = f"{rng.choice(_SYLLABLES)}{rng.choice(_SYLLABLES)}x"
            text = _TEXTS[number % len(_TEXTS)].format(name=rng.choice(values), word=word)
            turn = rewrite_pb2.RewriteRequest(text=text, schema=_schema(), vocabulary=request.digest)
            began = time.process_time()
            await router.rewrite(turn, timeout_s=_TIME_S)
            spent.append((time.process_time() - began) * 1e3)
        held = _resident() - before
    return {
        "message_bytes": len(request.vocabulary),
        "learn_cpu_s": round(learnt, 2),
        "learn_s": round(learnt_s, 2),
        "memory_mib": round(held / _MIB, 1),
        "reading_cpu_ms_p50": round(float(np.quantile(spent, 0.5)), 2),
        "reading_cpu_ms_p95": round(float(np.quantile(spent, 0.95)), 2),
    }


def _request(field: str, values: Sequence[str]) -> rewrite_pb2.LearnRequest:
    facets = [*trades()["furniture"].facets, rewrite_pb2.Facet(field=field, values=values)]
    data = rewrite_pb2.Vocabulary(schema=_schema(), facets=facets).SerializeToString(deterministic=True)
    return rewrite_pb2.LearnRequest(digest=hashlib.sha256(data).digest(), vocabulary=data)


def _schema() -> schema_pb2.CatalogueSchema:
    """Return the furniture's schema with two fields more: a brand, and a make, whose values are words."""
    schema = schema_message(trades()["furniture"].schema)
    keyword = schema_pb2.FIELD_KIND_KEYWORD
    schema.fields.add(name="brand", kind=keyword, role=schema_pb2.FIELD_ROLE_BRAND, filter=True)
    schema.fields.add(name="make", kind=keyword, filter=True)
    return schema


def _names(count: int) -> list[str]:
    rng = random.Random(_SEED)  # noqa: S311 - no secret
    names: dict[str, None] = {}
    while len(names) < count:
        stem = "".join(rng.choices(_SYLLABLES, k=rng.randint(2, 4))).capitalize()
        names.setdefault(f"{stem}{rng.choice(_ENDINGS)}")
    return [*names]


def _alike(count: int) -> list[str]:
    return [f"Qa{''.join(_LETTERS[int(digit)] for digit in f'{number:05}')}o" for number in range(count)]


def _words(count: int) -> list[str]:
    """Return phrases of two of the sentence encoder's most common words."""
    return [" ".join(pair) for pair in _pairs(count)]


def _pairs(count: int) -> Iterator[tuple[str, str]]:
    words = load_tower().common_words(400)
    rng = random.Random(_SEED)  # noqa: S311 - no secret
    yield from rng.sample([(first, second) for first in words for second in words if first != second], count)


def _resident() -> int:
    """Return the bytes that this process holds in memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
