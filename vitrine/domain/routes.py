"""What a query can be, and what each kind of query needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from vitrine.tensors import EMBED_COMPOSED, EMBED_IMAGE, EMBED_REFINED, EMBED_TEXT, ModelSpec

ANYTHING = "anything"
"""The words of a search that says only what is not wanted: an encoder that is given those finds just that."""


class Route(Enum):
    """What a query was understood to be."""

    TEXT = "text"
    IMAGE = "image"
    COMPOSED = "composed"
    REFINE = "refine"
    SIMILAR = "similar"
    COMPARE = "compare"
    CHAT = "chat"


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteNeeds:
    """What a query of a route is made of."""

    words: bool = False
    image: bool = False
    product: bool = False
    ensemble: ModelSpec | None = None
    """What embeds it; None where nothing is embedded."""
    searches: bool = True


ROUTES: Mapping[Route, RouteNeeds] = {
    Route.TEXT: RouteNeeds(words=True, ensemble=EMBED_TEXT),
    Route.IMAGE: RouteNeeds(image=True, ensemble=EMBED_IMAGE),
    Route.COMPOSED: RouteNeeds(words=True, image=True, ensemble=EMBED_COMPOSED),
    Route.REFINE: RouteNeeds(words=True, product=True, ensemble=EMBED_REFINED),
    Route.SIMILAR: RouteNeeds(product=True),
    Route.COMPARE: RouteNeeds(searches=False),
    Route.CHAT: RouteNeeds(searches=False),
}

SEARCHED = tuple(route for route, needs in ROUTES.items() if needs.searches)


def route_of(*, words: bool, image: bool, product: bool) -> Route:
    """Return the route of a query that is made of these; an image goes before a product."""
    if image:
        return Route.COMPOSED if words else Route.IMAGE
    if product:
        return Route.REFINE if words else Route.SIMILAR
    return Route.TEXT
