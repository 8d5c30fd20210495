"""Search by words: `python examples/python/search_products.py "red floral midi dress"`."""

import asyncio
import os
import sys

from vitrine.client import VitrineClient, VitrineError
from vitrine.v1.search_pb2 import SearchRequest

ADDRESS = os.environ.get("VITRINE_ADDRESS", "127.0.0.1:7700")


async def main(words: str) -> None:
    """Print the five best products, and what the service left out of its answer."""
    async with VitrineClient(ADDRESS) as client:
        answer = await client.search(SearchRequest(text=words, limit=5))
    for hit in answer.hits:
        print(f"{hit.score:.3f}  {hit.product_id}  {hit.product.title}")
    for part in answer.degraded:
        print(f"left out: {part}")


if __name__ == "__main__":
    try:
        asyncio.run(main(" ".join(sys.argv[1:]) or "red floral midi dress"))
    except VitrineError as error:
        sys.exit(str(error))
