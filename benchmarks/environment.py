"""What a result was measured on, and what served."""

from typing import Any

from vitrine.process import machine
from vitrine.v1.catalogue_pb2 import DescribeResponse

_PACKAGES = (
    "grpcio", "protobuf", "uvloop", "numpy", "onnxruntime", "nvidia-pytriton", "tritonclient", "pymilvus",
    "milvus-lite", "pillow", "av", "ctranslate2", "faster-whisper",
)  # fmt: skip


def describe_environment(service: DescribeResponse) -> dict[str, Any]:
    """Return the machine, its load just now, the versions of everything that took part, and what the index holds."""
    return describe_machine() | {
        "service": {
            "model": service.versions.model,
            "index": service.versions.index,
            "products": service.products,
            "embedding_dim": service.embedding_dim,
        }
    }


def describe_machine() -> dict[str, Any]:
    """Return the machine, its load just now, and the versions of everything that takes part in serving."""
    return machine.describe_machine(_PACKAGES)
