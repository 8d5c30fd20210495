"""Training of the family `paper`: the ViT stays as it is, the Q-Former is tuned, and the T5 learns by a LoRA.

A step draws turns: a picture, words that change it, a picture of the outcome, and the outcome's caption. The T5's
answer to picture and words is held against every picture of the step (InfoNCE; all that look as the outcome does are
right, as the benchmark counts them), and goes on to say the outcome's caption (language modelling). The caption alone
is held against the pictures, too, since a search may be words and nothing else.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import peft
import torch
from torch import Tensor, nn

from catalogue.randomness import generator
from encoders.families import Family, open_tokenizer
from encoders.losses import contrastive_loss
from encoders.paper.examples import Examples, Turn, TurnSource
from encoders.paper.features import Features
from encoders.paper.loading import TUNED
from encoders.paper.networks import IGNORED, PaperNetworks
from encoders.stages import Losses, device, new_scale
from vitrine.preprocess import Tokenizer

_SAMPLE = 256
"""Pictures whose query tokens decide where the projections start."""

_TUNED_PARTS = ("qformer.", "query_tokens", "language_projection.")
"""Parts of the BLIP-2 that are tuned as they are; the T5 has its LoRA, and the ViT stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The length and pace of a run; the usual values stand with the command's options.

    They are ours, since the paper's are not known to us.
    """

    seed: int
    steps: int
    turns: int
    """Of a step."""
    rate: float
    text_length: int
    """Tokens of a text; those of a caption that is said are as many."""
    embedding_dim: int
    lora_rank: int
    lora_layers: tuple[str, ...]
    """Linear layers of the T5 that are adapted, by the last part of their names."""
    lora_alpha: int = 32
    lora_dropout: float = 0.05
    generation_weight: float = 0.2
    """Of language modelling beside the contrasts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trainee:
    """The networks with what is trained in them."""

    networks: PaperNetworks
    adapted: Any
    """The BLIP-2 as peft wraps it; writes the adapter."""
    scales: nn.ParameterDict
    """Logarithms of inverse temperatures, by contrast."""

    def tuned(self) -> dict[str, nn.Parameter]:
        """Return the parameters of retrieval.safetensors, by their names there."""
        parts = self.networks.blip.named_parameters()
        tuned = {f"{TUNED}{name}": each for name, each in parts if name.startswith(_TUNED_PARTS)}
        return dict(self.networks.projections.named_parameters()) | tuned

    def trained(self) -> nn.ModuleDict:
        """Return all that is trained, and nothing else: what a step moves and what a run that resumes needs."""
        lora = {name: each for name, each in self.networks.blip.named_parameters() if "lora_" in name}
        every = {name.replace(".", "/"): each for name, each in (lora | self.tuned()).items()}
        return nn.ModuleDict({"weights": nn.ParameterDict(every), "scales": self.scales})

    def to_mode(self, *, training: bool) -> None:
        """Switch dropout on or off, but in the ViT, where it stays off."""
        for part in (self.networks.blip, self.networks.projections):
            part.train(training)
        self.networks.blip.vision_model.eval()


def adapt(networks: PaperNetworks, settings: Settings) -> Trainee:
    """Put a LoRA into the T5, and freeze all that is not trained."""
    layers = "|".join(settings.lora_layers)
    config = peft.LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=rf"language_model\.(encoder|decoder)\..*\.({layers})",
    )
    trainee = Trainee(
        networks=networks,
        adapted=peft.get_peft_model(networks.blip, config),
        scales=nn.ParameterDict({name: new_scale() for name in ("change", "caption")}),
    )
    for name, parameter in networks.blip.named_parameters():
        parameter.requires_grad = name.startswith(_TUNED_PARTS) or "lora_" in name
    trainee.to_mode(training=False)
    return trainee


def move(trainee: Trainee) -> None:
    """Move everything to the device that trains.

    Where that is a GPU, frozen weights are bfloat16 there; what is trained stays float32.
    """
    networks = trainee.networks
    for parameter in networks.blip.parameters():
        if device().type == "cuda" and not parameter.requires_grad:
            parameter.data = parameter.data.bfloat16()
    for part in (networks.blip, networks.image, networks.fusion):
        part.to(device())


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What the networks make of n turns."""

    images: Tensor
    """float32 (2n, d): the pictures of the outcomes, then those of the sources."""
    composed: Tensor
    """float32 (n, d)."""
    titles: Tensor
    """float32 (n, d): the outcomes' captions."""
    said: Tensor
    """A scalar: the cross-entropy of saying the captions after picture and words."""


def answer(networks: PaperNetworks, states: Tensor, changes: Tensor, captions: Tensor) -> Answers:
    """Run the networks on n turns.

    Args:
        networks: all three.
        states: of the ViT, (2n, patches + 1, width): of the outcomes, then of the sources.
        changes: int64 token ids (n, length) of the words that change a source.
        captions: int64 token ids (n, length) of the outcomes' captions.
    """
    images = networks.projections.embed(networks.image.tokens(states))
    changed = networks.fusion.read(images[len(changes) :], changes)
    labels = captions.masked_fill(captions == networks.text.pad_id, IGNORED)
    composed, said = networks.text.answer_and_say(*changed, labels)
    return Answers(images=images, composed=composed, titles=networks.text(captions), said=said)


@torch.no_grad()
def start_projections(networks: PaperNetworks, features: Features, *, seed: int) -> None:
    """Set the projections so that an embedding keeps as much of the query tokens as so many numbers can.

    They begin with the principal components of the tokens' differences from the mean of their place: the first
    change that is read is then what BLIP-2's own projection makes of its own tokens, as nearly as that goes.
    """
    projections = networks.projections
    count = len(features.pictures)
    rows = generator("start", seed).sample(range(count), min(_SAMPLE, count))
    tokens = torch.cat(
        [networks.image.tokens(features.read(part).float()) for part in _chunks(rows, 32)]
    ).float()
    centre = tokens.mean(0)
    _, _, components = torch.linalg.svd((tokens - centre).flatten(0, 1).cpu(), full_matrices=False)
    kept = components[: projections.image.out_features].to(tokens.device)
    length = ((tokens - centre) @ kept.T).flatten(1).norm(dim=1).mean()
    projections.centre.copy_(centre)
    _set_linear(projections.image, kept)
    _set_linear(projections.reference, kept.T * length)


class Steps:
    """Makes the losses of each step."""

    def __init__(
        self, trainee: Trainee, examples: Examples, features: Features, family: Family, settings: Settings
    ) -> None:
        self._trainee = trainee
        self._examples = examples
        self._features = features
        self._settings = settings
        self._turns = TurnSource(examples)
        self._looks = np.array(examples.looks)
        self._captions = np.unique(np.array(examples.captions), return_inverse=True)[1]
        self._tokenizer = Tokenizer(open_tokenizer(family).to_str())

    def losses_of(self, steps: range) -> Iterator[Losses]:
        """Yield the losses of these steps; what a step draws depends on seed and number alone."""
        self._trainee.to_mode(training=True)
        for step in steps:
            rng = generator("paper", self._settings.seed, step)
            torch.manual_seed(rng.getrandbits(63))  # dropout
            yield self._losses(self._turns.draw(rng, count=self._settings.turns))
        self._trainee.to_mode(training=False)

    def _losses(self, turns: Sequence[Turn]) -> Losses:
        networks, scales = self._trainee.networks, self._trainee.scales
        targets = [turn.target for turn in turns]
        shown = targets + [turn.source for turn in turns]
        states = self._features.read(shown).float()
        changes = self._ids([turn.text for turn in turns])
        captions = self._ids([self._examples.captions[row] for row in targets])
        with torch.autocast(device().type, torch.bfloat16, enabled=device().type == "cuda"):
            made = answer(networks, states, changes, captions)
        looks, texts = (self._same(numbers, targets, shown) for numbers in (self._looks, self._captions))
        outcomes = slice(len(turns))
        forwards = contrastive_loss(made.titles, made.images, texts, scales["caption"])
        backwards = contrastive_loss(
            made.images[outcomes], made.titles, texts[:, outcomes], scales["caption"]
        )
        return {
            "change": contrastive_loss(made.composed, made.images, looks, scales["change"]),
            "caption": (forwards + backwards) / 2,
            "said": self._settings.generation_weight * made.said,
        }

    def _ids(self, texts: Sequence[str]) -> Tensor:
        """Return int64 token ids, cut to the longest text."""
        ids = torch.from_numpy(self._tokenizer(texts))
        longest = int((ids != self._trainee.networks.text.pad_id).sum(1).max())
        return ids[:, : max(1, longest)].to(device())

    def _same(self, numbers: Any, rows: Sequence[int], columns: Sequence[int]) -> Tensor:
        """Return bool (rows, columns): whether two pictures have one number."""
        same = numbers[list(rows)][:, None] == numbers[list(columns)][None]
        return torch.from_numpy(same).to(device())


def _set_linear(linear: nn.Linear, weight: Tensor) -> None:
    linear.weight.copy_(weight)
    linear.bias.zero_()


def _chunks(rows: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))
