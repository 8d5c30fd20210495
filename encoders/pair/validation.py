"""What training reaches on the validation split, so that a stage that does not pay is seen."""

from collections.abc import Sequence

import numpy as np
import torch

from encoders.pair.data import Texts
from encoders.pair.features import Features
from encoders.pair.networks import PairEncoders
from encoders.pair.training import embed_texts
from encoders.photographs.figures import CUTS, looked_up, nearest
from encoders.photographs.gallery import Gallery
from encoders.photographs.products import Photograph


@torch.no_grad()
def find_by_title(
    encoders: PairEncoders, features: Features, photographs: Sequence[Photograph]
) -> dict[str, float]:
    """Search the photographs that have a title by it, as `python -m encoders photographs` does on the test split.

    Returns:
        Percent of titles with a right answer among the first 1, 10 and 50; empty where there is no title.
    """
    places = [place for place, each in enumerate(photographs) if each.title]
    if not places:
        return {}
    head = encoders.image.head.eval()
    given = torch.from_numpy(np.asarray(features[places, 0], np.float32)).to(next(head.parameters()).device)
    gallery = Gallery(photographs=[photographs[place] for place in places], images=head(given).cpu().numpy())
    first = list({each.title: row for row, each in reversed(list(enumerate(gallery.photographs)))}.values())
    texts = Texts.of([gallery.photographs[row].title for row in first], encoders.text.tower)
    asked = texts.features[texts.rows([gallery.photographs[row].title for row in first])]
    found = nearest(embed_texts(encoders.text.head, asked).cpu().numpy(), gallery.images)
    hits = looked_up(gallery.answers, found) == gallery.answers[first][:, None]
    return {f"R@{cut}": round(100 * float(hits[:, :cut].any(axis=1).mean()), 2) for cut in CUTS}
