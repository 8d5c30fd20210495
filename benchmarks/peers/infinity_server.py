"""infinity with batches of up to 32: its server, queue and threads, around the same graphs.

infinity loads models that torch, optimum or CTranslate2 read, none of which reads ours. So its own choice of an engine is
replaced by one that runs the published graphs; everything else is infinity's.
"""

import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import uvicorn
from infinity_emb.args import EngineArgs
from infinity_emb.infinity_server import create_server
from infinity_emb.transformer.abstract import BaseTIMM
from numpy.typing import NDArray
from PIL import Image

from benchmarks.raw import Floats, Raw
from vitrine.preprocess import to_pixels

MODEL = "vitrine"


class Embedder(BaseTIMM):
    """Embeds texts, and pictures that infinity has opened; a batch may hold both."""

    def __init__(self, *, engine_args: EngineArgs) -> None:
        self.engine_args = engine_args
        self._raw = Raw(Path(os.environ["PEER_REPOSITORY"]))

    def encode_pre(self, sentences_or_images: Sequence[str | Image.Image]) -> list[NDArray[Any]]:
        """Tokenise, and scale."""
        return [
            self._raw.token_ids([each])[0] if isinstance(each, str) else to_pixels(each, self._raw.image_size)
            for each in sentences_or_images
        ]

    def encode_core(self, features: list[NDArray[Any]]) -> list[Floats]:
        """Run the graphs, of texts and of pictures."""
        rows: list[Floats] = [np.empty(0, np.float32)] * len(features)
        for run, dims in ((self._raw.run_text, 1), (self._raw.run_image, 3)):
            places = [place for place, each in enumerate(features) if each.ndim == dims]
            if places:
                for place, row in zip(places, run(np.stack([features[n] for n in places])), strict=True):
                    rows[place] = row
        return rows

    def encode_post(self, embedding: list[Floats], skip_quanitzation: bool = True) -> list[Floats]:  # noqa: ARG002, FBT001, FBT002 - infinity's signature
        """Give the embeddings as they are: the graphs normalise."""
        return embedding

    def tokenize_lengths(self, sentences: list[str]) -> list[int]:
        """Tell lengths by which infinity sorts what waits."""
        return [len(each) for each in sentences]


if __name__ == "__main__":
    # Not by an import: its package has a function of the module's name.
    choosing: Any = importlib.import_module("infinity_emb.inference.select_model")
    choosing.get_engine_type_from_config = lambda _: SimpleNamespace(value=Embedder)
    arguments = EngineArgs(
        model_name_or_path=MODEL, served_model_name=MODEL, batch_size=32, engine="debugengine", device="cpu"
    )
    app = create_server(engine_args_list=[arguments])
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PEER_PORT"]), log_level="warning")
