"""Made-up photographs and an embedder that knows them by heart."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from PIL import Image

from encoders.photographs.figures import Embeddings, normalised
from encoders.photographs.products import Photograph

Make = Callable[..., Photograph]


def solid(colour: str | tuple[int, int, int]) -> bytes:
    """The bytes of a small picture of one colour."""
    out = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(out, format="PNG")
    return out.getvalue()


@dataclass
class Known:
    """Embeds what it was told; another text is the zero vector."""

    pictures: Mapping[bytes, Sequence[float]]
    words: Mapping[str, Sequence[float]] = field(default_factory=dict)
    calls: int = 0
    seen: Mapping[bytes, Sequence[float]] = field(default_factory=dict)
    """What a tower alone gives."""

    def images(self, pictures: Sequence[bytes]) -> Embeddings:
        """Return what the pictures are known by."""
        self.calls += 1
        return normalised(np.array([self.pictures[each] for each in pictures]))

    def features(self, pictures: Sequence[bytes]) -> Embeddings | None:
        """Return what the tower alone gives; None where it was not told."""
        return normalised(np.array([self.seen[each] for each in pictures])) if self.seen else None

    def texts(self, texts: Sequence[str]) -> Embeddings:
        """Return what the texts are known by."""
        size = len(next(iter(self.pictures.values())))
        return normalised(np.array([self.words.get(each, [0.0] * size) for each in texts]))

    def compose(self, references: Embeddings, texts: Sequence[str]) -> Embeddings:
        """Read the last word of the text, and keep the reference's last number."""
        moved = self.texts([text.split()[-1] for text in texts])
        moved[:, -1] = references[:, -1]
        return normalised(moved)


@pytest.fixture
def make() -> Make:
    """Make a photograph; its picture is its name, unless one is given."""

    def photograph(
        name: str, *, title: str = "", group: str = "", picture: bytes = b"", **more: str
    ) -> Photograph:
        return Photograph(
            product_id=name,
            title=title,
            category=more.get("category", ""),
            attributes=more,
            group=group or name,
            split="test",
            picture=picture or name.encode(),
        )

    return photograph
