"""What a reader of turns was measured on."""

from typing import Any

from vitrine.process.machine import describe_machine

_PACKAGES = ("numpy", "onnxruntime", "tokenizers", "llguidance", "torch", "grpcio")


def describe_environment() -> dict[str, Any]:
    """Return the commit, the machine with its load just now, and the versions of what took part."""
    return describe_machine(_PACKAGES)
