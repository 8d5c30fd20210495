"""Sentences for the shopper; short, and about nothing that was not asked or shown."""

from collections.abc import Sequence

from rewriter.limits import MAX_REPLY_LENGTH
from rewriter.nlu.prices import PriceRange
from vitrine.v1 import query_pb2

_MAX_QUOTE = 120

GREETING = "Hello! Say what you are looking for, or show me a picture."
THANKS = "You are welcome. Tell me if you would like to see something else."
FAREWELL = "Goodbye!"
SERVICE = "I can only help to find products: say what you are looking for."
STOCK = "Say what you are looking for, and I show what there is."
NOTHING_SAID = "Say what you are looking for, or show me a picture."
START_AFRESH = "All right, let us start afresh. What are you looking for?"
UNKNOWN_TERM = "I cannot explain that, but I can look for it: say what you would like to see."
NOTHING_TO_COMPARE = "There are no two products to compare yet; search for something first."
LIKE_PICTURE = "Looking for products like the picture."


def quote(text: str) -> str:
    """Cut a text to what fits a sentence."""
    return text if len(text) <= _MAX_QUOTE else f"{text[: _MAX_QUOTE - 1].rstrip()}…"


def searching(query: str, price: PriceRange | None = None) -> str:
    """Say what is being searched."""
    return f"Searching for {quote(query)}{f', {price.say()}' if price else ''}."


def changing(what: str, modification: str) -> str:
    """Say what is changed in which reference."""
    return f"Looking for {quote(what)}, changed: {quote(modification)}."


def alike(title: str) -> str:
    """Say whose look-alikes are searched."""
    return f"Looking for products like {quote(title)}."


def described(product: query_pb2.Product) -> str:
    """Describe a product that was shown."""
    maker = f" by {product.brand}" if product.brand else ""
    return f"This is {quote(product.title)}{maker} at {product.price:.2f}."


def advice(products: Sequence[query_pb2.Product]) -> str:
    """Say what is known of products, for a shopper who asks what to think of them."""
    text = f"What I know of them: {'; '.join(map(_facts, products))}."
    return text if len(text) <= MAX_REPLY_LENGTH else f"{text[: MAX_REPLY_LENGTH - 1]}…"


def _facts(product: query_pb2.Product) -> str:
    maker = f" by {product.brand}" if product.brand else ""
    return f"{quote(product.title)}{maker} at {product.price:.2f}"


def comparison(products: Sequence[query_pb2.Product]) -> str:
    """Set products side by side, the cheapest first."""
    ranked = sorted(products, key=lambda product: product.price)
    cheapest, dearest = ranked[0], ranked[-1]
    if cheapest.price == dearest.price:
        text = f"They cost the same, {cheapest.price:.2f}: {'; '.join(quote(product.title) for product in ranked)}."
    else:
        listed = "; ".join(f"{quote(product.title)} at {product.price:.2f}" for product in ranked)
        text = f"From the cheapest to the dearest: {listed}."
    return text if len(text) <= MAX_REPLY_LENGTH else f"{text[: MAX_REPLY_LENGTH - 1]}…"
