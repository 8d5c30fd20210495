"""What training reaches on the validation split, so that a stage that does not pay is seen."""

from collections.abc import Sequence

import numpy as np
import torch

from encoders.pair.data import Texts
from encoders.pair.features import Features
from encoders.pair.networks import PairEncoders
from encoders.pair.training import embed_texts
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

    def embed(texts: Sequence[str]) -> Embeddings:
        known = Texts.of(texts, encoders.text.tower)
        embedded: Embeddings = embed_texts(encoders.text, known.features[known.rows(texts)]).cpu().numpy()
        return embedded

    given = torch.from_numpy(np.asarray(features[:, 0], np.float32)).to(device())
    images = encoders.image.eval().embed(given).cpu().numpy()
    return recalls_by_title(Gallery(photographs=photographs, images=images), embed)
