"""The network under ONNX Runtime: one step for several texts at once, each with a cache of its own.

A text's keys and values lie in a row of one buffer, so that joining and leaving a batch copies one row at most. Rows
differ in length; masks hide what is not theirs, so that a text's logits do not depend on its company.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime

Logits = npt.NDArray[np.float32]

_FORBIDDEN = -1e4


class Decoder:
    """Steps up to `rows` texts of up to `length` tokens; not for several threads at once."""

    def __init__(self, path: Path, *, rows: int, length: int, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        cache = next(item for item in self._session.get_inputs() if item.name == "past_keys")
        layers, _, heads, _, width = cache.shape
        self.rows = rows
        self.length = length
        self._keys = np.zeros((layers, rows, heads, length, width), np.float32)
        self._values = np.zeros_like(self._keys)
        self._used = [0] * rows

    def free(self, row: int) -> None:
        """Forget a row's text."""
        self._used[row] = 0

    def move(self, source: int, target: int) -> None:
        """Put the text of one row in the place of another's."""
        used = self._used[source]
        for cache in (self._keys, self._values):
            cache[:, target, :, :used] = cache[:, source, :, :used]
        self._used[target], self._used[source] = used, 0

    def room(self, row: int) -> int:
        """Return how many tokens the row can take in still."""
        return self.length - self._used[row]

    def step(self, first: int, fed: Sequence[Sequence[int]]) -> Logits:
        """Feed each row from `first` on its tokens, one at least; give the logits (n, vocabulary) after the last of each."""
        count, width = len(fed), max(map(len, fed))
        used = np.array(self._used[first : first + count])
        lengths = np.array([len(row) for row in fed])
        past = int(used.max())
        tokens = np.zeros((count, width), np.int64)
        for row, ids in enumerate(fed):
            tokens[row, : len(ids)] = ids
        window = np.s_[:, first : first + count, :, :past]
        logits, keys, values = self._session.run(
            ("logits", "keys", "values"),
            {
                "tokens": tokens,
                "positions": used[:, None] + np.arange(width),
                "mask": _mask(used, width, past),
                "past_keys": np.ascontiguousarray(self._keys[window]),
                "past_values": np.ascontiguousarray(self._values[window]),
                "last": lengths - 1,
            },
        )
        for row, (start, length) in enumerate(zip(used, lengths, strict=True)):
            place = np.s_[:, first + row, :, start : start + length]
            self._keys[place] = keys[:, row, :, :length]
            self._values[place] = values[:, row, :, :length]
            self._used[first + row] = int(start + length)
        return np.asarray(logits, np.float32)


def _mask(used: npt.NDArray[np.int64], width: int, past: int) -> npt.NDArray[np.float32]:
    """Let each token see its row's past and its own text up to itself; (n, 1, width, past + width)."""
    mask = np.full((len(used), 1, width, past + width), _FORBIDDEN, np.float32)
    own = np.triu(np.full((width, width), _FORBIDDEN, np.float32), 1)
    mask[:, 0, :, past:] = own
    for row, length in enumerate(used):
        mask[row, 0, :, :length] = 0.0
    return mask
