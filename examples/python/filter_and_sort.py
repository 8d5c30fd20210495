"""Filter, sort and count: `python examples/python/filter_and_sort.py "something for summer"`.

The fields are those of the fashion schema. `vitrine status` lists those of another catalogue.
"""

import asyncio
import os
import sys

from vitrine.client import VitrineClient, VitrineError
from vitrine.v1.query_pb2 import Equals, FieldValue, Filter, FilterList, Range, Sort
from vitrine.v1.search_pb2 import SearchRequest

ADDRESS = os.environ.get("VITRINE_ADDRESS", "127.0.0.1:7700")

# The same as `vitrine.filter_text.parse_filter("category=dress and price 20..80 and not colour=black")`.
DRESSES = Filter(
    all_of=FilterList(
        filters=[
            Filter(equals=Equals(field="category", value=FieldValue(text="dress"))),
            Filter(range=Range(field="price", minimum=20, maximum=80)),
            Filter(negation=Filter(equals=Equals(field="colour", value=FieldValue(text="black")))),
        ]
    )
)


async def main(words: str) -> None:
    """Print the cheapest ten dresses that are not black, and how many there are of each colour."""
    request = SearchRequest(text=words, filter=DRESSES, sort=Sort(field="price"), facets=["colour"])
    async with VitrineClient(ADDRESS) as client:
        answer = await client.search(request)
    for hit in answer.hits:
        product = hit.product
        print(f"{product.price:8.2f}  {product.colour:10}  {product.title}")
    for facet in answer.facets:
        print(f"{facet.field}: " + ", ".join(f"{each.value} {each.products}" for each in facet.values))


if __name__ == "__main__":
    try:
        asyncio.run(main(" ".join(sys.argv[1:]) or "something for summer"))
    except VitrineError as error:
        # A filter that names an unknown field says so here, with the fields that there are.
        for violation in error.violations:
            print(f"{violation.field}: {violation.reason}", file=sys.stderr)
        sys.exit(str(error))
