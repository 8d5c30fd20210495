# ruff: noqa: INP001 - a script of its image, no module
"""Tells whether Triton still works, by embedding a word: `probe.py HOST:PORT`, exit 1 only when it cannot mend itself.

Triton says ready even when a Python model has died under it. A full queue, an expired wait and a slow answer are load,
and restarting a loaded server makes the load worse: those count as alive.
"""

import sys

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from vitrine.tensors import EMBED_TEXT

TIMEOUT_S = 10.0
LOAD = ("Exceeds maximum queue size", "timeout expired", "Deadline Exceeded", "RESOURCE_EXHAUSTED")
"""What the messages of an overloaded server say."""


def main(address: str) -> int:
    """Return the exit status."""
    word = triton.InferInput(EMBED_TEXT.inputs[0].name, [1, 1], EMBED_TEXT.inputs[0].dtype)
    word.set_data_from_numpy(np.array([[b"dress"]], dtype=np.object_))
    try:
        triton.InferenceServerClient(address).infer(EMBED_TEXT.name, [word], client_timeout=TIMEOUT_S)
    except InferenceServerException as error:
        print(error, file=sys.stderr)
        return 0 if any(sign in str(error) for sign in LOAD) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
