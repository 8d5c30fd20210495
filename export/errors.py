"""What keeps an export from happening."""

ELSEWHERE = (
    "plans must be built on the GPU that will serve them: run this inside the Triton image, "
    "where TensorRT (the extra `gpu`) and the GPU are"
)
"""What `tensorrt` says where it cannot run."""

INT8_IS_FOR_CPUS = (
    "int8 graphs are for CPUs: their zero points are not zero and their biases are int32, and TensorRT takes neither; "
    "give it fp16 graphs, which `python -m export quantize --precision fp16` writes"
)
"""What `tensorrt` says of a folder of int8 graphs."""


class ExportError(Exception):
    """The export cannot be made or must not be used; the message says why and what to do."""
