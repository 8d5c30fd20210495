"""Pictures at the door: judged by their headers alone; Triton decodes them."""

import asyncio

from gateway.errors import InvalidQuery
from vitrine.image_header import MAX_QUERY_WORK, ImageRejected, inspect_image

_INLINE_BYTES = 128_000
"""The walk through a file's sections grows with it; a long one leaves the event loop to other calls meanwhile."""


async def check_image(image: bytes, *, field: str = "image", max_work: int = MAX_QUERY_WORK) -> bytes:
    """Check format, size in bytes and pixels, that it is one still picture, and what decoding it costs.

    Return the picture without what lies behind its end, which nobody sees and a session would keep.

    Raises:
        InvalidQuery: the picture breaks a limit; says which.
    """
    try:
        if len(image) <= _INLINE_BYTES:
            header = inspect_image(image, max_work=max_work)
        else:
            header = await asyncio.to_thread(inspect_image, image, max_work=max_work)
    except ImageRejected as error:
        raise InvalidQuery(field, error.reason) from None
    return image[: header.end]
