"""A model's reply reaches a shopper only where it speaks of what was shown and leads nowhere out of the shop."""

from collections.abc import Sequence

import pytest

from rewriter.engines.chat.reply import reply_violation
from vitrine.v1 import query_pb2, rewrite_pb2


@pytest.fixture
def turn(
    facets: Sequence[rewrite_pb2.Facet], shown: Sequence[query_pb2.Product]
) -> rewrite_pb2.RewriteRequest:
    """A turn after three dresses."""
    before = rewrite_pb2.Turn(text="striped dresses", shown=shown)
    return rewrite_pb2.RewriteRequest(text='like the "summer one", but red', facets=facets, history=[before])


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "Here it is in red.",
        "Two red dresses under \u20ac1,299.00, e.g. the midi at 45.50!",
        "The \u201cblue striped long-sleeve midi dress\u201d by Acme costs 60.",
        'Something like the "summer one", in red or "burgundy".',
        "Here is the next one, only in red.",
        "\uc5ec\uae30 \ube68\uac04 \uc6d0\ud53c\uc2a4\uac00 \uc788\uc2b5\ub2c8\ub2e4. \u7ea2\u8272\u88d9\u5b50\u3002 \u00bfLo quieres rojo?",
    ],
)
def test_a_sentence_about_what_was_shown_is_passed_on(reply: str, turn: rewrite_pb2.RewriteRequest) -> None:
    """Prices, quotations of titles and of the shopper, brands that were shown, and any language."""
    assert reply_violation(reply, turn) == ""


@pytest.mark.parametrize(
    ("reply", "holds"),
    [
        ("Buy it at https://evil.example/x", "a URL"),
        ("See www.evil.example", "a URL"),
        ("See evil-shop.com for more", "a URL"),
        ("See \uff45vil\uff0ecom for more", "a URL"),
        ("javascript:alert(1)", "a URL"),
        ("Write to sales@evil", "an e-mail address"),
        ("Write to sales (at) evil", "an e-mail address"),
        ("Call +47 22 33 44 55 now", "a telephone number"),
        ("Call 0800/123-4567", "a telephone number"),
        ("<b>Cheap</b> dresses", "markup"),
        ("[Cheap](x) dresses", "markup"),
        ("**Cheap** dresses", "markup"),
        ("Cheap &lt;dresses", "markup"),
        ("Here is p1.", "an id"),
        ("Cheap\u202e sessserd", "a character that is not seen"),
        ("Cheap\x1b[2J", "a character that is not seen"),
        ('Take the "Rolex Daytona" instead.', "the name of something that was not shown"),
        ("Take one by Red Fox instead.", "a brand that was not shown"),
    ],
)
def test_what_leads_elsewhere_is_not(reply: str, holds: str, turn: rewrite_pb2.RewriteRequest) -> None:
    """Addresses, numbers to call, markup, what cannot be seen, and names of what was not shown."""
    assert reply_violation(reply, turn) == holds
