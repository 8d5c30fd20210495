"""Streams of requests in which no query comes twice, so that no cache can answer them, and one in which all do."""

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from catalogue.grammar import caption, modification_text, partial_caption, sample_edit, sample_spec
from vitrine.v1.search_pb2 import ConverseRequest, RewriteMode, SearchRequest

LIMIT = 10
"""Hits a request."""

REPEATED_TEXTS = 20
"""Different queries of the workloads that caches are meant to answer."""

SESSIONS = 64
"""Conversations under way at once: more than there are clients, since a shopper waits for one answer before the next turn."""

_CENTS = (2_000, 20_000)
"""The prices of which rewritten searches name one."""

_START_OF_IMAGE = b"\xff\xd8"
_COMMENT = b"\xff\xfe"


@dataclass(frozen=True, slots=True)
class Material:
    """What requests are made of."""

    pictures: Sequence[bytes]
    """JPEGs of things that are not in the index."""
    product_ids: Sequence[str]
    """Of the index."""


@dataclass(slots=True)
class Session:
    """A conversation; the first answer gives it its id."""

    id: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation, to be sent once the turn before it is answered."""

    text: str
    session: Session = field(default_factory=Session)

    def request(self) -> ConverseRequest:
        """Return what is sent, with the id that the session has by then."""
        return ConverseRequest(session_id=self.session.id, text=self.text, limit=LIMIT)


Request = SearchRequest | Turn


def read_pictures(folder: Path) -> list[bytes]:
    """Read the JPEGs of a folder, in the order of their names; raises FileNotFoundError when there are none."""
    pictures = [path.read_bytes() for path in sorted(folder.glob("*.jpg"))]
    if not pictures:
        raise FileNotFoundError(f"no *.jpg in {folder}")
    return pictures


def text_requests(_: Material, rng: random.Random) -> Iterator[SearchRequest]:
    """Words of a shopper or of a caption, in any order."""
    return (_request(text=text) for text in _distinct_texts(rng))


def repeated_text_requests(_: Material, rng: random.Random) -> Iterator[SearchRequest]:
    """The same few texts again and again."""
    return itertools.cycle(list(itertools.islice(text_requests(_, rng), REPEATED_TEXTS)))


def rewritten_requests(_: Material, rng: random.Random) -> Iterator[SearchRequest]:
    """A sentence with a price, which the rewriter reads."""
    return (_rewritten(text) for text in _distinct_sentences(rng))


def repeated_rewritten_requests(_: Material, rng: random.Random) -> Iterator[SearchRequest]:
    """The same few sentences again and again: the rewriter's reading of them is cached, and so is what they embed to."""
    return itertools.cycle(list(itertools.islice(rewritten_requests(_, rng), REPEATED_TEXTS)))


def conversations(_: Material, rng: random.Random) -> Iterator[Turn]:
    """Conversations of three turns, so many of them in turn: a wish, a change of it, and a price."""
    sentences = _distinct_sentences(rng)
    changes = (_modification(rng) for _ in itertools.count())
    prices = (f"under {_price(rng)}" for _ in itertools.count())
    while True:
        sessions = [Session() for _ in range(SESSIONS)]
        for words in (sentences, changes, prices):
            yield from (Turn(next(words), session) for session in sessions)


def image_requests(material: Material, rng: random.Random) -> Iterator[SearchRequest]:
    """A picture alone."""
    return (_request(image=picture) for picture in _distinct_pictures(material, rng))


def composed_requests(material: Material, rng: random.Random) -> Iterator[SearchRequest]:
    """A picture and words that change it."""
    return (_request(image=picture, text=_modification(rng)) for picture in _distinct_pictures(material, rng))


def refined_requests(material: Material, rng: random.Random) -> Iterator[SearchRequest]:
    """A product of the index and words that change it."""
    seen: set[tuple[str, str]] = set()
    while True:
        pair = (rng.choice(material.product_ids), _modification(rng))
        if pair not in seen:
            seen.add(pair)
            yield _request(product_id=pair[0], text=pair[1])


Workload = Callable[[Material, random.Random], Iterator[Request]]

WORKLOADS: dict[str, Workload] = {
    "text": text_requests,
    "text, repeated": repeated_text_requests,
    "image": image_requests,
    "composed": composed_requests,
    "refined": refined_requests,
    "rewritten": rewritten_requests,
    "rewritten, repeated": repeated_rewritten_requests,
    "conversation": conversations,
}


def _request(*, text: str = "", image: bytes | None = None, product_id: str = "") -> SearchRequest:
    # The rewriter is left out: what it costs is shown by workloads of its own.
    return SearchRequest(
        text=text, image=image, product_id=product_id, limit=LIMIT, rewrite=RewriteMode.REWRITE_MODE_OFF
    )


def _rewritten(text: str) -> SearchRequest:
    return SearchRequest(text=text, limit=LIMIT, rewrite=RewriteMode.REWRITE_MODE_AUTO)


def _distinct_texts(rng: random.Random) -> Iterator[str]:
    """Yield captions with their words in random order: of captions in order, every ninth of one run is in the next as well."""
    seen: set[str] = set()
    while True:
        words = _caption(rng).split()
        text = " ".join(rng.sample(words, len(words)))
        if text not in seen:
            seen.add(text)
            yield text


def _distinct_sentences(rng: random.Random) -> Iterator[str]:
    seen: set[str] = set()
    while True:
        text = f"{_caption(rng)} under {_price(rng)}"
        if text not in seen:
            seen.add(text)
            yield text


def _caption(rng: random.Random) -> str:
    spec = sample_spec(rng)
    slots = [slot for slot in spec.attributes if rng.random() < 0.7]  # noqa: PLR2004 - shoppers leave some out
    return partial_caption(spec, slots) or caption(spec)


def _price(rng: random.Random) -> str:
    return f"{rng.randint(*_CENTS) / 100:.2f}"


def _distinct_pictures(material: Material, rng: random.Random) -> Iterator[bytes]:
    """Yield the pictures in random order, each with a comment of its own: other bytes, the same pixels."""
    serial = rng.getrandbits(48)
    while True:
        for picture in rng.sample(material.pictures, len(material.pictures)):
            serial += 1
            yield with_comment(picture, f"{serial:016x}".encode())


def with_comment(picture: bytes, comment: bytes) -> bytes:
    """Insert a comment segment after the start of a JPEG; raises ValueError for what is none."""
    if not picture.startswith(_START_OF_IMAGE):
        raise ValueError("not a JPEG")
    segment = _COMMENT + (len(comment) + 2).to_bytes(2, "big") + comment
    return _START_OF_IMAGE + segment + picture[len(_START_OF_IMAGE) :]


def _modification(rng: random.Random) -> str:
    return modification_text(sample_edit(rng, sample_spec(rng)), rng)
