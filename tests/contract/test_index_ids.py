"""What every index promises of a ranking among named products."""

from collections.abc import Callable
from typing import Any

import pytest

from gateway.model import Weights
from gateway.testing import stored
from gateway.testing.encoder import embed_picture, embed_words
from vitrine.domain.filters import Equals

pytestmark = pytest.mark.asyncio(loop_scope="module")

TIMEOUT_S = 60.0
IDS = (
    "plain",
    'quo"te',
    "apos'trophe",
    "back\\slash",
    "a and b or not (c)",
    "100%",
    "日本",
    "\U0001f600",
    "a%/1",
    "a",
)
EVEN = Weights(text=0.5, image=0.5)
PRODUCTS = [
    stored(name, images=[f"{name}{part}".encode() for part in range(1 + place % 3)], title=f"dress {place}", brand="AB"[place % 2])
    for place, name in enumerate(IDS)
]  # fmt: skip


async def test_named_products_are_ranked_as_among_all(open_index: Callable[[], Any]) -> None:
    """Whatever their ids are made of, by the picture that fits best, and under a condition; unknown ids are passed over."""
    async with open_index() as index:
        writer = await index.current("m1")
        await writer.upsert(PRODUCTS)
        await writer.seal()

        async def ranked(*, picture: bytes = b"none", **asked: Any) -> list[tuple[str, float, int]]:
            pool = await index.search(
                embed_picture(picture), text_embedding=embed_words("dress 3"), weights=EVEN, timeout_s=TIMEOUT_S,
                **{"filters": None, "limit": 100, **asked},
            )  # fmt: skip
            return [(hit.product.id, hit.score, hit.image_index) for hit in pool.hits]

        whole = await ranked()
        assert len(whole) == len(IDS)
        for named in (IDS[:1], IDS[1:6], IDS[5:], ("a",), ("unknown", *IDS[2:4])):
            assert await ranked(products=named) == [hit for hit in whole if hit[0] in named]
        assert await ranked(products=["unknown"]) == []
        assert await ranked(products=IDS[:4], limit=2) == [hit for hit in whole if hit[0] in IDS[:4]][:2]
        of_a = await ranked(products=IDS[:4], filters=Equals("brand", "A"))
        assert of_a == [hit for hit in whole if hit[0] in (IDS[0], IDS[2])]
        (best,) = await ranked(picture=b"apos'trophe2", products=[IDS[2]])
        assert (best[0], best[2]) == (IDS[2], 2)
