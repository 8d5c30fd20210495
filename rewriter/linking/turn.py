"""A turn that is being linked, and the catalogue that its words are held against."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from rewriter.linking.forms import Forms, letters_of
from rewriter.linking.unknown import Token, candidates_of
from rewriter.linking.values import Anchor, anchors_of, digest_of
from rewriter.linking.without import Mention, free_anchors, is_same_word
from rewriter.nlu.field_words import Key
from rewriter.nlu.lexicon import PROPER, Lexicon, Meaning
from rewriter.nlu.phrasings import foreign_names
from rewriter.nlu.words import CJK, key_of, stem

_MAX_SQUEEZED = 4
"""Words that may be one value without their spaces: "bed side table"."""


@dataclass(slots=True)
class Catalogue:
    """What words are held against."""

    lexicon: Lexicon
    forms: Forms
    anchors: Sequence[Anchor]
    free: Sequence[Anchor]
    """What values say that things are free of."""
    digest: bytes

    @classmethod
    def of(cls, lexicon: Lexicon) -> "Catalogue":
        """Gather it from a lexicon."""
        anchors = anchors_of(lexicon)
        return cls(lexicon, Forms.of(lexicon), anchors, free_anchors(lexicon), digest_of(anchors))


@dataclass(slots=True)
class Turn:
    """A turn that is being linked."""

    text: str
    tokens: list[Token]
    links: dict[Key, Meaning] = field(default_factory=dict)

    def forms(self) -> list[tuple[str, str]]:
        """Return the phrases that may stand for a value, each also with capitals: German writes its nouns so."""
        found = candidates_of(self.left())
        capitals = [(said, " ".join(map(str.capitalize, said.split(" ")))) for said in found]
        return [*((said, said) for said in found), *((said, text) for said, text in capitals if text != said)]

    def left(self) -> list[Token]:
        """Return the words, those that are linked among the known ones."""
        linked_words = {word for key in self.links for word in key}
        return [
            replace(token, known=True) if stem(token.text) in linked_words else token for token in self.tokens
        ]

    def unknown(self) -> list[str]:
        """Return the words that nobody knows, in scripts that set spaces."""
        return [token.text for token in self.left() if token.unknown and not CJK.search(token.text)]

    def overlaps(self, said: str) -> bool:
        """Return whether a phrase shares a word, or a run of signs, with one that is linked."""
        if CJK.search(said):
            return any(said in word or word in said for key in self.links for word in key)
        return any(not set(key).isdisjoint(key_of(said)) for key in self.links)


def in_language(tokens: Sequence[Token], lexicon: Lexicon, language: str) -> dict[Key, Meaning]:
    """Return what words mean in the turn's language that are others elsewhere: the "Rock" of a German turn is a skirt."""
    meant = lexicon.apart.get(language, {})
    longest = max(map(len, meant), default=0)
    links: dict[Key, Meaning] = {}
    for start in range(len(tokens) if meant else 0):
        for length in range(1, min(longest, len(tokens) - start) + 1):
            key = key_of(" ".join(token.text for token in tokens[start : start + length]))
            if key in meant:
                links[key] = meant[key]
    return links


def free_of(mention: Mention, catalogue: Catalogue) -> tuple[int, Meaning | None]:
    """Return which word of a mention is what a value of the catalogue is free of, and that value; (0, None) for none."""
    for place, word in enumerate(mention.words):
        named = foreign_names().get(word, word)
        for anchor in catalogue.free:
            if is_same_word(anchor.phrase, word) or is_same_word(anchor.phrase, named):
                return place, anchor.meaning
    return 0, None


def is_led_by_its_word(text: str, mention: Mention, lexicon: Lexicon) -> bool:
    """Return whether a mention that is no value begins with its word, "nut-free": the word would be linked as if it were wanted.

    Where the two stand apart, "nut free", only a word of the catalogue counts: not the one of "feel free".
    """
    said, word = text[mention.start : mention.end], mention.words[0]
    known = key_of(word) in lexicon.phrases or " " not in said
    return said.startswith(word) and key_of(said) not in lexicon.phrases and known


def by_form(tokens: Sequence[Token], catalogue: Catalogue) -> dict[Key, Meaning]:
    """Return what unknown words mean by their letters, and words that are a value without their spaces."""
    links: dict[Key, Meaning] = {}
    for start in range(len(tokens)):
        for length in range(1, min(_MAX_SQUEEZED, len(tokens) - start) + 1):
            run = tokens[start : start + length]
            said = " ".join(token.text for token in run)
            if not all(token.text.isalnum() for token in run) or key_of(said) in catalogue.lexicon.phrases:
                continue
            if length > 1:
                meaning = catalogue.forms.whole.get(letters_of(said))
            else:
                meaning = catalogue.forms.find(said) if run[0].unknown else None
            if meaning is not None and (meaning.part not in PROPER or any(token.unknown for token in run)):
                links[key_of(said)] = meaning
    return links
