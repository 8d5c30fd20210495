import io
import os
from pathlib import Path

import pytest
from PIL import Image

from vitrine.sheet import Answer, draw_sheet, product_picture
from vitrine.v1.query_pb2 import Product
from vitrine.v1.search_pb2 import Hit

RED, BLUE, PAPER = (220, 20, 20), (20, 20, 220), (255, 255, 255)


def encoded(colour: tuple[int, int, int], size: tuple[int, int] = (64, 64)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, format="PNG")
    return buffer.getvalue()


def hit(product_id: str, uri: str = "", title: str = "a dress") -> Hit:
    return Hit(product_id=product_id, product=Product(id=product_id, title=title, image_uri=uri, price=9.5))


def test_each_picture_is_drawn_in_its_place(tmp_path: Path) -> None:
    """The query's picture is at the left, the hits' pictures at the right of it."""
    (tmp_path / "p1.png").write_bytes(encoded(BLUE))
    answer = Answer(heading="image", picture=encoded(RED), hits=[hit("p1", str(tmp_path / "p1.png"))])
    sheet = draw_sheet([answer], pictures=tmp_path)
    columns = {sheet.getpixel((x, 150)): x for x in range(sheet.width)}
    assert columns[RED] < 290 < columns[BLUE] < 520


def test_rows_wrap_and_stack() -> None:
    """Six hits at five abreast take two lines; every answer adds a row."""
    one = draw_sheet([Answer(heading="text", hits=[hit(f"p{i}") for i in range(5)])])
    two = draw_sheet([Answer(heading="text", hits=[hit(f"p{i}") for i in range(6)])])
    assert two.width == one.width
    assert 1.8 < two.height / one.height < 2
    both = draw_sheet([Answer(heading="text", hits=[hit("p")]), Answer(heading="text", hits=[hit("p")])])
    assert both.height == two.height


@pytest.mark.parametrize("data", [b"", b"no picture", encoded(RED)[:60]])
def test_a_picture_that_cannot_be_read_leaves_a_frame(tmp_path: Path, data: bytes) -> None:
    """A missing or broken picture is drawn as a frame with the product's id, not as an error."""
    (tmp_path / "p1.png").write_bytes(data)
    broken = draw_sheet(
        [Answer(heading="image", picture=data, hits=[hit("p1", "p1.png")])], pictures=tmp_path
    )
    missing = draw_sheet(
        [Answer(heading="image", picture=data, hits=[hit("p1", "https://example.org/p1.png")])]
    )
    assert broken.tobytes() == missing.tobytes()
    other_id = draw_sheet([Answer(heading="image", picture=data, hits=[hit("p2", "")])])
    assert other_id.tobytes() != missing.tobytes()


def test_a_bomb_is_not_unpacked() -> None:
    """A picture of more than 20 megapixels is drawn as missing."""
    bomb = encoded(RED, (6000, 4000))
    sheet = draw_sheet([Answer(heading="image", picture=bomb)])
    assert RED not in {colour for _, colour in sheet.getcolors(sheet.width * sheet.height) or []}


def test_any_words_can_be_drawn() -> None:
    """Long words, other scripts and control characters are cut or replaced, never an error."""
    for words in ("x" * 3000, "Kleid für Ålesund", "赤いドレス", "\x1b[2J\0", "a\nb\tc", ""):
        sheet = draw_sheet([Answer(heading=words, words=words, hits=[hit(words or "p", title=words)])])
        assert sheet.getpixel((sheet.width - 1, 5)) == PAPER


def test_pictures_are_found_by_path_then_by_id(tmp_path: Path) -> None:
    """A product's own file comes first, then <folder>/<id>.jpg; an address on the net is never fetched."""
    own, by_id = encoded(RED), encoded(BLUE)
    path = tmp_path / "own #1 100%25 name?.jpg"
    path.write_bytes(own)
    (tmp_path / "p1.jpg").write_bytes(by_id)
    for uri in (path.name, str(path), path.as_uri()):
        assert product_picture(Product(id="p1", image_uri=uri), tmp_path) == own
    for uri in ("", "https://example.org/own.jpg", "/missing.jpg", "/nul\0.jpg"):
        assert product_picture(Product(id="p1", image_uri=uri), tmp_path) == by_id


def test_a_server_that_names_a_path_gets_no_other_file_drawn(tmp_path: Path) -> None:
    """Pictures come from the folder that the user names; neither a device nor a pipe nor a neighbour is opened."""
    folder = tmp_path / "catalogue"
    folder.mkdir()
    (tmp_path / "private.jpg").write_bytes(encoded(RED))
    os.mkfifo(folder / "pipe.jpg")
    (folder / "link.jpg").symlink_to(tmp_path / "private.jpg")
    private = str(tmp_path / "private.jpg")
    for uri in (private, f"file://{private}", "../private.jpg", "link.jpg", "pipe.jpg", "/dev/zero"):
        assert product_picture(Product(id="p1", image_uri=uri, image_uris=[uri]), folder) is None
        assert product_picture(Product(id="p1", image_uri=uri)) is None
    assert product_picture(Product(id="../private"), folder) is None


def test_the_picture_that_matched_is_drawn(tmp_path: Path) -> None:
    """Of several pictures the hit's own is drawn; where that is not to be had here, the first one is."""
    for name, colour in (("front", RED), ("back", BLUE)):
        (tmp_path / f"{name}.png").write_bytes(encoded(colour))
    uris = [str(tmp_path / "front.png"), str(tmp_path / "back.png"), "https://example.org/side.png"]
    product = Product(id="p1", image_uri=uris[0], image_uris=uris)
    for index, drawn in ((0, RED), (1, BLUE), (2, RED), (9, RED)):
        sheet = draw_sheet(
            [Answer(heading="x", hits=[Hit(product=product, image_index=index)])], pictures=tmp_path
        )
        colours = {colour for _, colour in sheet.getcolors(sheet.width * sheet.height) or []}
        assert ({RED, BLUE} & colours) == {drawn}


def test_a_missing_price_is_not_drawn() -> None:
    """A product without a price looks unlike one that is free; a currency is drawn with the price alone."""

    def drawn(product: Product, currency: str = "") -> bytes:
        return draw_sheet([Answer(heading="x", hits=[Hit(product=product)])], currency=currency).tobytes()

    free, unknown = Product(id="p1", title="crate", price=0), Product(id="p1", title="crate")
    assert len({drawn(free), drawn(unknown), drawn(free, "NOK")}) == 3
    assert drawn(unknown) == drawn(unknown, "NOK")


def test_a_product_without_a_title_shows_its_id() -> None:
    """The caption falls back to the id."""
    named = Hit(product_id="p1", product=Product(id="p1", title="p1"))
    nameless = Hit(product_id="p1", product=Product(id="p1"))
    sheets = [draw_sheet([Answer(heading="x", hits=[each])]).tobytes() for each in (named, nameless)]
    assert sheets[0] == sheets[1]
