"""What every peer serves: the published graphs on ONNX Runtime, as PEER_REPOSITORY and PEER_KIND name them."""

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.raw import Raw


@dataclass(frozen=True, slots=True)
class Query:
    """One input."""

    text: str = ""
    image: bytes = b""


class Model:
    """Embeds texts, or pictures in base64."""

    def __init__(self) -> None:
        self._raw = Raw(Path(os.environ["PEER_REPOSITORY"]))
        self._kind = os.environ["PEER_KIND"]
        self.embedding_dim = self._raw.embedding_dim

    def encode(self, queries: Sequence[str]) -> list[list[float]]:
        """Return an embedding for each."""
        if self._kind == "text":
            batch = [Query(text=query) for query in queries]
        else:
            batch = [Query(image=base64.b64decode(query)) for query in queries]
        rows: list[list[float]] = self._raw.run(self._kind, batch).tolist()
        return rows
