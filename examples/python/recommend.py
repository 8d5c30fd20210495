"""Products without a query: `python examples/python/recommend.py "summer dress"`."""

import asyncio
import os
import sys

from vitrine.client import VitrineClient, VitrineError
from vitrine.v1.recommend_pb2 import RecommendRequest
from vitrine.v1.search_pb2 import RecommendResponse, SearchRequest

ADDRESS = os.environ.get("VITRINE_ADDRESS", "127.0.0.1:7700")


def show(heading: str, answer: RecommendResponse) -> None:
    """Print what was found, and what says most for each hit."""
    kind = RecommendRequest.Kind.Name(answer.kind).removeprefix("KIND_").lower()
    print(f"{heading} ({kind}):")
    for hit in answer.hits:
        reasons = ", ".join(f"{signal} by {part}" for signal, part in sorted(hit.parts.reasons.items()))
        print(f"  {hit.score:.3f}  {hit.product.title}" + (f"  ({reasons})" if reasons else ""))


async def main(words: str) -> None:
    """Search, then ask for more like the first hit, for what goes with it, and for what is popular."""
    async with VitrineClient(ADDRESS) as client:
        found = await client.search(SearchRequest(text=words, limit=1))
        (first,) = found.hits
        seeds = [first.product_id]
        for kind, heading in (
            (RecommendRequest.KIND_MORE_LIKE_THIS, f"More like {first.product.title}"),
            (RecommendRequest.KIND_GOES_WELL_WITH, f"Goes well with {first.product.title}"),
        ):
            show(heading, await client.recommend(RecommendRequest(kind=kind, product_ids=seeds, limit=3)))
        # Who is not known gets what is popular, as far as enough shoppers were there.
        for_you = RecommendRequest(kind=RecommendRequest.KIND_FOR_YOU, user_id="nobody", personalise=True)
        show("For you", await client.recommend(for_you))


if __name__ == "__main__":
    try:
        asyncio.run(main(" ".join(sys.argv[1:]) or "red floral midi dress"))
    except VitrineError as error:
        sys.exit(str(error))
