"""What a shopper does changes what they find: `python examples/python/record_feedback.py "summer dress"`."""

import asyncio
import os
import sys
import uuid

from vitrine.client import VitrineClient, VitrineError
from vitrine.v1.feedback_pb2 import Event
from vitrine.v1.search_pb2 import SearchRequest, SearchResponse

ADDRESS = os.environ.get("VITRINE_ADDRESS", "127.0.0.1:7700")
SHOPPER = uuid.uuid4().hex  # any id of yours; only a keyed hash of it is kept
LIKED = (7, 9, 11)


def event(kind: "Event.Kind.ValueType", answer: SearchResponse, position: int) -> Event:
    """Return what the shopper did with the hit at a position, from 1; an id of its own lets it be sent again."""
    done = Event(
        id=uuid.uuid4().hex,
        kind=kind,
        product_id=answer.hits[position - 1].product_id,
        answer_token=answer.answer_token,
        position=position,
        user_id=SHOPPER,
        personalise=True,  # the shopper agreed
    )
    done.time.GetCurrentTime()
    return done


def show(answer: SearchResponse, places: dict[str, int]) -> None:
    """Print five hits: where each stood before, and what of it is to the shopper's taste."""
    for place, hit in enumerate(answer.hits[:5], start=1):
        taste = hit.parts.signals.get("personal", 0.0)
        reason = f"  to their taste {taste:.2f}, by {hit.parts.reasons['personal']}" if taste else ""
        before = places.get(hit.product_id)
        print(f"{place}. (was {before or '-'})  {hit.product.title}{reason}")


async def main(words: str) -> None:
    """Search, record what was seen and clicked and one purchase, once and once more, and search again."""
    request = SearchRequest(text=words, limit=12, user_id=SHOPPER, personalise=True)
    async with VitrineClient(ADDRESS) as client:
        answer = await client.search(request)
        places = {hit.product_id: place for place, hit in enumerate(answer.hits, start=1)}
        seen = [event(Event.KIND_IMPRESSION, answer, place) for place in places.values()]
        clicks = [event(Event.KIND_CLICK, answer, place) for place in LIKED if place <= len(places)]
        events = [*seen, *clicks, event(Event.KIND_PURCHASE, answer, len(places))]
        first, again = await client.record(events), await client.record(events)
        print(
            f"recorded {first.recorded}, refused {first.rejected}; sent again: {again.duplicates} known already"
        )
        show(await client.search(request), places)


if __name__ == "__main__":
    try:
        asyncio.run(main(" ".join(sys.argv[1:]) or "red floral midi dress"))
    except VitrineError as error:
        sys.exit(str(error))
