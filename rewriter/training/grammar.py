"""A grammar of turns: phrases composed from parts and filled with words, each with the plan that it amounts to."""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from rewriter.answer_schema import NONE
from rewriter.engines.model.placeholders import Piece, mark_turn
from rewriter.engines.model.plan import Act, Money, Use
from rewriter.nlu.dialogue_state import Memory
from rewriter.nlu.lexicon import Lexicon
from rewriter.nlu.sentiment_words import asks_advice, mood_of
from rewriter.training.fillers import Fillers, slots_of
from rewriter.training.groups import BARE, GROUPS, INTENTS, phrases
from vitrine.domain.product import Product
from vitrine.domain.schema import Role as FieldRole
from vitrine.domain.schema_files import shipped_schema
from vitrine.v1 import rewrite_pb2

_PART = re.compile(r"\{(\w+)\}")
_COUNTED = re.compile(r"\b(first|last) (two|three)\b|dos primeros|前两个|처음 두 개")
_WITHOUT_SPACES = frozenset({"zh"})
_FIRST = re.compile(r"\{(KIND|ORD|DIGIT|NAME|pick|ordinal|named|cual|na|geu)\}")
"""What names a product goes before what it is to become."""

_MARKER = re.compile(r"^([-+?=]) ")
_MARKERS = MappingProxyType({"+": "positive", "-": "negative", "=": NONE})
_RANGES = ("price", "price_upto", "price_over", "price_from", "price_about", "price_between")


@dataclass(slots=True, kw_only=True)
class Draft:
    """A turn being put together."""

    rng: random.Random
    fillers: Fillers
    held: bool
    """Whether phrases are those held out of training."""
    lexicon: Lexicon
    facets: Sequence[rewrite_pb2.Facet]
    memory: Memory
    reference: Product
    """The product that a change starts from; an empty one for a picture."""
    meant: list[tuple[str, Use]] = field(default_factory=list)
    """Each marked word, by its value, with its use, in order."""
    positions: list[int] = field(default_factory=list)
    left: str = ""
    """The category that the turn leaves behind."""
    slot: str = ""
    """The slot whose old value was named, so that the new one is of it too."""
    taken: set[str] = field(default_factory=set)
    said: set[str] = field(default_factory=set)
    """Slots that a wish has named."""
    markers: set[str] = field(default_factory=set)
    """Those of the phrases that were chosen."""

    def phrase(self, part: str) -> str:
        """Choose a phrase of the part and fill it."""
        known = phrases(self.fillers.language)[part]
        choices = (known.get("held") or known["train"]) if self.held else known["train"]
        template = self.rng.choice(choices)
        if marker := _MARKER.match(template):
            self.markers.add(marker[1])
        return self.fill(_MARKER.sub("", template))

    def fill(self, template: str) -> str:
        """Fill the parts of a template, the old value before the new one."""
        for counted in _COUNTED.finditer(template):
            self.positions += _counted(counted)
        if "{GONE}" in template:
            template = template.replace("{GONE}", self.gone())
        template = _FIRST.sub(lambda match: self._part(match[1]), template)
        if "{O}" in template:
            template = template.replace("{O}", self._old())
        return _PART.sub(lambda match: self._part(match[1]), template)

    def _part(self, name: str) -> str:
        return _FILL[name](self) if name.isupper() else self.phrase(name)

    def sentiment(self, act: Act, text: str) -> str:
        """Return the mood of the turn: as its phrases are marked, else as its words say."""
        for marker in ("-", "+", "="):
            if marker in self.markers:
                return _MARKERS[marker]
        return "positive" if act is Act.THANK else (NONE, "positive", "negative")[mood_of(text)]

    def intent(self, act: Act, text: str) -> str:
        """Return why the turn is said."""
        intent = INTENTS.get(act, "buy")
        advised = "?" in self.markers or asks_advice(text)
        return "consult" if advised and intent == "buy" else intent

    def mean(self, surface: str, use: Use) -> str:
        """Note what the marked words of a surface are for."""
        for piece in mark_turn(surface, self.lexicon).pieces:
            if piece.marked:
                self.meant.append((key_of(piece), use))
                self.taken.add(key_of(piece))
        return surface

    def wanted(self, slot: str = "") -> str:
        """Phrase a value of the slot, or of any slot that the reference's category has."""
        slots = slots_of(_category(self.reference)) or {"colour": (), "pattern": ()}
        if not slot:
            others = [name for name in slots if name not in {"colour", "type", *self.said}]
            slot = (
                "colour"
                if ("colour" not in self.said and self.rng.random() < 0.45) or not others
                else self.rng.choice(others)
            )
        known = {"colour": self.fillers.colours(), "pattern": self.fillers.patterns()}.get(slot)
        values = known or self.fillers.values(slot, slots.get(slot, ()))
        has = self.reference.attributes.get(slot, "")
        free = [value for value in values if value != has and value not in self.taken]
        if not free:
            return self.wanted("colour")
        self.said.add(slot)
        return self.mean(self.fillers.say(self.rng, slot, self.rng.choice(free)), Use.WANT)

    def _old(self) -> str:
        """Name what the reference has and is to lose."""
        slots = slots_of(_category(self.reference))
        known = [slot for slot in ("colour", "pattern", "sleeve", "length", "material") if slot in slots]
        slot = self.rng.choice(known) if known else "colour"
        values = self.fillers.values(slot, slots.get(slot, self.fillers.colours()))
        value = self.reference.attributes.get(slot) or self.rng.choice(values)
        if not self.fillers.values(slot, [value]):
            slot, value = "colour", self.rng.choice(self.fillers.colours())
        self.slot = slot
        return self.mean(self.fillers.say(self.rng, slot, value), Use.OLD)

    def say_name(self) -> str:
        """Describe a shown product by what tells it from those before it."""
        known = self.lexicon.values.keys() >= {"category", "colour", "pattern"}
        shown = list(self.memory.shown) if known else []
        for product in self.rng.sample(shown, len(shown)):
            earlier = shown[: shown.index(product)]
            telling = [
                slot
                for slot in ("colour", "colour", "pattern", "type")
                if product.attributes.get(slot)
                and all(other.attributes.get(slot) != product.attributes[slot] for other in earlier)
                and self.fillers.values(slot, [product.attributes[slot]])
            ]
            if telling:
                self.reference = product
                return self.mean(self._described(product, self.rng.choice(telling)), Use.NAME)
        return self._position_words()

    def say_kind(self) -> str:
        """Name the category of the product that was named last."""
        shown = self.memory.shown
        category = _category(self.reference) or (_category(shown[0]) if shown else "dress")
        if not self.fillers.values("category", [category]):
            return ""
        return self.mean(self.fillers.say(self.rng, "category", category), Use.NAME)

    def _described(self, product: Product, slot: str) -> str:
        """Phrase a product by one of its values, with its category or without."""
        said = self.fillers.say(self.rng, slot, product.attributes[slot])
        language = self.fillers.language
        if slot == "type" or (self.rng.random() < 0.4 and language != "en"):
            return f"{said} 거" if language == "ko" and slot != "type" else said
        if language == "en" and self.rng.random() < 0.4:
            return f"{said} one"
        noun = self.fillers.say(self.rng, "category", _category(product))
        forms = {"es": f"{noun} {said}", "zh": f"{said}{noun}"}
        return forms.get(language, f"{said} {noun}")

    def gone(self) -> str:
        """Name the conversation's category, which the turn leaves behind."""
        shown = self.memory.shown
        self.left = _category(shown[0]) if shown else self.rng.choice(self.fillers.categories())
        return _plural(self.fillers.say(self.rng, "category", self.left), self.rng, self.fillers.language)

    def _position_words(self) -> str:
        position = self.fillers.say_position(self.rng, self.draw_position())
        return position + {"en": " one", "zh": "个", "ko": " 거"}.get(self.fillers.language, "")

    def draw_position(self, *, last: bool = True) -> int:
        """Choose a product among those shown that was not yet named, the last one as such now and then; note it."""
        count = len(self.memory.shown)
        named = {place if place > 0 else count + 1 + place for place in self.positions}
        free = [place for place in range(1, min(5, count) + 1) if place not in named]
        place = self.rng.choice(free or [1])
        if last and place == count and self.rng.random() < 0.4:
            place = -1
        self.positions.append(place)
        self.reference = self.memory.shown[place - 1 if place > 0 else place]
        return place


def _category(product: Product) -> str:
    return product.text(shipped_schema(), FieldRole.CATEGORY)


def key_of(piece: Piece) -> str:
    """Return what tells a marked word from the others: its value, or the word itself."""
    return (
        piece.tag.meaning.value
        if piece.tag.meaning.slot and not piece.text.startswith("T")
        else piece.tag.surface
    )


def _counted(match: re.Match[str]) -> list[int]:
    count = 3 if match[2] == "three" else 2
    return [*range(-count, 0)] if match[1] == "last" else [*range(1, count + 1)]


def _item(draft: Draft) -> str:
    """Phrase a kind of product with some of its values."""
    rng, fillers = draft.rng, draft.fillers
    category = rng.choice([name for name in fillers.categories() if name != draft.left])
    draft.reference = Product(id="", values={"category": category})
    lacking = fillers.language == "en" and rng.random() < 0.08
    noun = fillers.say_unknown(rng) if lacking else fillers.say_noun(rng, category)
    noun = draft.mean(_plural(noun, rng, fillers.language), Use.WANT)
    before = [draft.wanted() for _ in range(rng.choice((0, 1, 1, 2, 2, 3)))]
    if fillers.language == "en" and rng.random() < 0.2:
        before.insert(rng.randint(0, len(before)), draft.mean(fillers.say_quality(rng), Use.WANT))
    after = []
    if rng.random() < 0.15:
        after.append(draft.mean(fillers.say_added(rng), Use.WANT))
    if fillers.language == "en" and rng.random() < 0.12:
        after.append(draft.mean(fillers.say_with(rng, slots_of(category)), Use.WANT))
    match fillers.language:
        case "zh":
            return "".join([*after, *(f"{word}的" if rng.random() < 0.3 else word for word in before), noun])
        case "es":
            return " ".join([rng.choice(("", "un", "una", "unos")), noun, *before, *after]).strip()
        case "ko":
            return " ".join([*after, *before, noun])
    article = rng.choice(("a", "", "some", "the", "")) if not noun.endswith("s") else ""
    return " ".join(part for part in (article, *before, noun, *after) if part)


def _plural(noun: str, rng: random.Random, language: str) -> str:
    if language != "en" or noun.endswith("s") or rng.random() < 0.5:
        return noun
    return noun + ("es" if noun.endswith(("sh", "ch", "x")) else "s")


def _beside(draft: Draft) -> str:
    """Name a colour that is beside the point: someone else's."""
    free = [value for value in draft.fillers.colours() if value not in draft.taken]
    return draft.mean(draft.fillers.say(draft.rng, "colour", draft.rng.choice(free)), Use.DROP)


def _noun(draft: Draft) -> str:
    other = [name for name in draft.fillers.categories() if name != _category(draft.reference)]
    return draft.mean(draft.fillers.say(draft.rng, "category", draft.rng.choice(other)), Use.WANT)


def _avoided(draft: Draft) -> str:
    rng, fillers = draft.rng, draft.fillers
    slot, values = rng.choice((("colour", fillers.colours()), ("pattern", fillers.patterns())))
    free = [value for value in values if value not in draft.taken] or values
    return draft.mean(fillers.say(rng, slot, rng.choice(free)), Use.AVOID)


def _brand(draft: Draft, use: Use = Use.WANT) -> str:
    return draft.mean(draft.rng.choice(draft.fillers.brands(draft.facets)), use)


def _amount(draft: Draft) -> str:
    rng = draft.rng
    number = f"{rng.choice((15, 20, 25, 30, 40, 45, 50, 60, 70, 75, 80, 90, 100, 120, 150, 200, 250, 300)) + rng.choice((0, 0, 3))}"
    sign = rng.choice(("", "", "", "$", "£", "€")) if draft.fillers.language == "en" else ""
    return sign + number


_FILL: Mapping[str, Callable[[Draft], str]] = MappingProxyType(
    {
        "ITEM": _item,
        "ITEMS": _item,
        "V": lambda draft: draft.wanted(draft.slot),
        "C": lambda draft: draft.wanted("colour"),
        "W": lambda draft: draft.mean(
            draft.fillers.say_with(draft.rng, slots_of(_category(draft.reference))), Use.WANT
        ),
        "T": lambda draft: draft.mean(draft.fillers.say_step(draft.rng), Use.WANT),
        "X": _avoided,
        "XS": lambda draft: draft.mean(draft.fillers.say_avoided(draft.rng), Use.AVOID),
        "BESIDE": _beside,
        "N": _noun,
        "NS": lambda draft: _plural(_noun(draft), draft.rng, draft.fillers.language),
        "B": _brand,
        "XB": lambda draft: _brand(draft, Use.AVOID),
        "NUM": _amount,
        "ORD": lambda draft: draft.fillers.say_position(draft.rng, draft.draw_position()),
        "DIGIT": lambda draft: str(draft.draw_position(last=False)),
        "NAME": lambda draft: draft.say_name(),
        "KIND": lambda draft: draft.say_kind(),
        "AGAIN": lambda draft: draft.mean(draft.fillers.say_avoided(draft.rng), Use.ALLOW),
        "FAULT": lambda draft: draft.fillers.say_fault(draft.rng),
        "OWN": lambda draft: draft.mean(draft.fillers.say_added(draft.rng), Use.WANT),
        "OWNADJ": lambda draft: draft.mean(draft.fillers.say_compared(draft.rng), Use.WANT),
        "TERM": lambda draft: draft.mean(draft.fillers.say_term(draft.rng), Use.WANT),
    }
)


def compose(draft: Draft, group: str) -> tuple[str, Money]:
    """Phrase a turn of the group: its core, what is added to it, and what stands around it."""
    _rng, money = draft.rng, GROUPS[group].money
    if group == "search":
        core = draft.phrase("ask")
        if "{ITEM}" not in " ".join(phrases(draft.fillers.language)["ask"]["train"]):
            core = _spaced(draft, core, _item(draft))
    else:
        core = draft.phrase(group)
    if group not in BARE and money is Money.NONE:
        core, money = _added(draft, group, core)
    markers = {*draft.markers}
    words = _surrounded(draft, core)
    draft.markers = markers  # what stands around a turn says nothing of its mood
    return words, money


def _added(draft: Draft, group: str, core: str) -> tuple[str, Money]:
    """Add a condition now and then: a price, an exclusion, a brand."""
    rng = draft.rng
    chance = rng.random()
    join = rng.choice((" ", ", ", " and ") if draft.fillers.language == "en" else (" ", ", "))
    ranges = [name for name in _RANGES if name in phrases(draft.fillers.language)]
    if chance < 0.17:
        part = rng.choice(ranges)
        return core + join + draft.phrase(part), GROUPS[part].money
    if chance < 0.22 and group in {"change", "change_named", "picture_change"}:
        return core + join + draft.phrase("cheaper"), Money.CHEAPER
    if (
        chance < 0.3
        and draft.fillers.language == "en"
        and group in {"search", "instead", "narrow", "picture"}
    ):
        what = rng.choice(("by {B}", "no {XS}", "not {X}", "from {B}"))
        return core + join + draft.fill(what), Money.NONE
    return core, Money.NONE


def _surrounded(draft: Draft, core: str) -> str:
    """Put openers, courtesies and sentences beside the point around a turn."""
    rng = draft.rng
    words = core
    if rng.random() < 0.22:
        words = _spaced(draft, draft.phrase("lead"), words)
    if rng.random() < 0.2:
        words = _spaced(draft, words, draft.phrase("tail"))
    if rng.random() < 0.1 and core:
        chatter = draft.phrase("chat")
        words = rng.choice((f"{chatter}. {words}", f"{words}. {chatter}", f"{chatter}, {words}"))
    return " ".join(words.split())


def _spaced(draft: Draft, first: str, second: str) -> str:
    return first + ("" if draft.fillers.language in _WITHOUT_SPACES else " ") + second
