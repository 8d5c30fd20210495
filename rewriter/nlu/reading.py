"""A turn sorted into wishes: what is wanted, what is not, at what price, and which products it speaks of."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import zip_longest

from rewriter.nlu.bounds import Interval
from rewriter.nlu.excluded import PARTING, Excluded, excluded_values, take_excluded
from rewriter.nlu.field_words import Taken
from rewriter.nlu.joining import Joining, joining_of
from rewriter.nlu.lexicon import HEAD, Lexicon, Meaning, Part
from rewriter.nlu.lifted import NOTHING, Lifted, take_lifted
from rewriter.nlu.phrasings import plain, translated
from rewriter.nlu.prices import take_price
from rewriter.nlu.spelling import scaffolding
from rewriter.nlu.tagging import VALUES, Tag, Use, set_apart, tag_text
from rewriter.nlu.vocabulary import Role, place_of
from rewriter.nlu.words import fold, key_of, stem
from vitrine.domain.limits import MAX_EXCLUSIONS
from vitrine.domain.product import Product
from vitrine.domain.schema import KEYWORD_KINDS
from vitrine.domain.schema import Role as FieldRole

_CONNECTORS = frozenset({Role.GLUE, Role.ARTICLE, Role.IN, Role.WITH, Role.JOIN, Role.POINT, Role.NOT})
"""Roles whose words stay in a query only before a word of the shopper's own: "for a wedding"."""

_NOTHING_TAKEN = Taken("")
_OPENING = frozenset({Role.WITH, Role.NOT, Role.IN})
_OWN_WORDS = frozenset({Role.WORD, Role.STEP, Role.COMPARATIVE, Role.NUMBER})


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One turn, read by itself. What follows from the tags is worked out once: rules ask for it many times."""

    tags: tuple[Tag, ...]
    price: Interval | None
    lexicon: Lexicon
    taken: Taken = _NOTHING_TAKEN
    """What was said beside the words of the catalogue's fields."""
    things: tuple[Excluded, ...] = ()
    """Things that are not wanted and that nobody knows."""
    lifted: Lifted = NOTHING
    """What the turn no longer cares about."""
    joining: Joining = Joining.NONE
    """How the turn's values stand to those of the search before."""
    standing: str = ""
    """The category of the search before; empty for none."""

    @cached_property
    def roles(self) -> frozenset[Role]:
        """The roles that occur."""
        return frozenset(tag.role for tag in self.tags)

    @cached_property
    def wanted(self) -> tuple[Tag, ...]:
        """The values that are asked for."""
        return self._used(Use.WANTED)

    @cached_property
    def unwanted(self) -> tuple[Tag, ...]:
        """The values that are excluded; a value of the same slot that is asked for instead excludes enough."""
        return tuple(
            tag
            for tag in self._used(Use.UNWANTED)
            if tag.slot not in self._replacing and not self._is_a_part(tag)
        )

    @cached_property
    def excluded(self) -> tuple[Excluded, ...]:
        """What is not wanted and no field has: things that nobody knows, and styles."""
        of_one_kind = self.standing and any(map(self._is_a_part, self._used(Use.UNWANTED)))
        heads = any(tag.part in HEAD for tag in self.wanted)
        known = excluded_values(self.tags, wants_a_head=heads or bool(of_one_kind))
        return tuple(dict.fromkeys((*self.things, *known)))[:MAX_EXCLUSIONS]

    @cached_property
    def old(self) -> tuple[Tag, ...]:
        """The values that give way to others: "red instead of blue", "red, not blue"."""
        replaced = (tag for tag in self._used(Use.UNWANTED) if tag.slot in self._replacing)
        return (*self._used(Use.OLD), *replaced)

    @cached_property
    def allowed(self) -> tuple[Tag, ...]:
        """The values that are welcome again."""
        return self._used(Use.ALLOWED)

    @cached_property
    def category(self) -> str:
        """The category that is asked for, by its name or by a kind of it; empty for none."""
        kinds = (self.lexicon.kinds.get(tag.meaning.said, "") for tag in self.wanted if tag.part is Part.KIND)
        names = (tag.meaning.value for tag in self.wanted if tag.part is Part.CATEGORY)
        return next((name for name in (*names, *kinds) if name), "")

    @cached_property
    def words(self) -> str:
        """The shopper's own words that the lexicon does not know, with what binds them; empty for none."""
        kept = _kept(self.tags, leading=True)
        return " ".join(surface for tag, surface in kept if tag.role not in VALUES | {Role.STEP})

    @cached_property
    def query(self) -> str:
        """What is wanted, as a query says it: styles before the noun, other words where they stood."""
        kept = [(tag, surface) for tag, surface in _kept(self.tags) if tag.part is not Part.BRAND]
        head = next((tag for tag, _ in kept if tag.part in HEAD), None)
        if head is None:
            return " ".join(surface for _, surface in kept)
        position = next(position for position, (tag, _) in enumerate(kept) if tag is head)
        before, after = kept[:position], kept[position + 1 :]
        styles = [
            item
            for item in after
            if item[0].role in VALUES and item[0].part not in {Part.ACCENT, Part.CATEGORY}
        ]
        rest = [item for item in after if item not in styles and item[0].part is not Part.CATEGORY]
        return " ".join(surface for _, surface in (*before, *styles, kept[position], *rest))

    def without_head(self) -> "Reading":
        """Return the reading without the category or kind that it asks for."""
        kept = tuple(tag for tag in self.tags if tag.part not in HEAD)
        return replace(self, tags=kept)

    def has(self, *roles: Role) -> bool:
        """Return whether one of the roles occurs."""
        return not self.roles.isdisjoint(roles)

    @cached_property
    def _replacing(self) -> frozenset[str]:
        """The slots of which a wish excludes every other value: not those of which a product has several."""
        return frozenset(tag.slot for tag in self.wanted if not self.lexicon.is_multiple(tag.slot))

    def _is_a_part(self, tag: Tag) -> bool:
        """Return whether what is not wanted is of another kind than what was searched: "no vinegar", of crisps."""
        if tag.part is not Part.CATEGORY or not self.standing or tag.meaning.value == self.standing:
            return False
        before = self.tags[: next(place for place, each in enumerate(self.tags) if each is tag)]
        negation = next((each.surface for each in reversed(before) if each.role is Role.NOT), "")
        return negation in PARTING

    def _used(self, use: Use) -> tuple[Tag, ...]:
        return tuple(tag for tag in self.tags if tag.role in VALUES and tag.use is use)


def read(text: str, lexicon: Lexicon) -> Reading:
    """Read the shopper's words."""
    joining = joining_of(fold(text))
    lifted, text = take_lifted(fold(text), lexicon)
    taken = lexicon.fields.take(text, by_price=True)
    priced = bool(lexicon.name_of(FieldRole.PRICE))
    price, rest = take_price(taken.text) if priced else (None, taken.text)
    things, rest = take_excluded(plain(rest, lexicon.phrases), lexicon)
    tags = tag_text(translated(set_apart(rest, lexicon), lexicon.phrases), lexicon)
    tags = tuple(
        replace(tag, meaning=Meaning(Role.FILLER))
        if tag.role is Role.WORD and tag.surface in scaffolding()
        else tag
        for tag in tags
    )
    return Reading(
        tags=tags,
        price=price,
        lexicon=lexicon,
        taken=taken,
        things=things,
        lifted=lifted,
        joining=joining,
    )


def values_of(product: Product, lexicon: Lexicon) -> Mapping[str, str]:
    """Return what a product has in each slot: its fields and attributes, then what its title says.

    Of several keywords the first one counts.
    """
    values = {name: value for name, value in product.attributes.items() if value}
    for owner in lexicon.schema.filtered.values():
        value = product.values.get(owner.name)
        if owner.kind in KEYWORD_KINDS and value:
            first = value[0] if isinstance(value, tuple) else str(value)
            values[owner.name] = lexicon.spelling(owner.name, first) or first
    for said in tag_text(fold(product.text(lexicon.schema, FieldRole.TITLE)), lexicon):
        if said.role in VALUES:
            values.setdefault(said.slot, said.meaning.value)
    return values


def point_at(reading: Reading, products: Sequence[Product]) -> tuple[Reading, tuple[Product, ...]]:
    """Find the shown products that the turn names by position or description: "the last one", "the blue dress".

    Returns the reading with the describing values marked, so that none of them is taken for a wish.
    """
    if not products:
        return reading, ()
    positions = positions_of(reading.tags, len(products))
    if positions:
        return reading, tuple(products[position] for position in positions)
    for start, end in _descriptions(reading.tags):
        described = [tag for tag in reading.tags[start:end] if tag.role in VALUES]
        match = next((product for product in products if fits(product, described, reading.lexicon)), None)
        if match is not None:
            named = tuple(
                replace(tag, use=Use.NAMED) if start <= position < end else tag
                for position, tag in enumerate(reading.tags)
            )
            return replace(reading, tags=named), (match,)
    return reading, ()


def titled(tags: Sequence[Tag], products: Sequence[Product], lexicon: Lexicon) -> list[Product]:
    """Return the shown products that a word of their title names which no other title has: "compare riga and oslo"."""
    titles = [{*key_of(product.text(lexicon.schema, FieldRole.TITLE))} for product in products]
    words = (tag.surface for tag in tags if tag.role is Role.WORD and tag.surface not in scaffolding())
    holders = (
        [place for place, title in enumerate(titles) if title.issuperset(key_of(word))] for word in words
    )
    return [products[places[0]] for places in holders if len(places) == 1]


def _kept(tags: Sequence[Tag], *, leading: bool = False) -> list[tuple[Tag, str]]:
    """Return the tags that a query keeps and how it says them.

    Connectors stay before a word of the shopper's own; at the very beginning only where that is asked for, and then
    only those that change its meaning: "without pockets".
    """
    kept: list[tuple[Tag, str]] = []
    pending: list[tuple[Tag, str]] = []
    for current in tags:
        if current.role in VALUES:
            pending = []
            if current.use is Use.WANTED:
                kept.append((current, current.meaning.said))
        elif current.role in _OWN_WORDS:
            if current.role is Role.STEP:
                pending = []
            opening = [item for item in pending if leading and item[0].role in _OPENING]
            kept += [*(pending if kept else opening), (current, current.surface)]
            pending = []
        elif current.role in _CONNECTORS and current.surface not in {",", ";"}:
            pending.append((current, current.surface))
    return kept


def positions_of(tags: Sequence[Tag], shown: int) -> list[int]:
    """Return the positions, from 0, that ordinals name: "the second", "the first two", "compare 1 and 3"."""
    positions: list[int] = []
    compares = any(current.role is Role.COMPARE for current in tags)
    for current, following in zip_longest(tags, tags[1:]):
        if current.role is Role.ORDINAL:
            ordinal = int(current.meaning.value)
            count = int(following.meaning.value) if following and following.role is Role.NUMBER else 1
            first = place_of(ordinal, shown, count)
            positions += range(first, first + count)
        elif compares and current.surface.isdecimal():
            positions.append(int(current.surface) - 1)
    return [position for position in dict.fromkeys(positions) if 0 <= position < shown]


def _descriptions(tags: Sequence[Tag]) -> list[tuple[int, int]]:
    """Return the spans of "the" or "that" with values after it: the first of them may describe a product."""
    spans: list[tuple[int, int]] = []
    for start, current in enumerate(tags):
        if current.surface in {"the", "that", "this", "no the"}:
            end = start + 1
            while end < len(tags) and _describes(tags[end]):
                end += 1
            if end > start + 1:
                spans.append((start + 1, end))
    return spans


def _describes(current: Tag) -> bool:
    """Return whether the value may describe one product; "the dresses" speaks of no one in particular."""
    plural = current.part is Part.CATEGORY and stem(current.surface) != current.surface
    return (
        current.role in VALUES
        and current.use is Use.WANTED
        and not (plural and current.surface != current.meaning.said)
    )


def fits(product: Product, described: Collection[Tag], lexicon: Lexicon) -> bool:
    """Return whether the product has every value."""
    values = values_of(product, lexicon)
    title = fold(product.text(lexicon.schema, FieldRole.TITLE))
    return all(
        tag.meaning.value == values.get(tag.slot)
        or (lexicon.is_multiple(tag.slot) and tag.meaning.value in _keywords(product, tag.slot, lexicon))
        or (tag.part is Part.KIND and tag.meaning.said in title)
        for tag in described
    )


def _keywords(product: Product, field: str, lexicon: Lexicon) -> set[str]:
    held = product.values.get(field)
    return {lexicon.spelling(field, keyword) for keyword in held} if isinstance(held, tuple) else set()
