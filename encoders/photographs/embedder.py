"""What is measured: something that embeds pictures, texts, and a reference with a text.

`open_embedder` makes one of any folder of weights that `encoders.families` reads, run by torch, or by ONNX Runtime
where a folder of exported graphs is named too.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from encoders.checkpoint import load_encoders
from encoders.families import FAMILY, PAIR, CheckpointError, Family, open_tokenizer, read_family
from encoders.pair.backbone import load_backbone
from encoders.pair.checkpoint import load_pair
from encoders.photographs.figures import Embeddings, normalised
from encoders.photographs.products import DataError
from encoders.results import digest_of_files
from vitrine.preprocess import ImageRejected, Tokenizer, decode_image

_ROWS = 64
IMAGE, TEXT, FUSION = _ENCODERS = ("image_encoder", "text_encoder", "fusion_encoder")

_Rows = TypeVar("_Rows", Sequence[bytes], Sequence[str], Embeddings)

Network = Callable[..., NDArray[np.float32]]
"""Takes the arrays that the encoder of that name takes, and returns embeddings (n, d)."""


class Embedder(Protocol):
    """Encoders as the protocols see them: every embedding is float32, L2-normalised, and of one space."""

    def images(self, pictures: Sequence[bytes]) -> Embeddings:
        """Embed encoded pictures, (n, d)."""

    def features(self, pictures: Sequence[bytes]) -> Embeddings | None:
        """Return what the pretrained tower alone gives of encoded pictures, (n, f); None where the family has none."""

    def texts(self, texts: Sequence[str]) -> Embeddings:
        """Embed texts, (n, d)."""

    def compose(self, references: Embeddings, texts: Sequence[str]) -> Embeddings:
        """Embed references (n, d), each changed as its text says, (n, d)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyEmbedder:
    """The three networks of a family with its tokenizer, fed as serving feeds them."""

    tokenizer: Tokenizer
    image_size: int
    networks: Mapping[str, Network]
    fusion_reads_text: bool = False
    """As vitrine.tensors.Dimensions says."""
    tower: Network | None = None
    """Of pictures, pretrained, before all that is trained here."""

    def images(self, pictures: Sequence[bytes]) -> Embeddings:
        """Embed encoded pictures, (n, d).

        Raises:
            DataError: one of them is damaged.
        """
        return self._embedded(pictures, self.networks[IMAGE])

    def features(self, pictures: Sequence[bytes]) -> Embeddings | None:
        """Return what the pretrained tower alone gives of encoded pictures, (n, f); None where the family has none.

        Raises:
            DataError: one of them is damaged.
        """
        return normalised(self._embedded(pictures, self.tower)) if self.tower else None

    def texts(self, texts: Sequence[str]) -> Embeddings:
        """Embed texts, (n, d)."""
        return np.concatenate([self.networks[TEXT](self.tokenizer(batch)) for batch in _batches(texts)])

    def compose(self, references: Embeddings, texts: Sequence[str]) -> Embeddings:
        """Embed references (n, d), each changed as its text says, (n, d)."""
        pairs = zip(_batches(references), _batches(texts), strict=True)
        return np.concatenate(
            [self.networks[FUSION](reference, self._words(batch)) for reference, batch in pairs]
        )

    def _embedded(self, pictures: Sequence[bytes], network: Network) -> Embeddings:
        embedded = [
            network(np.stack([self._pixels(picture) for picture in batch]))
            for batch in tqdm(list(_batches(pictures)), "embedding pictures", mininterval=10, leave=False)
        ]
        return np.concatenate(embedded)

    def _words(self, texts: Sequence[str]) -> NDArray[np.generic]:
        token_ids = self.tokenizer(texts)
        return self.networks[TEXT](token_ids) if self.fusion_reads_text else token_ids

    def _pixels(self, picture: bytes) -> NDArray[np.uint8]:
        try:
            return decode_image(picture, size=self.image_size)
        except ImageRejected as error:
            name = hashlib.sha256(picture).hexdigest()[:12]
            raise DataError(
                f"the picture with SHA-256 {name}... {error.reason}; take it out of the data"
            ) from None


@dataclass(frozen=True, slots=True)
class RememberingEmbedder:
    """An embedder that computes the embeddings of a list of pictures once, and keeps them in a folder."""

    embedder: Embedder
    folder: Path
    weights_digest: str

    def images(self, pictures: Sequence[bytes]) -> Embeddings:
        """Embed encoded pictures, (n, d), or read what was computed from the same pictures by the same weights."""
        path = self.folder / f"{self.weights_digest}-{digest_of_pictures(pictures)}.npy"
        if path.exists():
            kept: Embeddings = np.load(path)
            return kept
        embedded = self.embedder.images(pictures)
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            np.save(file, embedded)
        partial.rename(path)
        return embedded

    def features(self, pictures: Sequence[bytes]) -> Embeddings | None:
        """Return what the pretrained tower alone gives, (n, f)."""
        return self.embedder.features(pictures)

    def texts(self, texts: Sequence[str]) -> Embeddings:
        """Embed texts, (n, d)."""
        return self.embedder.texts(texts)

    def compose(self, references: Embeddings, texts: Sequence[str]) -> Embeddings:
        """Embed references (n, d), each changed as its text says, (n, d)."""
        return self.embedder.compose(references, texts)


def open_embedder(weights: Path, *, graphs: Path | None = None) -> tuple[Family, FamilyEmbedder]:
    """Open the encoders of a folder of weights; run the graphs of a folder where one is named.

    The folder is what `python -m export onnx`, `quantize` or `publish` writes of these weights.

    Raises:
        CheckpointError: the weights or the graphs cannot be used.
    """
    family = read_family(weights)
    return family, FamilyEmbedder(
        tokenizer=Tokenizer(open_tokenizer(family).to_str()),
        image_size=family.dimensions.image_size,
        networks=_torch_networks(family) if graphs is None else _graph_networks(graphs),
        fusion_reads_text=family.dimensions.fusion_reads_text,
        tower=_torch_network(load_backbone()) if family.name == PAIR else None,
    )


def digest_of_weights(family: Family, *, graphs: Path | None = None) -> str:
    """Name the weights, what they stand on (towers of packages, tokenizer), and the graphs where these compute."""
    files = sorted([*family.weights.values(), *(_graph_paths(graphs) if graphs else ())])
    named = json.dumps(
        [family.sizes, open_tokenizer(family).to_str(), digest_of_files(files)], sort_keys=True
    )
    return hashlib.sha256(named.encode()).hexdigest()[:16]


def digest_of_pictures(pictures: Sequence[bytes]) -> str:
    """Name a list of pictures by their content and order."""
    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(hashlib.sha256(picture).digest())
    return digest.hexdigest()[:16]


def load_networks(family: Family) -> Mapping[str, nn.Module]:
    """Read the torch networks of any family, in evaluation mode, by the names of their models in vitrine.tensors.

    Raises:
        CheckpointError: a file is missing, corrupt, or of other sizes.
    """
    # transformers takes seconds to import, and the family small does without.
    if family.name == FAMILY:
        return load_encoders(family.folder).parts()
    if family.name == PAIR:
        return load_pair(family.folder).parts()
    if family.name == "paper":
        from encoders.paper.loading import load_paper  # noqa: PLC0415

        return load_paper(family)
    from encoders.pretrained import load_pretrained  # noqa: PLC0415

    return load_pretrained(family)


def _torch_networks(family: Family) -> dict[str, Network]:
    return {name: _torch_network(network) for name, network in load_networks(family).items()}


def _torch_network(network: nn.Module) -> Network:
    @torch.inference_mode()
    def run(*arrays: NDArray[np.generic]) -> NDArray[np.float32]:
        embedded: NDArray[np.float32] = network(*map(torch.from_numpy, arrays)).float().numpy()
        return embedded

    return run


def _graph_networks(graphs: Path) -> dict[str, Network]:
    return {name: _graph_network(path) for name, path in zip(_ENCODERS, _graph_paths(graphs), strict=True)}


def _graph_paths(graphs: Path) -> list[Path]:
    """Return the graphs of a folder of them, or of a published repository of models."""
    flat = [graphs / f"{name}.onnx" for name in _ENCODERS]
    published = [graphs / name / "1" / "model.onnx" for name in _ENCODERS]
    return published if published[0].is_file() else flat


def _graph_network(path: Path) -> Network:
    if not path.is_file():
        raise CheckpointError(f"{path}: missing; `python -m export onnx` writes it")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]

    def run(*arrays: NDArray[np.generic]) -> NDArray[np.float32]:
        embedded: NDArray[np.float32] = session.run(None, dict(zip(names, arrays, strict=True)))[0]
        return embedded.astype(np.float32, copy=False)

    return run


def _batches(values: _Rows) -> Iterator[_Rows]:
    return (values[start : start + _ROWS] for start in range(0, len(values), _ROWS))
