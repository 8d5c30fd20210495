"""Sentences for the shopper, in the language of the request; short, and about nothing that was not asked or shown."""

from collections.abc import Sequence
from dataclasses import dataclass

from rewriter.languages.files import english, languages
from rewriter.nlu.bounds import Interval
from vitrine.domain.limits import MAX_REPLY_LENGTH
from vitrine.domain.product import Product
from vitrine.domain.schema import Role, Schema

_MAX_QUOTE = 120


@dataclass(frozen=True, slots=True)
class Sentences:
    """What is said to one shopper about one catalogue."""

    schema: Schema
    locale: str = ""
    """BCP 47; a language that the rewriter does not know is answered in English."""

    def plain(self, name: str) -> str:
        """Return a sentence that has nothing to fill in."""
        return self._say(name)

    def searching(self, query: str, price: Interval | None = None) -> str:
        """Return what is being searched."""
        if price is None:
            return self._say("searching", query=quote(query))
        return self._say("searching_priced", query=quote(query), price=self._interval(price))

    def changing(self, what: str, change: str) -> str:
        """Return what is changed in which reference."""
        return self._say("changing", what=quote(what), change=quote(change))

    def alike(self, title: str) -> str:
        """Return whose look-alikes are searched."""
        return self._say("alike", title=quote(title))

    def described(self, product: Product) -> str:
        """Return what a product is."""
        return self._say("described", facts=self._facts(product))

    def advice(self, products: Sequence[Product]) -> str:
        """Return what is known of products, for a shopper who asks what to think of them."""
        return shorten(self._say("advice", facts="; ".join(map(self._facts, products))))

    def comparison(self, products: Sequence[Product]) -> str:
        """Return products side by side, the cheapest first, those without a price last."""
        priced = {product.id: price for product in products if (price := self._price(product)) is not None}
        ranked = sorted(products, key=lambda product: priced.get(product.id, float("inf")))
        if not priced:
            return shorten(self._say("side_by_side", titles="; ".join(map(self._title, ranked))))
        if len(priced) == len(products) and len(set(priced.values())) == 1:
            titles = "; ".join(map(self._title, ranked))
            return shorten(self._say("one_price", price=f"{priced[ranked[0].id]:.2f}", titles=titles))
        titles = "; ".join(self._priced(product, self._title(product)) for product in ranked)
        return shorten(self._say("by_price", titles=titles))

    def title(self, product: Product) -> str:
        """Return what to call a product: its title, or "that product" where it has none."""
        return product.text(self.schema, Role.TITLE) or self.plain("that_product")

    def _say(self, name: str, **parts: str) -> str:
        language = languages().get(self.locale.replace("_", "-").split("-")[0].lower(), english())
        text = language.table("replies").get(name) or english().table("replies")[name]
        return str(text).format(**parts)

    def _facts(self, product: Product) -> str:
        brand = product.text(self.schema, Role.BRAND)
        title = self._title(product)
        return self._priced(product, self._say("made_by", title=title, brand=brand) if brand else title)

    def _title(self, product: Product) -> str:
        return quote(product.text(self.schema, Role.TITLE) or product.id)

    def _priced(self, product: Product, title: str) -> str:
        price = self._price(product)
        return title if price is None else self._say("priced", title=title, price=f"{price:.2f}")

    def _price(self, product: Product) -> float | None:
        price = product.by_role(self.schema, Role.PRICE)
        return price if isinstance(price, float) else None

    def _interval(self, price: Interval) -> str:
        """Return an interval as a shopper reads it: "under 50", "from 20 to 40"."""
        low, high = (f"{bound:g}" if bound is not None else "" for bound in (price.minimum, price.maximum))
        if low and high:
            return self._say("between", low=low, high=high)
        if high:
            return self._say("under" if price.exclusive_maximum else "up_to", high=high)
        return self._say("over" if price.exclusive_minimum else "from", low=low)


def quote(text: str) -> str:
    """Cut a text to what fits a sentence."""
    return text if len(text) <= _MAX_QUOTE else f"{text[: _MAX_QUOTE - 1].rstrip()}…"


def shorten(sentence: str) -> str:
    """Cut a sentence at the limit."""
    return sentence if len(sentence) <= MAX_REPLY_LENGTH else f"{sentence[: MAX_REPLY_LENGTH - 1]}…"
