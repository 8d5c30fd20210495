"""Pictures and servers that the gateway's tests share."""

import io

import pytest
from PIL import Image


@pytest.fixture(scope="session")
def jpeg() -> bytes:
    """A small red picture."""
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(buffer, "JPEG")
    return buffer.getvalue()
