"""The tokenizer: byte-pair encoding learned from captions, queries and modification texts.

Its alphabet is all 256 bytes, so no word is unknown; a hyphen counts as a space and other punctuation as nothing,
so "v-neck" and "v neck" are one text.
"""

from collections.abc import Iterable, Iterator

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from catalogue.grammar import SLOTS, Edit, caption, sample_edit, sample_spec
from catalogue.randomness import generator
from encoders.phrases import describe, describe_fully, say_edits
from vitrine.preprocess import PAD_ID
from vitrine.tensors import TEXT_LENGTH

VOCABULARY_SIZE = 1200
_PAD_TOKEN = "[PAD]"  # noqa: S105 - of a text


def train_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """Learn the merges; the result pads and cuts to TEXT_LENGTH."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase(), normalizers.Replace(Regex(r"[-\u2010-\u2015_/]"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Punctuation(behavior="removed"),
            pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        min_frequency=2,
        special_tokens=[_PAD_TOKEN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.enable_padding(length=TEXT_LENGTH, pad_id=PAD_ID, pad_token=_PAD_TOKEN)
    tokenizer.enable_truncation(TEXT_LENGTH)
    return tokenizer


def sample_texts(count: int, *, seed: int) -> Iterator[str]:
    """Draw captions, queries and modification texts, about four times `count`, then every single change."""
    rng = generator("vocabulary", seed)
    for _ in range(count):
        spec = sample_spec(rng)
        yield caption(spec)
        yield describe(spec, rng).text
        yield describe_fully(spec, rng)
        yield say_edits([sample_edit(rng, spec)], rng)
    for category, slots in SLOTS.items():
        for slot, values in slots.items():
            for old, new in zip(values, values[1:] + values[:1], strict=True):
                yield f"{say_edits([Edit(slot, old, new)], rng)} {category}"
