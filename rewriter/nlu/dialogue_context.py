"""A turn as it was read, beside the conversation before it, and what follows from the two."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rewriter.nlu.bounds import Interval
from rewriter.nlu.conditions import conditions_of, known_conditions, lifted, merge, range_on, without_lifted
from rewriter.nlu.dialogue_state import Memory
from rewriter.nlu.joining import Joining
from rewriter.nlu.lexicon import Lexicon
from rewriter.nlu.reading import Reading, values_of
from rewriter.nlu.vocabulary import Role
from vitrine.domain.filters import Equals, Filter, OneOf
from vitrine.domain.product import Product
from vitrine.domain.schema import Role as FieldRole
from vitrine.v1 import query_pb2, rewrite_pb2


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """A turn as it was read, and what came before it."""

    request: rewrite_pb2.RewriteRequest
    reading: Reading
    memory: Memory
    pointed: Sequence[Product]
    """Products that the words name."""

    @property
    def lexicon(self) -> Lexicon:
        """The lexicon of the request's facets."""
        return self.reading.lexicon

    @property
    def target(self) -> str:
        """The product that this very turn points at, by words or by id; empty for none."""
        return self.pointed[0].id if self.pointed else self.request.product_id

    @property
    def reference(self) -> str:
        """The product in mind; empty for none."""
        return self.target or self.memory.reference

    def product(self, product_id: str) -> Product:
        """Return a product that was shown; an empty one when it was not."""
        return self.memory.known.get(product_id, Product(id=product_id))

    def values(self, product_id: str) -> Mapping[str, str]:
        """Return what is known of a product by slot."""
        return values_of(self.product(product_id), self.lexicon)

    @property
    def earlier(self) -> list[Filter]:
        """The conditions of the conversation that still hold."""
        allowed = {(tag.slot, tag.meaning.value) for tag in self.reading.allowed}
        return without_lifted(lifted(_earlier(self.memory, self.lexicon), allowed), self.reading.lifted)

    @property
    def category(self) -> str:
        """The category of the conversation so far; empty for none."""
        return category_of(self.memory, self.lexicon)

    @property
    def _said_category(self) -> str:
        """The category that the search before asked for; empty for none."""
        return _said_category(self.memory, self.lexicon)

    @property
    def opens_topic(self) -> bool:
        """Whether the turn leaves the conversation's subject behind."""
        reading = self.reading
        if reading.has(Role.RESET):
            return True
        if reading.joining is Joining.EITHER or not self._said_category:
            return False
        changes_kind = bool(reading.category) and reading.category != self.category
        return changes_kind and not reading.has(Role.SAME, Role.CORRECT, Role.REPLACE)

    @property
    def restates_kind(self) -> bool:
        """Whether the turn names a kind of product anew, so that it stands for itself."""
        goes_on = self.reading.joining is Joining.EITHER
        return bool(self.reading.category) and not (
            goes_on or self.reading.has(Role.SAME, Role.CORRECT, Role.REPLACE)
        )

    @property
    def follows_reference(self) -> bool:
        """Whether the last search started from a product or picture, so that a value alone means a change to it."""
        last = self.memory.last
        return last is not None and last.route != query_pb2.ROUTE_TEXT and bool(self.reading.wanted)

    def conditions_around(self, product_id: str) -> list[Filter]:
        """Return the conditions for a search that starts from a product: carried on, and kept to its category."""
        field = self.lexicon.name_of(FieldRole.CATEGORY)
        category = self.product(product_id).text(self.lexicon.schema, FieldRole.CATEGORY)
        known = self.lexicon.spelling(field, category)
        shown = any(product.id == product_id for product in self.memory.shown)
        earlier = [c for c in self.earlier if not (known and _is_equals(c, field))] if shown else []
        return merge(earlier, conditions_of(self.reading, self.price_around(product_id), category=known))

    def price_of(self, product_id: str) -> float | None:
        """Return what a product that was shown costs; None where that is unknown, or nothing."""
        price = self.product(product_id).by_role(self.lexicon.schema, FieldRole.PRICE)
        return price if isinstance(price, float) and 0 < price < math.inf else None

    def price_around(self, product_id: str) -> Interval | None:
        """Return the interval that the turn names, or the one strictly below or above the product in mind."""
        reading, price = self.reading, self.price_of(product_id)
        if reading.price or price is None:
            return reading.price
        earlier = range_on(self.earlier, self.lexicon.name_of(FieldRole.PRICE))
        if reading.has(Role.CHEAPER, Role.EXPENSIVE):
            low = earlier.minimum if earlier is not None else None
            lowest = low if low is not None and low < price else None
            return Interval(minimum=lowest, maximum=price, exclusive_maximum=True)
        if reading.has(Role.DEARER):
            high = earlier.maximum if earlier is not None else None
            highest = high if high is not None and high > price else None
            return Interval(minimum=price, maximum=highest, exclusive_minimum=True)
        return None

    @property
    def sort(self) -> query_pb2.Sort | None:
        """Return the order that the turn asks for; "cheaper" than nothing known means the cheapest first."""
        reading = self.reading
        if reading.taken.sort is not None:
            return reading.taken.sort
        owner = self.lexicon.schema.role(FieldRole.PRICE)
        if owner is None or not owner.sort:
            return None
        priced = self.price_of(self.reference) is not None and not self.request.has_image
        # An amount says what is cheap.
        cheap = reading.has(Role.CHEAP) and bool(reading.category or self.category) and not reading.price
        if cheap or reading.has(Role.CHEAPEST) or (reading.has(Role.CHEAPER) and not priced):
            return query_pb2.Sort(field=owner.name)
        if reading.has(Role.DEAREST) or (reading.has(Role.DEARER) and not priced):
            return query_pb2.Sort(field=owner.name, descending=True)
        return None

    @property
    def earlier_sort(self) -> query_pb2.Sort | None:
        """The order of the conversation so far; None where there is none, or the catalogue sorts by the field no more."""
        last = self.memory.last
        sorted_by = self.lexicon.schema.sorted_by
        return last.sort if last is not None and last.sort.field in sorted_by else None


def category_of(memory: Memory, lexicon: Lexicon) -> str:
    """Return the category of a conversation so far; empty for none."""
    if said := _said_category(memory, lexicon):
        return said
    product = memory.known.get(memory.reference)
    return product.text(lexicon.schema, FieldRole.CATEGORY) if product is not None else ""


def _said_category(memory: Memory, lexicon: Lexicon) -> str:
    field = lexicon.name_of(FieldRole.CATEGORY)
    said = (
        str(value)
        for each in _earlier(memory, lexicon)
        if isinstance(each, Equals | OneOf) and each.field == field
        for value in (each.values if isinstance(each, OneOf) else (each.value,))
    )
    return next(said, "")


def _is_equals(condition: Filter, field: str) -> bool:
    return isinstance(condition, Equals) and condition.field == field


def _earlier(memory: Memory, lexicon: Lexicon) -> list[Filter]:
    last = memory.last
    return known_conditions(last.filter, lexicon) if last is not None and last.HasField("filter") else []
