"""Samples as tokens: the prompt, the answer as guided decoding spells it, and which of its tokens are choices."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from llguidance import LLMatcher
from llguidance import numpy as masks
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from tqdm import tqdm

from rewriter.engines.model.placeholders import mark_turn
from rewriter.engines.model.plan import Plan
from rewriter.engines.model.prompt import prompt_of, tokens_of_prompts
from rewriter.engines.model.tokens import Tokens
from rewriter.nlu.dialogue_state import remember
from rewriter.training.samples import Sample, Sampler

VOCABULARY = 3_072
_MAX_GROWTH = 512
"""Tokens of an answer, which no plan comes near."""


@dataclass(frozen=True, slots=True)
class Example:
    """One sample's tokens; `free` says which of them the model chose: those that the grammar left open."""

    tokens: npt.NDArray[np.int16]
    free: npt.NDArray[np.bool_]


def train_tokenizer(texts: Iterator[str], path: Path) -> None:
    """Learn byte pairs from prompts and answers, and write the tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=tokens_of_prompts(),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=3,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    path.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(path), pretty=False)


def texts_of(samples: Sequence[Sample], sampler: Sampler) -> Iterator[str]:
    """Yield the plain words of the prompts, and the answers."""
    for sample in samples:
        if sample.plan is not None:
            yield " ".join(text for text, special in _prompt(sample, sampler) if not special)
            yield sample.plan.to_json()


def encode(sample: Sample, plan: Plan, sampler: Sampler, tokens: Tokens) -> Example:
    """Return a sample's tokens with the end of text after the answer."""
    prompt = tokens.encode(_prompt(sample, sampler))
    answer, free = _spell(tokens, tuple(plan.uses), plan.to_json())
    return Example(
        np.array([*prompt, *answer, tokens.end], np.int16),
        np.array([False] * len(prompt) + list(free) + [False]),
    )


@lru_cache(maxsize=100_000)
def _spell(tokens: Tokens, marks: tuple[str, ...], answer: str) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Spell an answer as guided decoding does: forced tokens as they come, at each choice the longest token that fits."""
    matcher = tokens.matcher(marks)
    rest = answer.encode()
    ids: list[int] = []
    free: list[bool] = []
    while rest and len(ids) < _MAX_GROWTH:
        forced = matcher.compute_ff_tokens()
        chosen = forced or [_longest(tokens, matcher, rest)]
        ids += chosen
        free += [not forced] * len(chosen)
        matcher.consume_tokens(chosen)
        for token in chosen:
            text = tokens.token_text(token)
            assert rest.startswith(text), (rest, text)
            rest = rest[len(text) :]
    return tuple(ids), tuple(free)


def _longest(tokens: Tokens, matcher: LLMatcher, rest: bytes) -> int:
    """Return the longest token that the grammar allows here and the answer begins with."""
    bitmask = masks.allocate_token_bitmask(1, tokens.size)
    masks.fill_next_token_bitmask(matcher, bitmask, 0)
    allowed = np.flatnonzero(np.unpackbits(bitmask.view(np.uint8)[0], bitorder="little")[: tokens.size])
    fitting = [
        token
        for token in map(int, allowed)
        if token != tokens.end and rest.startswith(tokens.token_text(token))
    ]
    return max(fitting, key=lambda token: len(tokens.token_text(token)))


def write_shard(path: Path, seed: int, count: int, tokens: Tokens) -> None:
    """Draw samples for training and write their tokens, one after another, with where each begins."""
    sampler = Sampler(random.Random(seed), resolved=False)
    examples: list[Example] = []
    with tqdm(total=count, desc=path.stem, unit=" samples", leave=False) as bar:
        while len(examples) < count:
            sample = sampler.draw()
            if sample.plan is not None:
                examples.append(encode(sample, sample.plan, sampler, tokens))
                bar.update()
    ends = np.cumsum([len(example.tokens) for example in examples])
    temporary = path.with_suffix(".part.npz")
    np.savez(
        temporary,
        tokens=np.concatenate([example.tokens for example in examples]),
        free=np.concatenate([example.free for example in examples]),
        ends=ends,
    )
    temporary.rename(path)


def read_shards(paths: Sequence[Path]) -> list[Example]:
    """Read the examples of the shards."""
    examples: list[Example] = []
    for path in paths:
        shard = np.load(path)
        starts = [0, *shard["ends"][:-1]]
        tokens, free = shard["tokens"], shard["free"]
        examples += [Example(tokens[a:b], free[a:b]) for a, b in zip(starts, shard["ends"], strict=True)]
    return examples


def _prompt(sample: Sample, sampler: Sampler) -> list[tuple[str, bool]]:
    lexicon = sampler.lexicons.get(sample.request.facets)
    turn = mark_turn(sample.request.text, lexicon)
    return prompt_of(sample.request, turn, remember(sample.request.history), lexicon)
