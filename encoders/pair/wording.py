"""The stage after the heads: a sentence that asks for another value is embedded as that value.

The text tower hardly tells the order of words: "replace red with blue" and "replace blue with red" have nearly one embedding. A
perceptron of one hidden layer can learn for the values of a trade which of the two is wanted; a combiner behind it then reads
the same from a sentence that names both values as from one that names the new value alone.

All else stays where it was, for the perceptron's gate is shut: titles, captions, sentences that say them in several languages,
and what lies between these.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from encoders.pair.captions import attribute
from encoders.pair.data import Changes, Texts
from encoders.pair.fusion import way_of_each
from encoders.pair.networks import PairEncoders, PairTextEncoder, Wording
from encoders.pair.sentences import FEATURES, Sentences
from encoders.pair.training import Settings, embed_texts
from encoders.photographs.products import Photograph
from encoders.photographs.vocabulary import query
from encoders.progress import History
from encoders.stages import Losses, device, new_stage, run_stage

WORDING = "wording"
"""The stage."""
_HELD = 4.0
"""Weight of what is held, which every search by words depends on, beside the sentences."""
_OTHER_WAYS = 0.25
"""Share of sentences with capitals, and of those in other languages."""
_APART = 0.6
"""How far what is held may lie from a text, in the distance of two others and in noise of length 1."""
_FRAMES: dict[str, list[str]] = tomllib.loads(
    Path(__file__).with_name("frames.toml").read_text(encoding="utf-8")
)["frames"]


def train_wording(
    encoders: PairEncoders,
    held: Sequence[Tensor],
    changes: Changes,
    settings: Settings,
    work: Path,
) -> tuple[PairEncoders, History]:
    """Return encoders whose text encoder reads changes, and the losses; the given ones where the data have no changes.

    Args:
        encoders: trained; they stay as they are.
        held: features of texts (t, 512) that stay where they are, as near as one network can have both; of each in equal parts.
        changes: the sentences that come to mean their new value.
        settings: those of the stage.
        work: keeps the state of the stage.
    """
    if not changes.all:
        return encoders, {}
    asked = _Asked(changes, settings)
    sentences = changes.texts.features.to(device())
    sources = [each.to(device()) for each in held if len(each)]
    wanted = embed_texts(encoders.text, sentences)[:, : encoders.sizes.trained_dim]
    encoders = _with_wording(encoders)
    head, wording = encoders.text.head, encoders.text.wording
    assert wording is not None, "it was just made"
    modules = nn.ModuleDict({"wording": wording})
    stage = new_stage(WORDING, modules, rate=settings.wording_rate, steps=settings.wording_steps, work=work)

    def losses_of_step(step: int) -> Losses:
        rng = np.random.default_rng((settings.seed, step, 4))
        new, texts = asked.draw(rng)
        near = torch.cat([_about(each, settings.wording_rows // len(sources), rng) for each in sources])
        read = torch.cat([sentences[texts], near])
        with torch.no_grad():
            said = head(read)
        wrong = 1 - (wording(read, said) * torch.cat([wanted[new], said[len(new) :]])).sum(1)
        return {
            "sentence to new value": wrong[: len(new)].mean(),
            "all else as before": _HELD * wrong[len(new) :].mean(),
        }

    return encoders, run_stage(stage, lambda steps: map(losses_of_step, steps))


class _Asked:
    """Sentences that ask for a new value; a share of colours is asked for with capitals, and one in other languages."""

    def __init__(self, changes: Changes, settings: Settings) -> None:
        pairs = sorted({(each.new, each.texts) for each in changes.all})
        self._new = np.array([new for new, _ in pairs])
        self._ways = np.array([texts for _, texts in pairs])
        self._other_ways = changes.other_ways
        self._settings = settings

    def draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Return numbers of new values and of a sentence for each."""
        share = int(_OTHER_WAYS * self._settings.wording_rows)
        others = [each[rng.integers(len(each), size=share)] for each in self._other_ways]
        pairs = rng.integers(len(self._new), size=self._settings.wording_rows - share * len(others))
        ways = way_of_each(rng, len(pairs), naming_both=self._settings.naming_both)
        drawn = np.concatenate([np.stack([self._new[pairs], self._ways[pairs, ways]], axis=1), *others])
        return torch.from_numpy(drawn[:, 0]), torch.from_numpy(drawn[:, 1])


def _with_wording(encoders: PairEncoders) -> PairEncoders:
    sizes = replace(encoders.sizes, wording_width=encoders.sizes.head_width)
    wording = Wording(FEATURES, sizes.wording_width, sizes.trained_dim)
    text = PairTextEncoder(encoders.text.tower, encoders.text.head.eval(), wording)
    return replace(encoders, sizes=sizes, text=text.to(device()))


def framed(photographs: Sequence[Photograph], tower: Sentences) -> Tensor:
    """Return the features (t, 512) of the photographs' colours and categories in the sentences of frames.toml."""
    kinds = dict.fromkeys((attribute(each, "colour"), attribute(each, "category")) for each in photographs)
    texts: dict[str, None] = {}
    for language, frames in _FRAMES.items():
        for place, (colour, category) in enumerate(kinds):
            words = query(language, "words", colour=colour, article=category, audience=None)
            if words is not None:
                texts[frames[place % len(frames)].format(words=words)] = None
    return Texts.of(list(texts), tower).features if texts else torch.empty((0, FEATURES))


def _about(texts: Tensor, count: int, rng: np.random.Generator) -> Tensor:
    """Return features near some of the texts (t, d): half of them as they are, half moved between texts and by noise."""
    rows = torch.from_numpy(rng.integers(len(texts), size=(3, count))).to(texts.device)
    one, other, third = texts[rows[0]], texts[rows[1]], texts[rows[2]]
    noise = torch.from_numpy(rng.standard_normal(one.shape, dtype=np.float32)).to(texts.device)
    share = torch.from_numpy(np.maximum(rng.uniform(-1, 1, (count, 1)), 0).astype(np.float32)).to(
        texts.device
    )
    moved = (other - third) + noise / texts.shape[1] ** 0.5
    return functional.normalize(one + _APART * share * moved, dim=-1)
