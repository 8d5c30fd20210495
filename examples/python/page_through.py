"""Page through the hits of a search: `python examples/python/page_through.py "dress" 3` prints three pages."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator

from vitrine.client import VitrineClient, VitrineError
from vitrine.v1.search_pb2 import Hit, SearchRequest

ADDRESS = os.environ.get("VITRINE_ADDRESS", "127.0.0.1:7700")
PAGE = 20


async def read_pages(client: VitrineClient, words: str, pages: int) -> AsyncIterator[list[Hit]]:
    """Yield up to so many pages; the token of each answer asks for the next one."""
    request = SearchRequest(text=words, limit=PAGE)
    for _ in range(pages):
        answer = await client.search(request)
        yield list(answer.hits)
        if not answer.next_page_token:
            return
        # The request stays the same: a token belongs to the request that it came from.
        request.page_token = answer.next_page_token


async def main(words: str, pages: int) -> None:
    """Print every hit with its rank over all pages."""
    rank = 0
    async with VitrineClient(ADDRESS) as client:
        async for hits in read_pages(client, words, pages):
            for hit in hits:
                rank += 1
                print(f"{rank:3}  {hit.product_id}  {hit.product.title}")


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1] if sys.argv[1:] else "dress", int(sys.argv[2]) if sys.argv[2:] else 3))
    except VitrineError as error:
        sys.exit(str(error))
