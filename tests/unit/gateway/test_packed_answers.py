"""Answers as they are kept: packed once, read again with their five digits, and never another one's."""

import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.adapters.sqlite_events import open_sqlite_events
from gateway.api.responses import search_message
from gateway.events import Answer, Shown
from gateway.feedback.answers import AnswerLog
from gateway.metrics import Metrics
from gateway.model import Hit, Weights
from gateway.retrieval.query import Query, SearchResult, Timings, Versions
from gateway.testing import product
from vitrine.domain.schema_files import shipped_schema


def read(packed: str) -> Answer:
    return Answer.unpacked("r", 1, packed)


@pytest.mark.parametrize("product_id", ["p1", 'a "quoted" one', "naïve\n", "100%d"])
def test_features_are_read_as_they_were_packed(product_id: str) -> None:
    """Five digits of each feature come back; one that is unknown, or no number, is absent, for that product alone."""
    shown = (
        Shown(
            product_id=product_id, position=1, features={"text": 0.123456789, "price_fit": 1.0, "score": 1e-7}
        ),
        Shown(product_id="p2", position=3, features={"text": -0.5, "score": math.nan}),
    )
    answer = Answer(request_id="r", at_ms=1, route="text", bucket="x:learnt", swap=2, shown=shown)
    assert read(answer.packed()) == replace(
        answer,
        shown=(
            Shown(
                product_id=product_id, position=1, features={"text": 0.12346, "price_fit": 1.0, "score": 1e-7}
            ),
            Shown(product_id="p2", position=3, features={"text": -0.5}),
        ),
    )
    assert json.loads(answer.packed())["features"] == ["price_fit", "score", "text"]
    bare = Answer(request_id="r", at_ms=1, route="image")
    assert read(bare.packed()) == bare


def answer(query: Query) -> SearchResult:
    hit = Hit(
        product=product("p1", "dress"), score=1.0, text_score=0.5, image_score=0.5, features={"score": 1.0}
    )
    return SearchResult(
        hits=(hit,),
        searched=query,
        weights=Weights(text=0.5, image=0.5),
        degraded=(),
        timings=Timings(total_s=0.1, stages_s={}),
        versions=Versions(model="m", index="i", schema=shipped_schema()),
    )


@pytest.mark.parametrize(
    ("query", "is_kept"),
    [
        (Query(text="dress"), True),
        (Query(image=b"a picture"), False),
        (Query(text="dress", user_id="u"), False),
    ],
)
async def test_nothing_is_kept_of_pictures_and_of_who_names_themselves(
    query: Query, *, is_kept: bool, tmp_path: Path
) -> None:
    """Memory holds answers that are given again alone: a picture's never is, and holds megabytes of a shopper's own."""
    result = answer(query)
    held = sys.getrefcount(result)
    search_message(result, request=query, fields=frozenset(), request_id="r", shares={})
    assert (sys.getrefcount(result) > held) is is_kept
    held = sys.getrefcount(result)
    async with open_sqlite_events(tmp_path / "events.db") as store:
        log = AnswerLog(store, Metrics(), entries=10)
        log.note(result, "r", "")
        assert (sys.getrefcount(result) > held) is is_kept


async def test_an_answer_that_is_given_again_is_kept_as_itself(tmp_path: Path) -> None:
    """Answers of the same hits are kept each under its own id; in another bucket, or exchanged, they say so."""
    result = answer(Query(text="dress"))
    async with open_sqlite_events(tmp_path / "events.db") as store:
        log = AnswerLog(store, Metrics(), entries=10)
        log.note(result, "r1", "")
        log.note(replace(result, timings=Timings(total_s=0.2, stages_s={})), "r2", "")
        log.note(result, "r3", "x:default")
        log.note(replace(result, swap=2), "r4", "x:default")
        log.note(replace(result, searched=replace(result.searched, offset=10)), "r5", "")
        await log.flush()
        kept, _ = await store.read_answers("", limit=10, timeout_s=60)
    assert [(each.request_id, each.bucket, each.swap) for each in kept] == [
        ("r1", "", 0), ("r2", "", 0), ("r3", "x:default", 0), ("r4", "x:default", 2),
    ]  # fmt: skip
    assert all(each.shown[0].features == {"score": 1.0} for each in kept)
