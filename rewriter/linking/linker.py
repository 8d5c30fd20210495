"""Links the words of a turn to the catalogue's values: exact, then by form, by spelling, and by meaning.

What is said exactly, the lexicon itself knows. A word of another form or spelling is linked at once; one that is left is
embedded, in a thread and within a share of the turn's time. The values' vectors are computed behind the turns, when a
catalogue is first seen or its values change. Without the encoder the chain ends earlier.
"""

import asyncio
import logging
import re
from collections import ChainMap, OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, cast

from rewriter.catalogues import CATALOGUES, schema_of
from rewriter.linking.compounds import Reading, Split, modifiers, says_more, splits_of
from rewriter.linking.forms import without_endings
from rewriter.linking.meanings import Meanings, keep
from rewriter.linking.tower import Encoder, Tower, load_tower
from rewriter.linking.turn import Catalogue, Turn, by_form, free_of, in_language, is_led_by_its_word
from rewriter.linking.unknown import tokens_of
from rewriter.linking.values import Anchor, linked
from rewriter.linking.vocabularies import Vocabularies
from rewriter.linking.without import Mention, mentions_of
from rewriter.nlu.called import called_products, called_things
from rewriter.nlu.field_words import Key
from rewriter.nlu.lexicon import Lexicon, LexiconCache, Meaning
from rewriter.nlu.phrasings import foreign_names, written_out
from rewriter.nlu.spelling import Speller
from rewriter.nlu.tagging import VALUES
from rewriter.nlu.turn_language import language_of
from rewriter.nlu.words import CJK, fold, key_of, stem
from rewriter.synonyms import Synonyms
from vitrine.packages import SENTENCES, PackageError
from vitrine.process.logs import log_event
from vitrine.v1 import rewrite_pb2

LEAST_SIMILARITY: Final = 0.45
"""Of a word to a value that it stands for (`ValueIndex.nearest`); benchmarks/results/rewrite-links.json says how it was chosen."""

FAILURE = "links"
"""Why a reading is not to be kept: words of it were not linked in time."""

_SHARE = 0.5
"""Of a turn's time that the embedding of its words may take."""
_MAX_DIVIDED = 8
"""Words of a turn that are divided into parts."""

_SURE = 0.58
"""Similarity of a word that is put together to a value, from which on its parts tell nothing more: "Kleiderschrank" is a wardrobe,
and "Handtuch" no handbag. So is a word for a thing that is none of the catalogue's: "frying pan" is no bread."""

_SURE_ENDING = 2
"""Letters of an ending before which a word is surely one; of one letter, it may be a slip."""

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Linked:
    """A turn whose words are linked."""

    request: rewrite_pb2.RewriteRequest
    """The turn with its misspelt words mended."""
    lexicon: Lexicon
    """The catalogue's, with the words of this turn."""
    complete: bool = True
    """Whether the chain went to its end."""
    has_links: bool = False
    """Whether any word was linked or mended that the catalogue and the language files do not have as it was said."""

    def marked(self, rewrite: rewrite_pb2.Rewrite) -> rewrite_pb2.Rewrite:
        """Return the reading of the turn, marked as not to be kept where the chain did not go to its end."""
        if not self.complete:
            rewrite.failure = FAILURE
        return rewrite


class Linker:
    """Links the words of turns; one for all engines of a process."""

    def __init__(
        self,
        *,
        tower: Encoder | None = None,
        least: float = LEAST_SIMILARITY,
        synonyms: Synonyms | None = None,
    ) -> None:
        self._synonyms = synonyms or Synonyms()
        self._tower = tower
        self._meanings = Meanings(tower) if tower is not None else None
        self._least = least
        self._lexicons = LexiconCache(CATALOGUES, synonyms=self._synonyms)
        self._catalogues: OrderedDict[int, Catalogue] = OrderedDict()
        self._gathering: dict[int, asyncio.Future[Catalogue]] = {}
        self._vocabularies = Vocabularies(
            is_common=tower.is_common if tower is not None else None, synonyms=self._synonyms
        )
        self._gathers = ThreadPoolExecutor(1, "links-catalogues")

    @property
    def version(self) -> str:
        """Name what links words beside the rules; empty where nothing does."""
        own = f"+synonyms-{self._synonyms.digest}" if self._synonyms.digest else ""
        return own + (f"+{SENTENCES.package}-{SENTENCES.version}-{self._least:g}" if self._tower else "")

    async def link(self, request: rewrite_pb2.RewriteRequest, *, timeout_s: float) -> Linked:
        """Return the turn with the lexicon of its catalogue, in which its words are linked."""
        schema = schema_of(request)
        catalogue = self._vocabularies.get(request.vocabulary, schema)
        if catalogue is None:
            lexicon = self._lexicons.get(request.facets, schema)
            catalogue = await self._catalogue(lexicon, timeout_s * _SHARE)
            if catalogue is None:
                return Linked(request, lexicon, complete=False)
        lexicon = catalogue.lexicon
        said = written_out(fold(request.text), lexicon.phrases)
        text, told = await self._freed(said, catalogue, timeout_s * _SHARE)
        language = language_of(said, request.locale, lexicon.apart) if lexicon.apart else ""
        turn = self._spelt(text, catalogue, language)
        complete = await self._link_by_meaning(turn, catalogue, timeout_s * _SHARE) and told
        if right := frozenset(turn.unknown()) | {word for key in turn.links for word in key}:
            phrases = ChainMap(turn.links, cast("dict[Key, Meaning]", lexicon.phrases))
            lexicon = replace(lexicon, phrases=phrases, right=right)
        has_links = bool(turn.links) or turn.text != said
        if turn.text != fold(request.text):
            mended = rewrite_pb2.RewriteRequest()
            mended.CopyFrom(request)
            mended.text = turn.text
            request = mended
        return Linked(request, lexicon, complete, has_links)

    async def learn(self, request: rewrite_pb2.LearnRequest) -> bool:
        """Learn a vocabulary, with the vectors of its values; return whether it was not known before.

        Raises:
            InvalidRequest: names the field that breaks a rule, and the rule.
            TooManyVocabularies: others wait to be learnt.
        """
        catalogue, is_new = await self._vocabularies.learn(request.digest, request.vocabulary)
        if self._meanings is not None and not self._meanings.has(catalogue):
            await self._meanings.settle()
        return is_new

    def knows(self, request: rewrite_pb2.RewriteRequest) -> bool:
        """Return whether the vocabulary that a request names is known; also where it names none."""
        return not request.vocabulary or (
            self._vocabularies.get(request.vocabulary, schema_of(request)) is not None
        )

    async def settle(self) -> None:
        """Wait until the values of every catalogue seen so far have their vectors."""
        if self._meanings is not None:
            await self._meanings.settle()

    def close(self) -> None:
        """Stop embedding and learning; what is under way is left to end by itself."""
        if self._meanings is not None:
            self._meanings.close()
        self._vocabularies.close()
        self._gathers.shutdown(wait=False, cancel_futures=True)

    async def _catalogue(self, lexicon: Lexicon, timeout_s: float) -> Catalogue | None:
        """Return what words are held against, gathered on first use in a thread; None where that takes too long."""
        key = id(lexicon)  # the catalogue holds the lexicon, so that no other has its id
        if key not in self._catalogues:
            if key not in self._gathering:
                made = asyncio.get_running_loop().run_in_executor(self._gathers, Catalogue.of, lexicon)
                self._gathering[key] = made
                made.add_done_callback(partial(self._gathered, key))
            await asyncio.wait([self._gathering[key]], timeout=timeout_s)
        if key in self._catalogues:
            self._catalogues.move_to_end(key)
        return self._catalogues.get(key)

    def _gathered(self, key: int, made: "asyncio.Future[Catalogue]") -> None:
        del self._gathering[key]
        if not made.cancelled() and made.exception() is None:
            keep(self._catalogues, key, made.result(), CATALOGUES)

    async def _freed(self, text: str, catalogue: Catalogue, timeout_s: float) -> tuple[str, bool]:
        """Return the text with what it wants to be free of something as the catalogue's values say it, and whether there was time."""
        mentions = mentions_of(text)
        complete = True
        for mention in reversed(mentions):
            place, meaning = free_of(mention, catalogue)
            if meaning is None and catalogue.free and complete:
                place, meaning, complete = await self._free_by_meaning(mention, catalogue, timeout_s)
            before, after = text[: mention.start], text[mention.ends[place] :]
            if meaning is not None:
                text = f"{before} {fold(meaning.value)} {after}"
            elif is_led_by_its_word(text, mention, catalogue.lexicon):  # "nut-free" wants no nuts
                text = f"{before} {after} without {mention.words[0]}"
        return text, complete

    async def _free_by_meaning(
        self, mention: Mention, catalogue: Catalogue, timeout_s: float
    ) -> tuple[int, Meaning | None, bool]:
        """Return which word of a mention means what a value is free of, that value, and whether there was time."""
        meanings, phrases = self._meanings, catalogue.lexicon.phrases
        if meanings is None or key_of(mention.words[0]) in phrases:
            return 0, None, True
        texts = [form for word in mention.words for form in (word, word.capitalize())]
        known = meanings.has(catalogue)
        found = await meanings.nearest(texts, catalogue, timeout_s, free=True) if known else None
        if found is None:
            return 0, None, False
        best = max(range(len(found)), key=lambda place: found[place][1])
        anchor, similarity = found[best]
        return (best // 2, anchor.meaning, True) if similarity >= self._least else (0, None, True)

    def _spelt(self, text: str, catalogue: Catalogue, language: str) -> Turn:
        """Link words by the turn's language and by their form, and mend those that are misspelt."""
        turn = Turn(text, tokens_of(text, catalogue.lexicon))
        turn.links |= in_language(turn.tokens, catalogue.lexicon, language)
        turn.links |= by_form(turn.tokens, catalogue)
        speller = Speller(catalogue.lexicon)
        mended: dict[str, str] = {}
        for word in turn.unknown():
            if not self._is_right(word):
                other = speller.mended(word, doubted=self._tower is not None)
                mended |= {word: other} if other != word else {}
        if mended:
            turn.text = _WORD.sub(lambda match: mended.get(match[0], match[0]), text)
            turn.tokens = tokens_of(turn.text, catalogue.lexicon)
            turn.links |= by_form(turn.tokens, catalogue)
        return turn

    def _is_right(self, word: str) -> bool:
        """Return whether the word is one of some language, bare or with an ending."""
        bare = (each for each in without_endings(word, others=True) if len(word) - len(each) >= _SURE_ENDING)
        return self._tower is not None and any(map(self._tower.is_word, (word, stem(word), *bare)))

    async def _link_by_meaning(self, turn: Turn, catalogue: Catalogue, timeout_s: float) -> bool:
        """Link what is left by the nearest value; return False where there was no time for it, or is no index yet."""
        meanings = self._meanings
        forms = [] if meanings is None else [*turn.forms(), *self._singulars(turn)]
        if meanings is None or not forms or not catalogue.anchors:
            return True
        if not meanings.has(catalogue):
            return False
        splits = self._splits(turn, catalogue)
        parts = [*dict.fromkeys(part for split in splits for part in (split.modifier, split.head))]
        texts = [text for _, text in forms] + [part.capitalize() for part in parts]
        found = await meanings.nearest(texts, catalogue, timeout_s)
        if found is None:
            return False
        near = [*zip((said for said, _ in forms), found, strict=False)]
        readings = {
            part: self._known(part, catalogue) or Reading.of(each)
            for part, each in zip(parts, found[len(forms) :], strict=True)
        }
        ruled_out = self._link_compounds(turn, splits, readings, near)
        for said, (anchor, similarity) in sorted(near, key=lambda each: -each[1][1]):
            # "oil" may be another one than "olive oil", and "gardening" is no garden hose.
            key = key_of(anchor.phrase)
            part = {*key_of(said)} < {*key} or (
                key[-1] not in key_of(said) and not {*key[:-1]}.isdisjoint(_bare(said))
            )
            least = max(self._least, _SURE) if key_of(said) in called_things() else self._least
            fits = similarity >= least and not part and said not in ruled_out
            if fits and not turn.overlaps(said):
                turn.links[key_of(said)] = linked(said, anchor)
                turn.text = turn.text.replace(said, f" {said} ") if CJK.search(said) else turn.text
        return True

    def _singulars(self, turn: Turn) -> list[tuple[str, str]]:
        """Return the words that nobody knows, each with what it is without an ending where that is a word: "Teppiche"."""
        if self._tower is None:
            return []
        is_word = self._tower.is_word
        return [
            (word, bare.capitalize())
            for word in turn.unknown()[:_MAX_DIVIDED]
            if not is_word(word)
            for bare in without_endings(word)
            if is_word(bare)
        ]

    def _splits(self, turn: Turn, catalogue: Catalogue) -> list[Split]:
        """Return how the words that nobody knows may be put together."""

        def is_part(part: str) -> bool:
            known = self._known(part, catalogue) is not None
            return known or (self._tower is not None and self._tower.is_word(part))

        words = turn.unknown()[:_MAX_DIVIDED]
        return [split for word in words for split in splits_of(word, is_part)]

    def _known(self, part: str, catalogue: Catalogue) -> Reading | None:
        """Return what a part means to the catalogue or by its name in a language; None for nothing."""
        phrases = catalogue.lexicon.phrases
        named = phrases.get(key_of(part)) or phrases.get(key_of(foreign_names().get(part, "")))
        meaning = named if named is not None and named.role in VALUES else catalogue.forms.find(part)
        return Reading(meaning, 1.0) if meaning is not None else None

    def _link_compounds(
        self,
        turn: Turn,
        splits: Sequence[Split],
        readings: Mapping[str, Reading],
        near: Sequence[tuple[str, tuple[Anchor, float]]],
    ) -> set[str]:
        """Link words by their parts; return those that stand for no value as a whole."""
        done: set[str] = set()
        whole: dict[str, Reading] = {}
        for said, found in near:
            if said not in whole or found[1] > whole[said].similarity:
                whole[said] = Reading.of(found)
        for split in splits:
            head, modifier = readings[split.head], readings[split.modifier]
            own = whole[split.word]
            apart = split.modifier in modifiers() or not own.is_same(modifier)
            tells_enough = own.similarity >= _SURE and apart and not own.is_same(head)
            if split.word in done or tells_enough:
                continue
            more = says_more(split, head, modifier, least=self._least)
            if more:
                turn.text = re.sub(rf"\b{split.word}\b", f"{split.modifier} {split.head}", turn.text)
                turn.links[key_of(split.modifier)] = modifier.meaning
                known = head.similarity == 1
                turn.links[key_of(split.head)] = (
                    head.meaning if known else replace(head.meaning, said=split.head)
                )
            elif more is not None:
                turn.links[key_of(split.word)] = replace(head.meaning, said=split.word)
            if more is not None:
                done.add(split.word)
        strange = {split.word for split in splits if split.sure and whole[split.word].similarity < _SURE}
        # The last part names a thing that the catalogue lacks: apple juice is no orange juice.
        lacking = {
            split.word
            for split in splits
            if key_of(split.head) in called_products() and readings[split.head].similarity < 1
        }
        return done | strange | lacking


def _bare(said: str) -> Iterator[str]:
    """Yield the stems from which the words of a phrase are made by an ending."""
    for word in said.split(" "):
        bare = without_endings(word, others=True)
        yield from (stem(each) for each in bare if len(word) - len(each) >= _SURE_ENDING)


def open_tower() -> Tower | None:
    """Load the sentence encoder; None, with a line in the log, where its package is missing."""
    try:
        return load_tower()
    except PackageError as error:
        log_event(_logger, logging.WARNING, "no_sentence_encoder", reason=str(error))
        return None
