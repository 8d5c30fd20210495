"""The designs that are compared."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from encoders.checkpoint import Encoders
from encoders.comparison.attending import QFormerComposer, TransformerComposer
from encoders.comparison.composers import CombinerComposer, Composer, GatedResidualComposer, SumComposer
from vitrine.tensors import EMBEDDING_DIM

_PUBLISHED_WIDTH = 8 * EMBEDDING_DIM
"""Of the combiner's hidden layers, in CLIP4CIR."""


@dataclass(frozen=True, slots=True)
class Design:
    """A name and the composers that are trained for it, one after the other; the last is measured."""

    name: str
    composers: Callable[[Encoders], Iterator[Composer]]
    stages: int = 1
    """How many composers share the steps, in equal parts."""


def _sum_tuned(encoders: Encoders) -> Iterator[Composer]:
    yield SumComposer(copy.deepcopy(encoders.text))


def _tirg(encoders: Encoders) -> Iterator[Composer]:
    yield GatedResidualComposer(copy.deepcopy(encoders.text))


def _clip4cir(encoders: Encoders) -> Iterator[Composer]:
    text = copy.deepcopy(encoders.text)
    yield SumComposer(text)
    sizes = replace(encoders.sizes, fusion_width=_PUBLISHED_WIDTH)
    yield CombinerComposer(text, sizes, frozen=True)


def _ours(encoders: Encoders) -> Iterator[Composer]:
    yield CombinerComposer(copy.deepcopy(encoders.text), encoders.sizes, frozen=False)


def _transformer(encoders: Encoders) -> Iterator[Composer]:
    yield TransformerComposer(copy.deepcopy(encoders.text), encoders.sizes)


def _qformer(encoders: Encoders) -> Iterator[Composer]:
    yield QFormerComposer(copy.deepcopy(encoders.text), encoders.sizes)


DESIGNS = (
    Design("sum_tuned", _sum_tuned),
    Design("tirg", _tirg),
    Design("clip4cir", _clip4cir, stages=2),
    Design("ours", _ours),
    Design("transformer", _transformer),
    Design("qformer", _qformer),
)
"""Those that are trained; picture, text and their weighted sum are measured without."""
