"""Sets of ids in few bytes."""

import tracemalloc

from gateway.indexing.idset import IdSet


def _of(*ids: str) -> IdSet:
    made = IdSet()
    for each in ids:
        made.add(each)
    return made


def test_it_is_a_set() -> None:
    """Ids count once, are found again, and sets are joined and taken from each other."""
    ids = _of("a", "b", "a", "\ud800")
    assert len(ids) == 3
    assert "a" in ids
    assert "c" not in ids
    assert ids == _of("\ud800", "b", "a")
    assert ids != _of("a", "b")
    assert ids != {"a"}
    assert (ids | _of("c", "a")) == _of("a", "b", "c", "\ud800")
    assert (ids - _of("a", "x")) == _of("b", "\ud800")
    assert len(IdSet()) == 0
    assert "a" not in IdSet()


def test_ids_that_come_in_any_order_and_again_are_kept_once() -> None:
    """A stream that sends the same hundred thousand ids three times leaves as many."""
    ids = IdSet()
    for start in (0, 50_000, 0):
        for i in range(start, start + 100_000):
            ids.add(f"product {i % 100_000}")
    assert len(ids) == 100_000
    assert all(f"product {i}" in ids for i in range(0, 100_000, 997))


def test_an_id_takes_few_bytes() -> None:
    """Twenty thousand ids of 40 characters stay far under what their strings would take."""
    tracemalloc.start()
    ids = IdSet()
    for i in range(20_000):
        ids.add(f"{i:040d}")
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(ids) == 20_000
    assert size < 20_000 * 16
