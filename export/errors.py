"""What keeps an export from happening."""

ELSEWHERE = (
    "plans must be built on the GPU that will serve them: run this inside the Triton image, "
    "where TensorRT (the extra `gpu`) and the GPU are"
)
"""What `tensorrt` says where it cannot run."""


class ExportError(Exception):
    """The export cannot be made or must not be used; the message says why and what to do."""
