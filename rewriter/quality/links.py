"""How words are linked to the values of three catalogues, by the kind of word; two of them no model was trained on."""

import random
import resource
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rewriter.catalogues import schema_of
from rewriter.linking.linker import LEAST_SIMILARITY, Linker
from rewriter.linking.tower import Tower, Vectors, load_tower
from rewriter.linking.values import Anchor, anchors_of, build_index
from rewriter.nlu.conditions import conditions_of
from rewriter.nlu.lexicon import Part, build_lexicon
from rewriter.nlu.reading import read
from rewriter.nlu.vocabulary import Role
from rewriter.nlu.words import fold, key_of
from rewriter.quality.turns import state_request
from vitrine.domain.filters import Equals, Filter
from vitrine.v1 import rewrite_pb2

LINKS = Path(__file__).parent / "links.txt"
THRESHOLDS = tuple(round(0.3 + 0.025 * step, 3) for step in range(25))
"""Least similarities that are tried; the last one links nothing by meaning but what is all but equal."""

_CATALOGUES = ("fashion", "grocery", "furniture")
_SEED = 11
_TIME_S = 60.0
_MIN_MISSPELT = 4
_MANY = 10_000
_COMMON = 1_000
_ACCENTS = str.maketrans("aeiou", "àéîöú")


@dataclass(frozen=True, slots=True)
class Word:
    """A word or phrase, and what it stands for in a catalogue."""

    catalogue: str
    kind: str
    said: str
    target: tuple[str, str] | None
    """Field and value; None where the catalogue has nothing of the kind."""


@dataclass(slots=True)
class _Remembering:
    """The encoder, which embeds no phrase twice."""

    tower: Tower
    known: dict[str, Vectors] = field(default_factory=dict)

    def embed(self, texts: Sequence[str]) -> Vectors:
        missing = [text for text in dict.fromkeys(texts) if text not in self.known]
        self.known |= dict(zip(missing, self.tower.embed(missing), strict=True))
        return np.stack([self.known[text] for text in texts])

    def is_word(self, word: str) -> bool:
        return self.tower.is_word(word)

    def is_common(self, word: str) -> bool:
        return self.tower.is_common(word)

    def common_words(self, count: int) -> list[str]:
        return self.tower.common_words(count)


def written_words(path: Path = LINKS) -> list[Word]:
    """Read the words that were written before any threshold was chosen: synonyms, other languages, and what is not sold."""
    words = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            catalogue, language, said, target = (part.strip() for part in line.split("|"))
            name, _, value = target.partition("=")
            kind = "nothing" if not target else "synonym" if language == "en" else "other language"
            catalogues = _CATALOGUES if catalogue == "any" else (catalogue,)
            words += [Word(each, kind, said, (name, value) if target else None) for each in catalogues]
    return words


def derived_words() -> list[Word]:
    """Return the catalogues' own values, as they are written and in other forms."""
    rng = random.Random(_SEED)  # noqa: S311 - no secret
    return [
        Word(catalogue, kind, said, (anchor.meaning.slot, anchor.meaning.value))
        for catalogue in _CATALOGUES
        for anchor in _values(catalogue)
        for kind, said in _forms(anchor.meaning.value, rng, plural=anchor.meaning.part is Part.CATEGORY)
    ]


async def measure_links() -> Mapping[str, Any]:
    """Return precision and recall by kind of word on one half of the words, those of each threshold on the other, and what linking costs.

    The threshold is the one that is served. It was chosen on the other half before there was a table of things, which leaves the
    vectors a few of these words, and so no choice.
    """
    before = _peak_mib()
    tower = load_tower()
    memory = _peak_mib() - before
    remembering = _Remembering(tower)
    words = written_words()
    chosen_on, reported = words[::2], words[1::2]
    scores = {}
    for least in THRESHOLDS:
        scores[least] = _total(await _link(chosen_on, Linker(tower=remembering, least=least)))
    least = LEAST_SIMILARITY
    kinds = await _link([*reported, *derived_words()], Linker(tower=remembering, least=least))
    alone = await _link([*reported, *derived_words()], Linker())
    return {
        "words": len(words),
        "least": least,
        "chosen_on": {f"{each:g}": _shares(score) for each, score in scores.items()},
        "links": _by_kind(kinds),
        "without_encoder": _by_kind(alone),
        "cost": {"encoder_mib": memory, **await _costs(tower, words)},
    }


async def _link(words: Sequence[Word], linker: Linker) -> dict[tuple[str, str], Counter[str]]:
    """Return how many words of each catalogue and kind are linked rightly, wrongly, or not at all."""
    found: dict[tuple[str, str], Counter[str]] = {}
    with closing(linker):
        for catalogue in _CATALOGUES:
            await linker.link(_request(catalogue, "zorgle"), timeout_s=_TIME_S)
        await linker.settle()
        for word in words:
            linked = await linker.link(_request(word.catalogue, word.said), timeout_s=_TIME_S)
            conditions = conditions_of(read(linked.request.text, linked.lexicon))
            found.setdefault((word.catalogue, word.kind), Counter())[_outcome(word, conditions)] += 1
    return found


def _outcome(word: Word, conditions: Sequence[Filter]) -> str:
    if word.target is None:
        return "wrong" if conditions else "unlinked"
    return "missed" if not conditions else "right" if [*conditions] == [Equals(*word.target)] else "wrong"


async def _costs(tower: Tower, words: Sequence[Word]) -> Mapping[str, float]:
    """Return the CPU time of what linking does behind the turns, and within them."""
    anchor = anchors_of(_lexicon("furniture"))[0]
    many = [Anchor(f"{words[number % len(words)].said} {number}", anchor.meaning) for number in range(_MANY)]
    common = tower.embed(tower.common_words(_COMMON))
    build_s = _cpu_s(lambda: build_index(many, tower, common=common, known={}))
    word_s = _cpu_s(lambda: [tower.embed([word.said]) for word in words]) / len(words)
    requests = [_request(word.catalogue, word.said) for word in words]
    with closing(Linker(tower=tower)) as linker:
        for _ in range(2):
            for request in requests:
                await linker.link(request, timeout_s=_TIME_S)
            await linker.settle()
        began = time.process_time()
        for request in requests:
            await linker.link(request, timeout_s=_TIME_S)
        turn_s = (time.process_time() - began) / len(requests)
    return {
        "values": _MANY,
        "values_cpu_s": round(build_s, 2),
        "new_word_cpu_ms": round(word_s * 1e3, 2),
        "turn_cpu_ms": round(turn_s * 1e3, 2),
    }


def _peak_mib() -> int:
    """Return the most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _cpu_s(work: Any) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _forms(value: str, rng: random.Random, *, plural: bool) -> Iterator[tuple[str, str]]:
    """Yield a value by kind: as it is, in capitals, with accents, in the plural, without its spaces, with one slip."""
    yield "exact", value
    yield "case", value.upper()
    yield "accent", value.translate(_ACCENTS)
    if plural and not value.endswith("s"):
        yield "plural", f"{value}{'es' if value.endswith(('ch', 'sh', 'x')) else 's'}"
    if " " in value or "-" in value:
        yield "spaces", value.replace(" ", "").replace("-", "")
    if len(value) >= _MIN_MISSPELT and value.isascii() and value.isalpha():
        yield "misspelt", _slip(value, rng)


def _slip(word: str, rng: random.Random) -> str:
    """Return the word with one slip of the finger, but at its start."""
    place = rng.randrange(1, len(word) - 1)
    letter = rng.choice("abcdefghijklmnopqrstuvwxyz")
    slips = (
        word[:place] + word[place + 1] + word[place] + word[place + 2 :],
        word[:place] + word[place + 1 :],
        word[:place] + letter + word[place + 1 :],
        word[:place] + letter + word[place:],
    )
    return next((slip for slip in rng.sample(slips, len(slips)) if slip != word), word)


def _values(catalogue: str) -> Iterator[Anchor]:
    """Yield the catalogue's own values, those that are meant where they stand alone."""
    lexicon = _lexicon(catalogue)
    for anchor in anchors_of(lexicon):
        meant = lexicon.phrases.get(key_of(anchor.phrase))
        if anchor.phrase == fold(anchor.meaning.value) and meant is not None and meant.role is Role.VALUE:
            yield anchor


def _lexicon(catalogue: str) -> Any:
    request = _request(catalogue, "")
    return build_lexicon(request.facets, schema_of(request))


def _request(catalogue: str, said: str) -> rewrite_pb2.RewriteRequest:
    request = state_request("none" if catalogue == "fashion" else catalogue)
    request.text = said
    return request


def _total(found: Mapping[tuple[str, str], Counter[str]]) -> Counter[str]:
    return sum(found.values(), Counter())


def _by_kind(found: Mapping[tuple[str, str], Counter[str]]) -> Mapping[str, Mapping[str, Any]]:
    """Return the shares of each kind, and of each catalogue's written words."""
    kinds: dict[str, Counter[str]] = {}
    for (catalogue, kind), outcomes in found.items():
        for name in (kind, f"{kind}, {catalogue}"):
            kinds.setdefault(name, Counter()).update(outcomes)
    return {name: _shares(kinds[name]) for name in sorted(kinds)}


def _shares(outcomes: Counter[str]) -> Mapping[str, Any]:
    linked = outcomes["right"] + outcomes["wrong"]
    meant = outcomes["right"] + outcomes["missed"] + outcomes["wrong"]
    return {
        "words": outcomes.total(),
        "right": outcomes["right"],
        "wrong": outcomes["wrong"],
        "precision": round(outcomes["right"] / linked, 3) if linked else None,
        "recall": round(outcomes["right"] / meant, 3) if outcomes["right"] + outcomes["missed"] else None,
    }
