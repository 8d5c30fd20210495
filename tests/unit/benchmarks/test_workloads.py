import io
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.workloads import REPEATED_TEXTS, WORKLOADS, Material, Turn, read_pictures, with_comment
from catalogue.randomness import generator


def jpeg(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), colour).save(buffer, format="JPEG")
    return buffer.getvalue()


MATERIAL = Material([jpeg("red"), jpeg("navy"), jpeg("teal")], [f"p{number}" for number in range(50)])


SEARCHES = [name for name in WORKLOADS if name != "conversation"]


@pytest.mark.parametrize("name", [name for name in SEARCHES if not name.endswith(", repeated")])
def test_no_query_comes_twice(name: str) -> None:
    """Every request of a workload differs from all before it, so that no cache answers it."""
    requests = list(islice(WORKLOADS[name](MATERIAL, generator("test")), 2_000))
    assert len({(r.text, r.image, r.product_id) for r in requests}) == 2_000


@pytest.mark.parametrize("name", ["text", "rewritten"])
def test_another_salt_asks_for_what_was_not_asked(name: str) -> None:
    """Of 2,000 texts of one run, the next one repeats hardly any: no cache of the service answers it."""
    first, second = (
        {request.text for request in islice(WORKLOADS[name](MATERIAL, generator(name, salt)), 2_000)}
        for salt in ("one", "two")
    )
    assert len(first & second) <= 10


def test_conversations_take_turns() -> None:
    """A conversation has three turns, and its next one comes when every other conversation had one."""
    turns = list(islice(WORKLOADS["conversation"](MATERIAL, generator("test")), 4 * 64))
    assert all(isinstance(turn, Turn) for turn in turns)
    assert turns[0].session is turns[64].session is turns[128].session is not turns[192].session
    assert len({id(turn.session) for turn in turns[:64]}) == 64


@pytest.mark.parametrize("name", ["text, repeated", "rewritten, repeated"])
def test_repeated_texts_are_few(name: str) -> None:
    """The workloads for caches ask the same few texts."""
    requests = islice(WORKLOADS[name](MATERIAL, generator("test")), 500)
    assert len({request.text for request in requests}) == REPEATED_TEXTS


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("text", (True, False, False)),
        ("image", (False, True, False)),
        ("composed", (True, True, False)),
        ("refined", (True, False, True)),
    ],
)
def test_a_workload_asks_its_kind_of_query(name: str, parts: tuple[bool, bool, bool]) -> None:
    """Words, picture and product are present as the kind of query has them, and an absent picture is not an empty one."""
    request = next(WORKLOADS[name](MATERIAL, generator("test")))
    assert (bool(request.text), bool(request.image), bool(request.product_id)) == parts
    assert request.HasField("image") == parts[1]


def test_equal_seeds_give_equal_requests() -> None:
    """A measurement can be repeated with the very same requests."""
    first, second = (list(islice(WORKLOADS["composed"](MATERIAL, generator("a")), 20)) for _ in range(2))
    assert first == second


def test_a_comment_changes_the_bytes_and_not_the_pixels() -> None:
    """A picture with a comment decodes to the picture without it."""
    picture = jpeg("red")
    changed = with_comment(picture, b"0001")
    assert changed != picture
    pixels = [np.asarray(Image.open(io.BytesIO(data))) for data in (picture, changed)]
    assert np.array_equal(*pixels)


def test_only_jpegs_take_a_comment() -> None:
    """Anything else is refused instead of being damaged."""
    with pytest.raises(ValueError, match="not a JPEG"):
        with_comment(b"\x89PNG", b"0001")


def test_a_folder_without_pictures_is_said_so(tmp_path: Path) -> None:
    """No pictures is an error that names the folder."""
    with pytest.raises(FileNotFoundError, match=r"no \*\.jpg in"):
        read_pictures(tmp_path)
