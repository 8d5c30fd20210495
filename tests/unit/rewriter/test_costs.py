"""What a turn may cost is bounded by counts: words that are read, letters that are mended, letters that unfold."""

import contextlib
from collections.abc import Iterator, Sequence

import pytest

from rewriter.checks import InvalidRequest, check_request
from rewriter.engines.model.placeholders import TooManyMarks, mark_turn
from rewriter.nlu import spelling
from rewriter.nlu.lexicon import build_lexicon
from rewriter.nlu.words import opening
from rewriter.servicer import MAX_READ_WORDS, as_read
from vitrine.domain.limits import MAX_QUERY_LENGTH
from vitrine.v1 import rewrite_pb2


@pytest.mark.parametrize("letter", ["\ufdfa", "\ufb2c", "\u0958"])
def test_letters_that_unfold_are_counted_unfolded(letter: str) -> None:
    """One of them is up to eighteen letters once it is compared."""
    for request in (
        rewrite_pb2.RewriteRequest(text=letter * MAX_QUERY_LENGTH),
        rewrite_pb2.RewriteRequest(text="a", history=[rewrite_pb2.Turn(text=letter * MAX_QUERY_LENGTH)]),
    ):
        with pytest.raises(InvalidRequest, match="text: at most 2000 characters, got "):
            check_request(request)
    check_request(rewrite_pb2.RewriteRequest(text=letter * 100))
    check_request(rewrite_pb2.RewriteRequest(text="\uac00" * MAX_QUERY_LENGTH))


@pytest.mark.parametrize(
    "text",
    ["q" * 639, " ".join("q" * 24 for _ in range(25)), " ".join(f"qwzx{chr(97 + i)}kj" for i in range(26))],
)
def test_the_edits_that_are_tried_are_bounded(
    text: str, facets: Sequence[rewrite_pb2.Facet], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the words, and however many nobody knows."""
    tried = 0
    edits = spelling._edits

    def counted(word: str) -> Iterator[str]:
        nonlocal tried
        for edit in edits(word):
            tried += 1
            yield edit

    monkeypatch.setattr(spelling, "_edits", counted)
    with contextlib.suppress(TooManyMarks):
        mark_turn(text, build_lexicon(facets))
    assert tried < 10_000


def test_a_slip_of_the_finger_is_mended_still(facets: Sequence[rewrite_pb2.Facet]) -> None:
    """In a turn as people write them."""
    turn = mark_turn("a burgndy dress for the weding of my sister", build_lexicon(facets))
    assert "burgundy" in {piece.tag.surface for piece in turn.pieces}


def test_the_first_words_of_a_turn_are_read() -> None:
    """A turn is cut behind its 200th word or comma; a shorter one is the very same."""
    short = rewrite_pb2.RewriteRequest(text="red dress " * (MAX_READ_WORDS // 2 - 1))
    assert as_read(short) is short
    long = rewrite_pb2.RewriteRequest(text="red, " * 400, has_image=True)
    read = as_read(long)
    assert read.text.split() == ["red,"] * (MAX_READ_WORDS // 2)
    assert read.has_image
    assert long.text == "red, " * 400
    assert opening("", 3) == ""
    assert opening("\u7ea2\u8272 dress of", 2) == "\u7ea2\u8272 dress"
