"""Converse with a picture: `python examples/python/converse.py photo.jpg "in red" "cheaper" "show me more"`.

The first words go with the picture; each further argument is a turn of the same conversation.
"""

import asyncio
import os
import sys
from pathlib import Path

from vitrine.client import VitrineClient, VitrineError
from vitrine.v1.search_pb2 import ConverseRequest, ConverseResponse

ADDRESS = os.environ.get("VITRINE_ADDRESS", "127.0.0.1:7700")


def show(event: ConverseResponse) -> None:
    """Print one of the events that a turn brings; what was understood comes first, and is left out here."""
    match event.WhichOneof("event"):
        case "result":
            for hit in event.result.hits:
                print(f"  {hit.product_id}  {hit.product.title}")
        case "comparison":
            for row in event.comparison.fields:
                print(f"  {row.label}: {' | '.join(row.values)}")
        case "answer":
            for quote in event.answer.quotes:
                print(f"  {quote.title}: {quote.text}")
        case "reply":
            print(event.reply)


async def main(picture: bytes, turns: list[str]) -> None:
    """Send the picture with the first turn, and then the others in the same session."""
    session_id = ""
    async with VitrineClient(ADDRESS) as client:
        for number, words in enumerate(turns):
            print(f"> {words}")
            turn = ConverseRequest(session_id=session_id, text=words, limit=5)
            if number == 0:
                turn.image = picture
            async for event in client.converse(turn):
                session_id = event.session_id
                show(event)


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit(__doc__)
    try:
        asyncio.run(main(Path(sys.argv[1]).read_bytes(), sys.argv[2:] or ["in red", "cheaper"]))
    except (VitrineError, OSError) as error:
        sys.exit(str(error))
