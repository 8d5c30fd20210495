"""Values that are too many for a request: learnt once, named by their digest, and linked to as any others."""

import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import grpc
import pytest
from grpc import aio

from rewriter.engines.rules.engine import Router
from rewriter.linking.linker import Linker
from rewriter.linking.tower import Tower, load_tower
from rewriter.metrics import Metrics
from rewriter.nlu.unspaced import Unspaced
from rewriter.quality.trades import trades
from rewriter.server import serving
from rewriter.servicer import FAILURE
from rewriter.settings import Settings
from vitrine.domain import limits
from vitrine.domain.messages import schema_message
from vitrine.filter_text import format_filter
from vitrine.v1 import query_pb2, rewrite_pb2, rewrite_pb2_grpc, schema_pb2

TIME_S = 60.0
MANY = 10_000
COMMON = ("Me", "The", "No", "Simple", "Wood", "Next", "Lamp")
NAMED = ("Ørsted & Søn", "Nordlicht", "Casa-Verde", "Zirconia Home")


def schema() -> schema_pb2.CatalogueSchema:
    """Return the furniture's schema with brands and designers."""
    made = schema_message(trades()["furniture"].schema)
    made.fields.add(
        name="brand", kind=schema_pb2.FIELD_KIND_KEYWORD, role=schema_pb2.FIELD_ROLE_BRAND, filter=True
    )
    designer = made.fields.add(name="designer", kind=schema_pb2.FIELD_KIND_KEYWORD, filter=True)
    designer.labels["en"] = "designer"
    return made


def vocabulary(
    brands: Sequence[str], designers: Sequence[str] = (), **values: Sequence[str]
) -> rewrite_pb2.LearnRequest:
    """Return all values of a shop of furniture, serialised."""
    named = {"brand": brands, "designer": designers, **values}
    facets = [rewrite_pb2.Facet(field=name, values=each) for name, each in named.items()]
    facets += [facet for facet in trades()["furniture"].facets if facet.field not in values]
    data = rewrite_pb2.Vocabulary(schema=schema(), facets=facets).SerializeToString()
    return rewrite_pb2.LearnRequest(digest=hashlib.sha256(data).digest(), vocabulary=data)


def alike(count: int) -> list[str]:
    """Return so many names of which each differs from dozens of others in one letter."""
    letters = "bcdfghjklm"
    return [f"Qa{''.join(letters[int(digit)] for digit in f'{number:04}')}o" for number in range(count)]


def asked(text: str, learnt: rewrite_pb2.LearnRequest) -> rewrite_pb2.RewriteRequest:
    """Return a turn that names what was learnt; it lists the values of few fields."""
    facets = trades()["furniture"].facets
    return rewrite_pb2.RewriteRequest(text=text, schema=schema(), facets=facets, vocabulary=learnt.digest)


async def conditions(linker: Linker, request: rewrite_pb2.RewriteRequest) -> str:
    """Return the conditions that a turn is read as."""
    return format_filter((await Router(linker).rewrite(request, timeout_s=TIME_S)).filter)


@pytest.fixture(scope="module")
def tower() -> Tower:
    """Load the sentence encoder once."""
    return load_tower()


@pytest.fixture(scope="module")
def linker(tower: Tower) -> Iterator[Linker]:
    """Give a linker with the sentence encoder; each test has it learn its own vocabulary."""
    opened = Linker(tower=tower)
    yield opened
    opened.close()


@pytest.fixture
def plain() -> Iterator[Linker]:
    """Give a linker without one, that has learnt nothing."""
    opened = Linker()
    yield opened
    opened.close()


async def test_ten_thousand_names_are_linked_to(linker: Linker) -> None:
    """As they are written, without their accents and signs, and with one slip; what else is said is read as ever."""
    learnt = vocabulary([*alike(MANY - len(NAMED)), *NAMED], ["Ilmari Tapiovaara", "Eames"])
    assert await linker.learn(learnt)
    assert not await linker.learn(learnt)
    for text, read in (
        ("a lamp by Qabcdfo", "kind=lamp and brand=Qabcdfo"),
        ("Orsted & Son rug", 'kind=rug and brand="Ørsted & Søn"'),
        ("casa verde chairs", "kind=chair and brand=Casa-Verde"),
        ("norldicht lamp under 50", "kind=lamp and brand=Nordlicht and price<50"),
        ("a chair of Ilmari Tapiovaara", 'kind=chair and designer="Ilmari Tapiovaara"'),
        ("not by zirconia home, an oak couch", 'material=oak and kind=sofa and not brand="Zirconia Home"'),
        ("a qabcdzo desk", "kind=desk"),  # one letter from ten of them
        ("a wardobe", "kind=wardrobe"),
    ):
        found = await conditions(linker, asked(text, learnt))
        assert sorted(found.split(" and ")) == sorted(read.split(" and ")), text


async def test_names_that_are_common_words_are_meant_where_they_are_asked_for(linker: Linker) -> None:
    """In a field of many names a word of everyday language is that word, but beside a word that asks for the name."""
    learnt = vocabulary([*alike(300), *COMMON], [*(name.upper() for name in alike(300)), "King", "Focus"])
    await linker.learn(learnt)
    for text, read in (
        ("show me the simple one for my king, no glass", "not material=glass"),
        ("a focus next lamp", "kind=lamp"),
        ("a lamp by Simple", "kind=lamp and brand=Simple"),
        ("designer king", "designer=King"),
        ("rug from Me", "kind=rug and brand=Me"),
    ):
        assert await conditions(linker, asked(text, learnt)) == read, text


async def test_names_that_hold_what_people_shorten_are_whole(plain: Linker) -> None:
    """What is written out or put plainly where it stands alone is a part of a name that the catalogue has."""
    names = ["Salt n Light", "Q Acoustics", "U Power", "LOL Surprise", "Ciao Bella"]
    learnt = vocabulary([*alike(300), *names])
    await plain.learn(learnt)
    for name in names:
        found = await conditions(plain, asked(f"do u have a lamp by {name.lower()}", learnt))
        assert found == f'kind=lamp and brand="{name}"', name


async def test_a_field_of_many_words_is_no_field_of_names(linker: Linker) -> None:
    """Three hundred colours are words for the most part: each is meant where it stands alone."""
    shades = ["red", "coral", "sand", "ruby", "amber", "ivory", "mustard", "olive"]
    learnt = vocabulary(
        [], colour=[*shades, *(f"{shade} {number}" for shade in shades for number in range(40))]
    )
    await linker.learn(learnt)
    assert await conditions(linker, asked("a mustard couch", learnt)) == "colour=mustard and kind=sofa"


async def test_the_vocabularies_asked_for_last_are_kept(plain: Linker) -> None:
    """A request that names another is read by its own facets."""
    learnt = [vocabulary([f"Zorgle{'x' * number}"]) for number in range(5)]
    for each in learnt:
        await plain.learn(each)
    known = [plain.knows(asked("", each)) for each in learnt]
    assert known == [False, True, True, True, True]
    assert await conditions(plain, asked("zorgle lamp", learnt[0])) == "kind=lamp"
    other = asked("zorglexxxx lamp", learnt[4])
    del other.schema.fields[-1]
    assert not plain.knows(other)  # it was learnt by another schema


@asynccontextmanager
async def service(linker: Linker | None) -> AsyncIterator["rewrite_pb2_grpc.RewriteServiceAsyncStub"]:
    """Serve the rules on a free port."""
    settings = Settings(listen="127.0.0.1:0", grace_s=0)
    async with (
        serving(settings, Router(linker), Metrics(), linker=linker) as server,
        aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        yield rewrite_pb2_grpc.RewriteServiceStub(channel)


async def test_a_service_says_what_it_has_not_learnt(plain: Linker) -> None:
    """Such a reading is not to be kept; after it has learnt, it reads by all values."""
    learnt = vocabulary(["Nordlicht"])
    async with service(plain) as stub:
        request = asked("nordlicht lamp", learnt)
        before = await stub.Rewrite(request, timeout=TIME_S)
        assert (await stub.Learn(learnt, timeout=TIME_S)).learnt
        after = await stub.Rewrite(request, timeout=TIME_S)
    assert (before.unknown_vocabulary, before.rewrite.failure) == (True, FAILURE)
    assert (after.unknown_vocabulary, after.rewrite.failure) == (False, "")
    assert format_filter(after.rewrite.filter) == "brand=Nordlicht and kind=lamp"


def _learning(data: bytes) -> rewrite_pb2.LearnRequest:
    return rewrite_pb2.LearnRequest(digest=hashlib.sha256(data).digest(), vocabulary=data)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (rewrite_pb2.LearnRequest(digest=b"x", vocabulary=b""), "digest: must be the SHA-256"),
        (_learning(b"\xff"), "vocabulary: must be a Vocabulary"),
        (_learning(b" " * (limits.MAX_VOCABULARY_BYTES + 1)), "vocabulary: at most 3,000,000 bytes"),
        (
            _learning(
                rewrite_pb2.Vocabulary(
                    facets=[rewrite_pb2.Facet(values=["x"] * (limits.MAX_VOCABULARY_VALUES + 1))],
                    schema=schema(),
                ).SerializeToString()
            ),
            "vocabulary.facets: at most 50,000 values, got 50,001",
        ),
        (
            _learning(
                rewrite_pb2.Vocabulary(
                    schema=schema_pb2.CatalogueSchema(fields=[schema_pb2.CatalogueField(name="!")])
                ).SerializeToString()
            ),
            "vocabulary.schema",
        ),
    ],
)
async def test_what_cannot_be_learnt_is_refused(
    plain: Linker, request_: rewrite_pb2.LearnRequest, message: str
) -> None:
    """With the field and the limit."""
    async with service(plain) as stub:
        with pytest.raises(aio.AioRpcError) as refused:
            await stub.Learn(request_, timeout=TIME_S)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert message in (refused.value.details() or "")


async def test_a_service_without_links_learns_nothing() -> None:
    """It says so as one of an older release does."""
    async with service(None) as stub:
        with pytest.raises(aio.AioRpcError) as refused:
            await stub.Learn(vocabulary([]), timeout=TIME_S)
        read = await stub.Rewrite(asked("a lamp", vocabulary([])), timeout=TIME_S)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert read.rewrite.route == query_pb2.ROUTE_TEXT


def test_values_without_spaces_are_found_by_their_length() -> None:
    """The longest one that begins at a sign; a value within it is none."""
    values = Unspaced.of(["包", "面包", "红", "红酒", "A4 纸", "red"])
    assert values.set_apart("买红酒和面包 and a4 纸") == "买 红酒 和 面包  and a4 纸"
    assert Unspaced.of(["red"]).spans("red") == []
