"""Search in four ways and end with a contact sheet: `python examples/python/tutorial.py`.

Needs the stack of `make demo`, whose catalogue and pictures are in build/catalogue. Another catalogue's folder is the
first argument, and where the sheet goes is the second one.
"""

import asyncio
import os
import sys
from pathlib import Path

from vitrine.client import VitrineClient, VitrineError
from vitrine.sheet import Answer, draw_sheet, product_picture
from vitrine.v1.search_pb2 import ConverseRequest, SearchRequest

ADDRESS = os.environ.get("VITRINE_ADDRESS", "127.0.0.1:7700")
WORDS = "red floral midi dress"
CHANGE = "in navy"


async def by_words(client: VitrineClient) -> Answer:
    """Step 1: words alone. The score adds what the words say of a product's text and of its picture."""
    answer = await client.search(SearchRequest(text=WORDS, limit=5))
    return Answer(heading="words", words=WORDS, hits=answer.hits)


async def by_picture(client: VitrineClient, picture: bytes) -> Answer:
    """Step 2: a picture alone. It finds what looks like it."""
    answer = await client.search(SearchRequest(image=picture, limit=5))
    return Answer(heading="a picture", picture=picture, hits=answer.hits)


async def by_both(client: VitrineClient, picture: bytes) -> Answer:
    """Step 3: a picture and words that change it."""
    answer = await client.search(SearchRequest(image=picture, text=CHANGE, limit=5))
    return Answer(heading="a picture and words", words=CHANGE, picture=picture, hits=answer.hits)


async def by_turns(client: VitrineClient) -> list[Answer]:
    """Step 4: a conversation. Each turn is read in the light of those before it."""
    rows = []
    session_id = ""
    for words in ("I need a dress", "only red ones", "cheaper"):
        row = Answer(heading="a turn", words=words)
        async for event in client.converse(ConverseRequest(session_id=session_id, text=words, limit=5)):
            session_id = event.session_id
            if event.HasField("result"):
                row = Answer(heading="a turn", words=words, hits=event.result.hits)
            elif event.HasField("reply"):
                print(f"> {words}\n{event.reply}")
        rows.append(row)
    return rows


async def main(catalogue: Path, sheet: Path) -> None:
    """Take the four steps and draw what each of them found."""
    async with VitrineClient(ADDRESS) as client:
        rows = [await by_words(client)]
        best = next(iter(rows[0].hits), None)
        picture = product_picture(best.product, catalogue) if best else None
        if picture is None:
            sys.exit(
                f"nothing is found that has a picture in {catalogue}: index it with `vitrine index {catalogue}`"
            )
        rows += [await by_picture(client, picture), await by_both(client, picture), *await by_turns(client)]
        currency = (await client.describe()).schema.currency
    sheet.parent.mkdir(parents=True, exist_ok=True)
    draw_sheet(rows, pictures=catalogue, currency=currency).save(sheet)
    print(f"the contact sheet: {sheet}")


if __name__ == "__main__":
    folder = Path(sys.argv[1] if sys.argv[1:] else "build/catalogue")
    out = Path(sys.argv[2] if sys.argv[2:] else "build/tutorial.png")
    try:
        asyncio.run(main(folder, out))
    except VitrineError as error:
        sys.exit(str(error))
