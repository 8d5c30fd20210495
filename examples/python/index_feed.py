"""Index a feed of your own: `python examples/python/index_feed.py examples/feed.csv`.

`vitrine index FILE` reads most feeds with no code at all. This is for products that come from elsewhere, such as a
database: whatever yields ProductInput can be indexed.
"""

import asyncio
import csv
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from vitrine.client import VitrineClient, VitrineError
from vitrine.v1.catalogue_pb2 import ProductInput
from vitrine.v1.query_pb2 import Product

ADDRESS = os.environ.get("VITRINE_ADDRESS", "127.0.0.1:7700")


async def read_feed(path: Path) -> AsyncIterator[ProductInput]:
    """Yield a product a row; `picture` is a file beside the feed, or empty."""
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            product = Product(
                id=row["id"], title=row["title"], category=row["category"], colour=row["colour"]
            )
            if row["price"]:
                product.price = float(row["price"])
            image = b""
            if row["picture"]:
                image = (path.parent / row["picture"]).read_bytes()
                product.image_uri = row["picture"]
            yield ProductInput(product=product, image=image)


async def main(path: Path) -> None:
    """Index the feed and print each acknowledgement: what it counts is durable."""
    async with VitrineClient(ADDRESS) as client:
        async for done in client.upsert(read_feed(path)):
            print(f"{done.written} written, {done.unchanged} unchanged, {done.rejected} rejected")
            for error in done.errors:
                print(f"  {error.product_id}: {error.field}: {error.reason}")


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit(__doc__)
    try:
        asyncio.run(main(Path(sys.argv[1])))
    except (VitrineError, OSError) as error:
        sys.exit(str(error))
