"""Pictures at the door: judged by their headers alone; Triton decodes them."""

import asyncio

from gateway.errors import InvalidQuery
from vitrine.preprocess import ImageRejected, inspect_image

_INLINE_BYTES = 128_000
"""The walk through a file's sections grows with it; a long one leaves the event loop to other calls meanwhile."""


async def check_image(image: bytes, *, field: str = "image") -> None:
    """Check format, size in bytes and pixels, and that it is one still picture.

    Raises:
        InvalidQuery: the picture breaks a limit; says which.
    """
    try:
        if len(image) <= _INLINE_BYTES:
            inspect_image(image)
        else:
            await asyncio.to_thread(inspect_image, image)
    except ImageRejected as error:
        raise InvalidQuery(field, error.reason) from None
