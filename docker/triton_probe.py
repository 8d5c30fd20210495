# ruff: noqa: INP001 - a script of its image, no module
"""Tells whether Triton still works, by embedding a word: `probe.py HOST:PORT`, exit 1 only when it cannot mend itself.

Triton says ready even when a Python model has died under it. A full queue, an expired wait and a slow answer are load,
and restarting a loaded server makes the load worse: those count as alive, as long as the server itself still answers.
"""

import sys

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from vitrine.tensors import EMBED_TEXT

TIMEOUT_S = 8.0
LIVE_TIMEOUT_S = 4.0
"""Of the question whether the server lives, which no queue delays; both together are below the kubelet's patience."""
LOAD = ("Exceeds maximum queue size", "timeout expired", "Deadline Exceeded", "RESOURCE_EXHAUSTED")
"""What the messages of an overloaded server say."""


def main(address: str) -> int:
    """Return the exit status."""
    word = triton.InferInput(EMBED_TEXT.inputs[0].name, [1, 1], EMBED_TEXT.inputs[0].dtype)
    word.set_data_from_numpy(np.array([[b"dress"]], dtype=np.object_))
    client = triton.InferenceServerClient(address)
    try:
        client.infer(EMBED_TEXT.name, [word], client_timeout=TIMEOUT_S)
    except InferenceServerException as error:
        print(error, file=sys.stderr)
        return 0 if any(sign in str(error) for sign in LOAD) and _lives(client) else 1
    return 0


def _lives(client: triton.InferenceServerClient) -> bool:
    """Whether the server answers at all; one that hangs does not, and no load keeps it from it."""
    try:
        return bool(client.is_server_live(client_timeout=LIVE_TIMEOUT_S))
    except InferenceServerException as error:
        print(error, file=sys.stderr)
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
