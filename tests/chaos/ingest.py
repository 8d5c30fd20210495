"""An ingest to be killed: `python -m tests.chaos.ingest GATEWAY FOLDER` writes the folder's products, and tells of each answer."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from vitrine.client import VitrineClient
from vitrine.v1 import catalogue_pb2


async def main(address: str, products: list[bytes]) -> None:
    """Write them all; print how many are durable as the answers come."""

    async def inputs() -> AsyncIterator[catalogue_pb2.ProductInput]:
        for data in products:
            yield catalogue_pb2.ProductInput.FromString(data)
            await asyncio.sleep(0.02)

    async with VitrineClient(address) as client:
        async for answer in client.upsert(inputs()):
            print(answer.written + answer.unchanged, flush=True)


if __name__ == "__main__":
    files = sorted(Path(sys.argv[2]).glob("*.product"))
    asyncio.run(main(sys.argv[1], [file.read_bytes() for file in files]))
