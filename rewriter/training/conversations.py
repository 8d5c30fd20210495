"""Conversations before the turn: what was searched, what was shown, which pictures there were."""

import random
from collections.abc import Sequence

from catalogue.grammar import brand_and_price, caption, sample_spec
from rewriter.engines.rules.decide import decide
from rewriter.nlu.lexicon import Lexicon
from vitrine.v1 import query_pb2, rewrite_pb2

STATES = ("first", "text", "product", "picture", "image", "pointed")
"""What may come before a turn, or with it: nothing; a search by words, around a product or by a picture; this turn's
own picture; a product that the turn points at."""

_WEIGHTS = (0.22, 0.38, 0.12, 0.06, 0.17, 0.05)


def draw_state(rng: random.Random) -> str:
    """Draw what comes before a turn."""
    return rng.choices(STATES, _WEIGHTS)[0]


def converse(
    rng: random.Random, state: str, facets: Sequence[rewrite_pb2.Facet], lexicon: Lexicon
) -> rewrite_pb2.RewriteRequest:
    """Make a request without words whose history is of that kind."""
    request = rewrite_pb2.RewriteRequest(facets=facets, has_image=state == "image")
    earlier = state in {"text", "product", "picture", "pointed"} or rng.random() < 0.2
    if not earlier or state == "first":
        return request
    shown = _products(rng, rng.choice((2, 3, 3, 4, 5, 6)))
    if state == "picture":
        turn = rewrite_pb2.Turn(image_id=f"img-{rng.randrange(100)}", shown=shown)
        turn.rewrite.route = query_pb2.ROUTE_IMAGE
        request.history.append(turn)
    else:
        _ask(request, lexicon, text=_opening(rng, shown[0]), shown=shown)
    if state == "product":
        edited = _products(rng, 3, like=shown[0])
        _ask(
            request,
            lexicon,
            text=f"same but {rng.choice(('red', 'blue', 'striped', 'longer'))}",
            shown=edited,
        )
    if state == "pointed":
        request.product_id = rng.choice(shown).id
    if rng.random() < 0.1:
        _ask(request, lexicon, text="thanks", shown=())
    return request


def _ask(
    request: rewrite_pb2.RewriteRequest,
    lexicon: Lexicon,
    *,
    text: str,
    shown: Sequence[query_pb2.Product],
) -> None:
    """Add a turn with these words, read by rules, and what it showed."""
    asked = rewrite_pb2.RewriteRequest(text=text, facets=request.facets, history=request.history)
    request.history.append(rewrite_pb2.Turn(text=text, rewrite=decide(asked, lexicon), shown=shown))


def _opening(rng: random.Random, product: query_pb2.Product) -> str:
    """Ask for products like one that will be shown."""
    words = [word for word in (product.colour, product.pattern) if rng.random() < 0.4]
    budget = [f"under {rng.randrange(40, 300, 10)}"] if rng.random() < 0.3 else []
    return " ".join([*words, product.category, *budget])


def _products(
    rng: random.Random, count: int, *, like: query_pb2.Product | None = None
) -> list[query_pb2.Product]:
    """Draw products of one category, most of them alike in something."""
    spec = sample_spec(rng, like.category if like is not None else None)
    products = []
    for number in range(count):
        brand, price = brand_and_price(spec, rng.randrange(1_000))
        products.append(
            query_pb2.Product(
                id=f"{spec.category[:1]}{number}{rng.randrange(1_000):03}",
                title=caption(spec),
                category=spec.category,
                colour=spec["colour"],
                pattern=spec.get("pattern"),
                brand=brand,
                price=price,
                attributes=spec.attributes,
            )
        )
        spec = sample_spec(rng, spec.category)
    return products
