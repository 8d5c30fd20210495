"""A page with its sponsored places: nothing of the organic order is lost, doubled or changed."""

from collections.abc import Sequence
from dataclasses import replace

from gateway.model import Hit
from gateway.retrieval.query import SearchResult


def arranged(result: SearchResult, sponsored: Sequence[tuple[int, Hit]]) -> SearchResult:
    """Return the page with hits at positions, from 1 and rising, and as many hits in all as were asked for.

    A product of the organic page is moved there. The products that have to give way begin the next page.
    """
    shown = {hit.product.id for _, hit in sponsored}
    hits = [hit for hit in result.hits if hit.product.id not in shown]
    for position, hit in sponsored:
        hits.insert(position - 1, hit)
    page = hits[: result.searched.limit]
    there = {hit.product.id for hit in page}
    used = next(
        (place for place, hit in enumerate(result.hits) if hit.product.id not in there), len(result.hits)
    )
    return replace(result, hits=tuple(page), organic=used, more=result.more or used < len(result.hits))
