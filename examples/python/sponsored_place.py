"""A place that somebody pays for, marked as such: `python examples/python/sponsored_place.py "summer dress"`.

Two campaigns run for a moment: one of a product that fits the words, and a far richer one of a product that does not.
"""

import asyncio
import os
import sys
import time
import uuid

from vitrine.client import VitrineClient, VitrineError
from vitrine.v1.campaigns_pb2 import Campaign
from vitrine.v1.query_pb2 import Equals, Filter
from vitrine.v1.search_pb2 import Hit, SearchRequest, SearchResponse

ADDRESS = os.environ.get("VITRINE_ADDRESS", "127.0.0.1:7700")
MICROS = 1_000_000
KNOWN_S = 10.0  # every gateway knows a new campaign within a second; a busy machine may take longer


def campaign(advertiser: str, product_id: str, bid: float) -> Campaign:
    """Return a campaign of a day for one product, of at most a hundred impressions at its bid."""
    made = Campaign(
        id=f"example-{uuid.uuid4().hex[:8]}",
        advertiser=advertiser,
        products=[product_id],
        bid_micros=round(bid * MICROS),
        budget_micros=round(100 * bid * MICROS),
        currency="EUR",
        pacing=Campaign.PACING_ASAP,
    )
    made.starts.FromSeconds(int(time.time()) - 1)
    made.ends.FromSeconds(int(time.time()) + 86_400)
    return made


def category(hit: Hit) -> Equals:
    """Return the condition that products are of the hit's kind."""
    return Equals(field="category", value=hit.product.fields["category"])


async def sponsored(client: VitrineClient, request: SearchRequest) -> SearchResponse:
    """Search until an answer has a sponsored place, or the time is over."""
    end = time.monotonic() + KNOWN_S
    while True:
        answer = await client.search(request)
        if any(hit.HasField("sponsored") for hit in answer.hits) or time.monotonic() > end:
            return answer
        await asyncio.sleep(0.2)


def show(answer: SearchResponse, places: dict[str, int]) -> None:
    """Print five hits: where each stood before, and who pays for it."""
    for place, hit in enumerate(answer.hits[:5], start=1):
        mark = f"  [sponsored by {hit.sponsored.advertiser}]" if hit.HasField("sponsored") else ""
        print(f"{place}. (was {places.get(hit.product_id) or '-'})  {hit.product.title}{mark}")


async def main(words: str) -> None:
    """Search, have somebody pay for the eighth hit and somebody else for what does not fit, and search again."""
    async with VitrineClient(ADDRESS) as client:
        organic = await client.search(SearchRequest(text=words, limit=200, no_sponsored=True))
        places = {hit.product_id: place for place, hit in enumerate(organic.hits, start=1)}
        fits = organic.hits[min(7, len(organic.hits) - 1)].product_id
        other_kind = Filter(negation=Filter(equals=category(organic.hits[0])))
        others = await client.search(
            SearchRequest(text=words, filter=other_kind, limit=200, no_sponsored=True)
        )
        made = [campaign("Modest & Co", fits, 0.02), campaign("Rich Ltd", others.hits[-1].product_id, 50.0)]
        try:
            for each in made:
                await client.campaigns.create(each)
            show(await sponsored(client, SearchRequest(text=words, limit=5)), places)
            for each in made:
                spend = (await client.campaigns.spend(each.id)).spend
                print(
                    f"{each.advertiser}: bids {each.bid_micros / MICROS:.2f}, paid {spend.spent_micros / MICROS:.6f}"
                    f" {spend.currency} for {spend.impressions} impressions"
                )
        finally:
            for each in made:
                await client.campaigns.delete(each.id)


if __name__ == "__main__":
    try:
        asyncio.run(main(" ".join(sys.argv[1:]) or "red floral midi dress"))
    except VitrineError as error:
        sys.exit(str(error))
