"""What a language model may say to a shopper: a sentence about what was shown, and no way out of the shop.

A product's title and the conversation go into the prompt, so the reply may be written by whoever wrote those.
"""

import re
import unicodedata
from collections.abc import Iterator

from rewriter.catalogues import schema_of
from rewriter.nlu.dialogue_state import read_shown
from rewriter.nlu.words import fold
from vitrine.domain.schema import Role
from vitrine.v1 import rewrite_pb2

_URL = re.compile(
    r"[a-z][a-z0-9+.-]*:/|\bwww\.|\b(?:javascript|data|mailto|tel|sms|whatsapp)\s*:"
    r"|(?<![\w.])(?:[\w-]+\.)+[^\W\d_]{2,24}(?!\w)",
    re.IGNORECASE,
)
_EMAIL = re.compile(r"\S@\S|\(at\)|\[at\]", re.IGNORECASE)
_PHONE = re.compile(r"(?:\+|\b)\d(?:[\s()./\u2010-\u2015-]{0,3}\d){6,}")
_MARKUP = re.compile(r"<[a-z/!?]|&#?\w+;|\]\(|!\[|```|`|\*\*|__", re.IGNORECASE)
_QUOTED = re.compile(
    r"[\"\u201c\u201e\u00ab\u300c]([^\"\u201c\u201d\u201e\u00ab\u00bb\u300c\u300d]+)[\"\u201d\u201c\u00bb\u300d]"
)
_SHORT_ID = re.compile(r"\b[pi]\d{1,3}\b")
_UNSEEN = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}

_FORBIDDEN = {
    "a URL": _URL,
    "an e-mail address": _EMAIL,
    "a telephone number": _PHONE,
    "markup": _MARKUP,
    "an id": _SHORT_ID,
}


def form_violation(reply: str) -> str:
    """Return what a text holds that no shopper is to read, whatever it is about; empty for none."""
    return next(_forms(reply), "")


def reply_violation(reply: str, request: rewrite_pb2.RewriteRequest) -> str:
    """Return what a model's reply holds that no shopper is to read; empty for none."""
    return next(_violations(reply, request), "")


def _violations(reply: str, request: rewrite_pb2.RewriteRequest) -> Iterator[str]:
    yield from _forms(reply)
    plain = unicodedata.normalize("NFKC", reply)
    known = _known(request)
    if any(fold(quoted).strip(" .,!?") not in known for quoted in _QUOTED.findall(plain)):
        yield "the name of something that was not shown"
    if any(_is_named(brand, plain) and fold(brand) not in known for brand in _brands(request)):
        yield "a brand that was not shown"


def _forms(reply: str) -> Iterator[str]:
    plain = unicodedata.normalize("NFKC", reply)
    if any(unicodedata.category(letter) in _UNSEEN for letter in reply):
        yield "a character that is not seen"
    yield from (name for name, pattern in _FORBIDDEN.items() if pattern.search(plain))


def _known(request: rewrite_pb2.RewriteRequest) -> str:
    """Return the words of the turn and of the products that the conversation showed, and the values but the brands."""
    schema = schema_of(request)
    shown = [read_shown(product, schema) for turn in request.history for product in turn.shown]
    texts = [request.text, *(turn.text for turn in request.history)]
    texts += [product.text(schema, Role.TITLE) for product in shown]
    texts += [str(value) for product in shown for value in product.values.values()]
    brand = schema.role(Role.BRAND)
    for facet in request.facets:
        if brand is None or facet.field != brand.name:
            texts += facet.values
    return fold("\n".join(texts))


def _brands(request: rewrite_pb2.RewriteRequest) -> Iterator[str]:
    brand = schema_of(request).role(Role.BRAND)
    return (
        value
        for facet in request.facets
        if brand is not None and facet.field == brand.name
        for value in facet.values
    )


def _is_named(brand: str, reply: str) -> bool:
    """Return whether the reply holds the brand as the catalogue writes it: "Next" is one, "the next" is none."""
    return re.search(rf"(?<!\w){re.escape(brand)}(?!\w)", reply) is not None
