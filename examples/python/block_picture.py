"""A picture that the shop refuses is not searched by any more: `python examples/python/block_picture.py PICTURE [COPY]`.

The gateway must have been told to: GATEWAY_MODERATION_UPLOADS=refuse, which `make up` sets.
"""

import asyncio
import os
import sys
from pathlib import Path

from vitrine.client import VitrineClient, VitrineError
from vitrine.v1.moderation_pb2 import AddBlockedImagesRequest, ImageToBlock, RemoveBlockedImagesRequest
from vitrine.v1.search_pb2 import SearchRequest

ADDRESS = os.environ.get("VITRINE_ADDRESS", "127.0.0.1:7700")


async def main(picture: bytes, copy: bytes) -> None:
    """Block a picture, search by a copy of it, and unblock it again."""
    shown = SearchRequest(image=copy)
    async with VitrineClient(ADDRESS) as client:
        block = AddBlockedImagesRequest(images=[ImageToBlock(image=picture, label="example")])
        (blocked,) = (await client.add_blocked_images(block)).ids
        print(f"blocked as {blocked}; nothing of its pixels is kept")
        try:
            await client.search(shown)
        except VitrineError as error:
            print(f"searched by it: {error.code.name}: {error}")
        finally:
            await client.remove_blocked_images(RemoveBlockedImagesRequest(ids=[blocked]))
        answer = await client.search(shown)
        print(f"unblocked, and searched by it: {len(answer.hits)} hits")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    try:
        asyncio.run(main(Path(sys.argv[1]).read_bytes(), Path(sys.argv[-1]).read_bytes()))
    except VitrineError as error:
        sys.exit(str(error))
