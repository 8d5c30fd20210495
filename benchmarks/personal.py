"""What ranking by a shopper's taste, and by intent, adds to a search: latency and CPU beside the same searches without it.

One client asks block after block, the variants in turn and in another order each round. The texts of a round are the same
for all its variants, and each was embedded before the first of them, so that no variant pays for the encoder.
"""

import itertools
import random
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.environment import describe_environment
from benchmarks.processes import GENERATOR, cpu_seconds
from benchmarks.tables import Document, origin, table
from benchmarks.workloads import LIMIT, Material, text_requests
from vitrine.client import VitrineClient
from vitrine.v1.feedback_pb2 import Event
from vitrine.v1.query_pb2 import INTENT_COMPARE, Intent
from vitrine.v1.search_pb2 import SearchRequest

PLAIN, PERSONAL, COMPARE = "plain", "personal", "compare"
SHOPPERS = 32
CLICKS = 12
BLOCK = 50
"""Searches of a variant in a round."""


class PersonalBenchError(Exception):
    """The service cannot be measured; says why."""


async def measure_personal(
    address: str, *, rounds: int, salt: str, pids: dict[str, int], say: Callable[[str], None]
) -> dict[str, Any]:
    """Measure each variant in each round.

    Raises:
        PersonalBenchError: the service takes no events, or knows nobody by them.
        VitrineError: the service failed.
    """
    rng = random.Random(salt)  # noqa: S311 - of texts, and no secret
    texts = (request.text for request in text_requests(Material((), ()), rng))
    async with VitrineClient(address) as client:
        environment = describe_environment(await client.describe())
        shoppers = [await _shopper(client, next(texts)) for _ in range(SHOPPERS)]
        await _check_known(client, shoppers[0], next(texts))
        results: list[dict[str, Any]] = []
        for number in range(rounds):
            asked = list(itertools.islice(texts, BLOCK))
            for (
                text
            ) in asked:  # another number of hits: the embedding is kept, and no answer that the variants want
                await client.search(SearchRequest(text=text, limit=LIMIT + 1))
            variants = [PLAIN, PERSONAL, COMPARE]
            variants = variants[number % 3 :] + variants[: number % 3]
            row = {name: await _block(client, name, asked, shoppers, pids) for name in variants}
            results.append(row)
            told = (f"{name} {row[name]['p50_ms']:.2f} ms" for name in (PLAIN, PERSONAL, COMPARE))
            say(f"round {number + 1} of {rounds}: {', '.join(told)}")
    params = {"benchmark": "personal", "rounds": rounds, "block": BLOCK, "shoppers": SHOPPERS, "salt": salt}
    return {"environment": environment, "params": params, "results": results}


async def _shopper(client: VitrineClient, text: str) -> str:
    """Make a shopper who clicked on what a search found; return their id."""
    shopper = uuid.uuid4().hex
    answer = await client.search(SearchRequest(text=text, limit=CLICKS))
    if not answer.answer_token:
        raise PersonalBenchError("the service takes no events: GATEWAY_EVENTS says where they are kept")
    events = [
        Event(
            id=uuid.uuid4().hex,
            kind=Event.KIND_CLICK,
            product_id=hit.product_id,
            user_id=shopper,
            personalise=True,
        )
        for hit in answer.hits
    ]
    for event in events:
        event.time.GetCurrentTime()
    await client.record(events)
    return shopper


async def _check_known(client: VitrineClient, shopper: str, text: str) -> None:
    answer = await client.search(SearchRequest(text=text, user_id=shopper, personalise=True))
    if not answer.hits or "personal" not in answer.hits[0].parts.signals:
        raise PersonalBenchError("the service ranks by nobody's taste: see GATEWAY_PERSONAL_SHARE")


async def _block(
    client: VitrineClient, variant: str, texts: Sequence[str], shoppers: Sequence[str], pids: dict[str, int]
) -> dict[str, float]:
    """Ask for each text once; return the median latency and the service's CPU a search, in ms."""
    latencies = []
    before = cpu_seconds(pids)
    for number, text in enumerate(texts):
        request = _request(variant, text, shoppers[number % len(shoppers)])
        started = time.perf_counter()
        await client.search(request)
        latencies.append(time.perf_counter() - started)
    after = cpu_seconds(pids)
    used = sum(after[name] - before[name] for name in after if name != GENERATOR)
    return {"p50_ms": median(latencies) * 1e3, "cpu_ms": used / len(texts) * 1e3}


def _request(variant: str, text: str, shopper: str) -> SearchRequest:
    intent = Intent.ValueType(INTENT_COMPARE if variant == COMPARE else 0)
    known = variant == PERSONAL
    return SearchRequest(
        text=text, limit=LIMIT, intent=intent, user_id=shopper if known else "", personalise=known
    )


def personal_section(name: str, document: Document) -> list[str]:
    """Return what each variant adds to a plain search: the median of the rounds, and their least and greatest."""
    rows = document["results"]
    header = ["search", "p50 ms", "added p50 ms", "p50 of plain", "CPU ms", "CPU of plain"]
    body = [[variant, *_figures(rows, variant)] for variant in (PLAIN, PERSONAL, COMPARE)]
    params = document["params"]
    return [
        *origin(name, document),
        f"{params['rounds']} rounds of {params['block']} searches a variant, one client; {params['shoppers']} shoppers.",
        "",
        *table(header, body),
    ]


def _figures(rows: Sequence[Mapping[str, Mapping[str, float]]], variant: str) -> list[str]:
    added = [row[variant]["p50_ms"] - row[PLAIN]["p50_ms"] for row in rows]
    return [
        f"{median(row[variant]['p50_ms'] for row in rows):.2f}",
        f"{median(added):.2f} ({min(added):.2f} to {max(added):.2f})",
        _ratio(rows, variant, "p50_ms"),
        f"{median(row[variant]['cpu_ms'] for row in rows):.2f}",
        _ratio(rows, variant, "cpu_ms"),
    ]


def _ratio(rows: Sequence[Mapping[str, Mapping[str, float]]], variant: str, figure: str) -> str:
    ratios = [row[variant][figure] / row[PLAIN][figure] for row in rows if row[PLAIN][figure] > 0]
    return f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})" if ratios else "-"
