"""A turn as it was read, beside the conversation before it, and what follows from the two."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rewriter.nlu.conditions import Filter, conditions_of, lifted, merge, price_of, split
from rewriter.nlu.dialogue_state import Memory
from rewriter.nlu.lexicon import Lexicon
from rewriter.nlu.prices import PriceRange
from rewriter.nlu.reading import Reading, values_of
from rewriter.nlu.vocabulary import Role
from vitrine.v1 import query_pb2, rewrite_pb2


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """A turn as it was read, and what came before it."""

    request: rewrite_pb2.RewriteRequest
    reading: Reading
    memory: Memory
    pointed: Sequence[query_pb2.Product]
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

    def product(self, product_id: str) -> query_pb2.Product:
        """Give a product that was shown; an empty one when it was not."""
        return self.memory.known.get(product_id, query_pb2.Product(id=product_id))

    def values(self, product_id: str) -> Mapping[str, str]:
        """Give what is known of a product by slot."""
        return values_of(self.product(product_id), self.lexicon)

    @property
    def earlier(self) -> list[Filter]:
        """The conditions of the conversation that still hold."""
        allowed = {(tag.slot, tag.meaning.value) for tag in self.reading.allowed}
        return lifted(_earlier(self.memory, self.lexicon), allowed)

    @property
    def category(self) -> str:
        """The category of the conversation so far; empty for none."""
        return category_of(self.memory, self.lexicon)

    @property
    def opens_topic(self) -> bool:
        """Whether the turn leaves the conversation's subject behind."""
        reading = self.reading
        if reading.has(Role.RESET):
            return True
        changes_kind = bool(reading.category) and reading.category != self.category
        return changes_kind and not reading.has(Role.SAME, Role.CORRECT, Role.REPLACE)

    @property
    def restates_kind(self) -> bool:
        """Whether the turn names a kind of product anew, so that it stands for itself."""
        return bool(self.reading.category) and not self.reading.has(Role.SAME, Role.CORRECT, Role.REPLACE)

    @property
    def follows_reference(self) -> bool:
        """Whether the last search started from a product or picture, so that a value alone means a change to it."""
        last = self.memory.last
        return last is not None and last.route != query_pb2.ROUTE_TEXT and bool(self.reading.wanted)

    def conditions_around(self, product_id: str) -> list[Filter]:
        """Give the conditions for a search that starts from a product: carried on, and kept to its category."""
        category = self.product(product_id).category
        known = category if category in self.lexicon.values.get("category", ()) else ""
        shown = any(product.id == product_id for product in self.memory.shown)
        earlier = [c for c in self.earlier if not known or c.equals.field != "category"] if shown else []
        return merge(earlier, conditions_of(self.reading, self.price_around(product_id), category=known))

    def price_around(self, product_id: str) -> PriceRange | None:
        """Give the interval that the turn names, or the one strictly below or above the product in mind."""
        reading, price = self.reading, self.product(product_id).price
        if reading.price or not 0 < price < math.inf:
            return reading.price
        earlier = price_of(self.earlier)
        if reading.has(Role.CHEAPER):
            lowest = (
                earlier.minimum
                if earlier and earlier.HasField("minimum") and earlier.minimum < price
                else None
            )
            return PriceRange(minimum=lowest, maximum=price, exclusive_maximum=True)
        if reading.has(Role.DEARER):
            highest = (
                earlier.maximum
                if earlier and earlier.HasField("maximum") and earlier.maximum > price
                else None
            )
            return PriceRange(minimum=price, maximum=highest, exclusive_minimum=True)
        return None

    @property
    def sort(self) -> query_pb2.SortOrder.ValueType:
        """Give the order that the turn asks for; "cheaper" than nothing known means the cheapest first."""
        reading = self.reading
        priced = self.product(self.reference).price > 0 and not self.request.has_image
        if reading.has(Role.CHEAPEST) or (reading.has(Role.CHEAPER) and not priced):
            return query_pb2.SORT_ORDER_PRICE_ASCENDING
        if reading.has(Role.DEAREST) or (reading.has(Role.DEARER) and not priced):
            return query_pb2.SORT_ORDER_PRICE_DESCENDING
        return query_pb2.SORT_ORDER_UNSPECIFIED


def category_of(memory: Memory, lexicon: Lexicon) -> str:
    """Give the category of a conversation so far; empty for none."""
    said = [c.equals.value.text for c in _earlier(memory, lexicon) if c.equals.field == "category"]
    return said[0] if said else memory.known.get(memory.reference, query_pb2.Product()).category


def _earlier(memory: Memory, lexicon: Lexicon) -> list[Filter]:
    last = memory.last
    return split(last.filter, lexicon.values) if last is not None and last.HasField("filter") else []
