"""What training reaches on the validation split, so that a stage that does not pay is seen."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from encoders.pair.data import Texts
from encoders.pair.features import Features
from encoders.pair.networks import PairEncoders
from encoders.pair.training import embed_texts
from encoders.photographs.composed import recalls_by_change
from encoders.photographs.figures import Embeddings
from encoders.photographs.gallery import Gallery
from encoders.photographs.products import Photograph
from encoders.photographs.searches import recalls_by_title
from encoders.stages import device


@torch.no_grad()
def find_by_title(
    encoders: PairEncoders, features: Features, photographs: Sequence[Photograph]
) -> dict[str, float | None]:
    """Search photographs by their titles; see `recalls_by_title`."""
    return recalls_by_title(
        _gallery(encoders, features, photographs), lambda texts: _embedded(encoders, texts).cpu().numpy()
    )


@torch.no_grad()
def find_by_change(
    encoders: PairEncoders, features: Features, photographs: Sequence[Photograph]
) -> dict[str, float | None]:
    """Search photographs by others in another colour; see `recalls_by_change`."""

    def compose(pictures: Embeddings, texts: Sequence[str]) -> Embeddings:
        references = torch.from_numpy(pictures).to(device())
        composed: Embeddings = encoders.fusion.eval()(references, _embedded(encoders, texts)).cpu().numpy()
        return composed

    return recalls_by_change(_gallery(encoders, features, photographs), compose)


def _gallery(encoders: PairEncoders, features: Features, photographs: Sequence[Photograph]) -> Gallery:
    given = torch.from_numpy(np.asarray(features[:, 0], np.float32)).to(device())
    return Gallery(photographs=photographs, images=encoders.image.eval().embed(given).cpu().numpy())


def _embedded(encoders: PairEncoders, texts: Sequence[str]) -> Tensor:
    known = Texts.of(texts, encoders.text.tower)
    return embed_texts(encoders.text, known.features[known.rows(texts)])
