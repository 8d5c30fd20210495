"""Tell the service what a shopper did with an answer: `python examples/python/record_feedback.py`."""

import asyncio
import os
import sys
import uuid

from vitrine.client import VitrineClient, VitrineError
from vitrine.v1.feedback_pb2 import Event
from vitrine.v1.search_pb2 import SearchRequest, SearchResponse

ADDRESS = os.environ.get("VITRINE_ADDRESS", "127.0.0.1:7700")


def event(kind: "Event.Kind.ValueType", answer: SearchResponse, position: int) -> Event:
    """Return what the shopper did with the hit at a position, from 1; an id of its own lets it be sent again."""
    done = Event(
        id=uuid.uuid4().hex,
        kind=kind,
        product_id=answer.hits[position - 1].product_id,
        answer_token=answer.answer_token,
        position=position,
        user_id="shopper-7",
        personalise=True,  # the shopper agreed
    )
    done.time.GetCurrentTime()
    return done


async def main() -> None:
    """Search, record three impressions, a click and a purchase, and record them once more."""
    async with VitrineClient(ADDRESS) as client:
        answer = await client.search(SearchRequest(text="red floral midi dress", limit=3))
        seen = [event(Event.KIND_IMPRESSION, answer, position) for position in range(1, len(answer.hits) + 1)]
        events = [*seen, event(Event.KIND_CLICK, answer, 2), event(Event.KIND_PURCHASE, answer, 2)]
        first = await client.record(events)
        again = await client.record(events)
    print(
        f"recorded {first.recorded}, refused {first.rejected}; sent again: {again.duplicates} known already"
    )


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except VitrineError as error:
        sys.exit(str(error))
