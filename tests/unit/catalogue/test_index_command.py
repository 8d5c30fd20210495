"""`vitrine index`, against a service that keeps what it is sent."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from catalogue.commands import index
from catalogue.indexing import MAX_MESSAGE_BYTES, send_catalogue, source_digest
from catalogue.product import CatalogueProduct, PictureFile
from catalogue.readers.decoding import HEAD_BYTES
from catalogue.readers.opening import OpenCatalogue, open_catalogue
from catalogue.report import Report
from vitrine.client import VitrineClient, VitrineError
from vitrine.domain.messages import read_schema_message, schema_message
from vitrine.domain.product import Product
from vitrine.domain.schema_files import parse_schema, shipped_schema
from vitrine.preprocess import MAX_IMAGE_BYTES

HEADER = "id,title,category,image,price,colour,fabric\n"

BOOKS = """
name = "books"
currency = "EUR"

[fields.isbn]
kind = "keyword"
role = "id"

[fields.title]
kind = "text"
role = "title"

[fields.author]
kind = "keyword"

[fields.pages]
kind = "number"
"""


@pytest.fixture
def table(folder: Path) -> Path:
    path = folder / "products.csv"
    path.write_text(HEADER + "".join(f"p{i},Shirt {i},top,a.jpg,{i}.5,red,linen\n" for i in range(5)))
    return path


def _run(shelf: Any, *arguments: object) -> Result:
    return CliRunner().invoke(index, [*map(str, arguments), "--address", shelf.address])


def test_products_reach_the_service_with_their_pictures(shelf: Any, table: Path, picture: bytes) -> None:
    """Every field and the picture's bytes are sent, and the summary says what was done."""
    result = _run(shelf, table.parent)
    assert result.exit_code == 0, result.output
    assert f"{table.parent}: 5 written, 0 unchanged, 0 rejected in products_1 (" in result.stdout
    assert list(shelf.held) == ["p0", "p1", "p2", "p3", "p4"]
    product = shelf.held["p1"].product
    assert shelf.held["p1"].image == picture
    assert (product.title, product.category, product.price, product.colour) == ("Shirt 1", "top", 1.5, "red")
    assert product.fields["price"].number == 1.5
    assert product.attributes == {"fabric": "linen"}
    assert list(product.image_uris) == [product.image_uri] == ["a.jpg"]
    assert read_schema_message(shelf.options[0].schema) == shipped_schema()


def test_a_schema_file_is_sent_and_used(shelf: Any, tmp_path: Path) -> None:
    """A bookshop's own fields reach the service by their names, and its schema with them."""
    (tmp_path / "books.toml").write_text(BOOKS)
    path = tmp_path / "books.csv"
    path.write_text("ISBN,Title,Author,Pages,Shelf\n978,Dune,Frank Herbert,612,A4\n979,Emma,Jane Austen,,\n")
    result = _run(shelf, path, "--schema", tmp_path / "books.toml")
    assert result.exit_code == 0, result.output
    assert read_schema_message(shelf.options[0].schema) == parse_schema(BOOKS)
    dune, emma = (shelf.held[name].product for name in ("978", "979"))
    assert (dune.fields["author"].text, dune.fields["pages"].number) == ("Frank Herbert", 612)
    assert dune.attributes == {"shelf": "A4"}
    assert "pages" not in emma.fields
    assert "  2 without a picture: their words alone find them" in result.stdout.splitlines()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('name = "a"\n[fields.x]\nkind = "colour"', "fields.x.kind: must be one of keyword, "),
        ('name = "a"\n[fields.X]\nkind = "text"', "a field's name has lower-case letters"),
        (BOOKS + '[fields.sku]\nkind = "keyword"\nrole = "id"', "id is the role of isbn already"),
        ("name = ", "is no TOML"),
        (None, "No such file"),
    ],
)
def test_a_bad_schema_is_one_plain_line(shelf: Any, table: Path, text: str | None, reason: str) -> None:
    """The error names the file, the field and the rule, and nothing is sent."""
    file = table.parent / "mine.toml"
    if text is not None:
        file.write_text(text)
    result = _run(shelf, table, "--schema", file)
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith(f"Error: {file}")
    assert reason in result.stderr
    assert not shelf.options


def test_without_a_schema_file_the_index_schema_serves(shelf: Any, tmp_path: Path) -> None:
    """A table of no known feed is read as the catalogue before it was."""
    shelf.schema = schema_message(parse_schema(BOOKS))
    path = tmp_path / "books.csv"
    path.write_text("isbn,title,author,pages\n978,Dune,Frank Herbert,612\n")
    assert _run(shelf, path).exit_code == 0
    assert shelf.held["978"].product.fields["pages"].number == 612
    assert shelf.options[0].schema.name == "books"


def test_a_second_run_finds_everything_unchanged(shelf: Any, table: Path) -> None:
    """Indexing twice changes nothing and says so."""
    _run(shelf, table)
    result = _run(shelf, table, "--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert (report["written"], report["unchanged"], report["rejected"]) == (0, 5, 0)
    assert (report["index"], report["ended"], report["errors"]) == ("products_1", True, [])


def test_rejections_here_and_there_are_counted_and_quoted(shelf: Any, table: Path) -> None:
    """A bad row and a product that the service refuses are in the summary; a bad picture costs itself alone."""
    huge = table.parent / "huge.jpg"
    with huge.open("wb") as file:
        file.truncate(MAX_IMAGE_BYTES + 1)
    (table.parent / "text.jpg").write_text("no picture")
    with table.open("a") as file:
        file.write(
            "q1,Shirt,top,a.jpg,cheap,,\nq2,Shirt,top,huge.jpg,1,,\nq3,refuse me,top,a.jpg,1,,\nq4,,top,text.jpg,1,,\n"
            "q5,Shirt,top,gone.jpg,1,,\n"
        )
    result = _run(shelf, table)
    assert result.exit_code == 0
    assert "7 written, 0 unchanged, 3 rejected" in result.stdout
    assert (
        "  2 pictures cannot be read; their products are indexed by what is left"
        in result.stdout.splitlines()
    )
    errors = sorted(line.strip() for line in result.stderr.splitlines())
    assert errors == [
        (
            f"{table}:7: price: must be a price such as 19.99, 1,299.00, 29,90, 19.99 USD, €19.99 or 1.299,00 €, got"
            " 'cheap': write a plain number such as 1299.00"
        ),
        f"product q2: image: {huge} has 8,000,001 bytes; the limit is 8,000,000",
        "product q3: image: is not a picture",
        f"product q4: image: {table.parent / 'text.jpg'} is not a JPEG, PNG or WebP picture",
        f"product q5: image: no file 'gone.jpg' in {table.parent}",
    ]


def test_only_the_first_errors_are_quoted(shelf: Any, table: Path) -> None:
    """Of 50 bad rows 20 are shown; all are counted."""
    with table.open("a") as file:
        file.writelines(f"q{i},,top,,1,,\n" for i in range(50))
    result = _run(shelf, table)
    assert "5 written, 0 unchanged, 50 rejected" in result.stdout
    assert len(result.stderr.splitlines()) == 21
    assert result.stderr.splitlines()[-1] == "  and 30 more"


def test_nothing_indexed_is_a_failure(shelf: Any, table: Path) -> None:
    """When every row is bad the command fails."""
    table.write_text(HEADER + "p1,,top,,1,,\n")
    result = _run(shelf, table)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == f"Error: {table}: no product could be indexed"


def test_what_was_cut_or_is_missing_is_in_the_summary(shelf: Any, table: Path) -> None:
    """Products without pictures or words, URLs and notes are told, to people and to programs."""
    table.write_text(
        f"{HEADER}p1,,top,a.jpg,1,,\np2,Shirt,top,https://shop.example/1.jpg,1,,\np3,Hat,{'x / ' * 200},a.jpg,1,,\n"
        "p4,,top,https://shop.example/2.jpg,1,,\n"
    )
    result = _run(shelf, table)
    assert result.stdout.splitlines()[1:] == [
        "  1 without a picture: their words alone find them",
        "  1 without words: their pictures alone find them",
        (
            f"  1 pictures are URLs and are not fetched: --fetch-pictures does, or put them into {table.parent}/images/,"
            " named by product id"
        ),
        "  category cut to 512 characters",
    ]
    assert "product p4: image: is a URL that is not fetched, and there are no words" in result.stderr
    report = json.loads(_run(shelf, table, "--json").stdout)
    assert report["urls_not_fetched"] == 1
    assert report["notes"] == {"category cut to 512 characters": 1}
    assert list(shelf.held["p2"].product.image_uris) == ["https://shop.example/1.jpg"]


def test_several_pictures_are_sent_as_far_as_there_is_room(shelf: Any, table: Path, picture: bytes) -> None:
    """At most eight pictures go with a product, and no message is over the limit; the rest is noted."""
    for name, size in (("c", 5_000_000), ("d", 5_500_000), ("e", 5_000_000)):
        (table.parent / f"{name}.jpg").write_bytes(picture + bytes(size))
    many = "|".join(["a.jpg", "b.jpg", *[f"{i}.jpg" for i in range(9)]])
    for i in range(9):
        (table.parent / f"{i}.jpg").write_bytes(picture + bytes(i))
    table.write_text(f"{HEADER}p1,Shirt,top,c.jpg|d.jpg|e.jpg,1,,\np2,Shirt,top,{many},1,,\n")
    result = _run(shelf, table)
    assert result.exit_code == 0, result.output
    assert shelf.held["p1"].ByteSize() < MAX_MESSAGE_BYTES
    assert len(shelf.held["p1"].more_images) == 1
    assert len(shelf.held["p2"].more_images) == 7
    assert [len(held.product.image_uris) for held in shelf.held.values()] == [2, 8]
    assert "  further pictures left out (4 times)" in result.stdout.splitlines()


def test_a_failing_service_leaves_a_count_and_the_way_on(shelf: Any, table: Path) -> None:
    """What is acknowledged before a failure is reported as done, and the same command finishes the rest."""
    shelf.fail_after = 4
    result = _run(shelf, table)
    assert result.exit_code == 4
    assert "2 written, 0 unchanged, 0 rejected before it stopped; the same command goes on" in result.stdout
    assert result.stderr == "Error: encoder is unavailable: see `make status`\n"
    shelf.fail_after = None
    assert "2 written, 3 unchanged" in _run(shelf, table).stdout


def test_a_rebuild_says_what_it_replaced_and_is_confirmed_by_yes(shelf: Any, table: Path) -> None:
    """The summary has both numbers and the way back; `--yes` goes along as the confirmation."""
    shown = _run(shelf, table, "--rebuild").stdout
    assert "5 products take the place of 9 in products_0: `vitrine restore` puts it back" in shown
    told = json.loads(_run(shelf, table, "--rebuild", "--yes", "--json").stdout)
    assert told["replaced"] == {"index": "products_0", "products": 9}
    assert json.loads(_run(shelf, table, "--json").stdout)["replaced"] is None
    assert [options.confirm_shrink for options in shelf.options] == [False, True, False]


def test_rebuild_names_its_source(shelf: Any, table: Path) -> None:
    """The source is the same until the file or the schema changes."""
    for _ in range(2):
        _run(shelf, table, "--rebuild")
    table.write_text(table.read_text() + "p9,Shirt,top,a.jpg,1,,\n")
    _run(shelf, table, "--rebuild")
    (table.parent / "mine.toml").write_text(BOOKS.replace("isbn", "id"))
    _run(shelf, table, "--rebuild-if-stale", "--schema", table.parent / "mine.toml")
    sources = [options.source for options in shelf.options]
    assert [options.rebuild for options in shelf.options] == [True, True, True, False]
    assert shelf.options[3].rebuild_if_stale
    assert sources[0] == sources[1]
    assert len(set(sources)) == 3
    assert sources[2] == source_digest([table], shipped_schema())


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("nowhere", "no such file or folder"),
        ("a.jpg", "not a catalogue"),
        ("empty.csv", "a header is expected"),
    ],
)
def test_a_path_that_is_no_catalogue_is_one_plain_line(
    shelf: Any, table: Path, path: str, reason: str
) -> None:
    """The error names the path and the reason, without a traceback."""
    (table.parent / "empty.csv").touch()
    result = _run(shelf, table.parent / path)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert reason in result.stderr


def test_no_service_is_one_plain_line(table: Path) -> None:
    """Without a service the command says where it looked and how to start one."""
    result = CliRunner().invoke(index, [str(table), "--address", "127.0.0.1:1"])
    assert result.exit_code == 3
    assert result.stderr.startswith("Error: no service at 127.0.0.1:1: start it with `make up`")


async def test_a_slow_service_holds_the_reading_back(shelf: Any, table: Path, picture: bytes) -> None:
    """While the service reads nothing, only what the transport buffers has been read: not the whole catalogue."""
    image = table.parent / "large.jpg"
    image.write_bytes(picture + bytes(100_000))
    read = 0

    def rows() -> Iterator[CatalogueProduct]:
        nonlocal read
        for number in range(2_000):
            read += 1
            product = Product(id=str(number), values={"title": "Shirt"})
            yield CatalogueProduct(product=product, pictures=(PictureFile(image),), file=table, line=number)

    shelf.reads.clear()
    async with VitrineClient(shelf.address) as client:
        catalogue = OpenCatalogue(
            source=table,
            files=(table,),
            feed="",
            schema=shipped_schema(),
            rows=rows(),
            estimate=2_000,
            notes=Counter(),
        )
        report = Report()
        with pytest.raises(VitrineError):
            await send_catalogue(
                client, catalogue, report, rebuild=False, timeout_s=1, progress=lambda _: None
            )
    shelf.reads.set()
    assert 0 < read < 400
    assert report.indexed == 0


@pytest.mark.slow
def test_open_catalogue_reads_a_beginning_alone(table: Path) -> None:
    """Opening reads the first rows: a catalogue of any size is opened at once."""
    with table.open("a") as file:
        file.writelines(f"r{i},{'Shirt ' * 30},top,a.jpg,1,,\n" for i in range(6_000))
    assert table.stat().st_size > HEAD_BYTES
    catalogue = open_catalogue(table)
    with table.open("a") as file:
        file.write("last,Shirt,top,a.jpg,1,,\n")
    *_, last = catalogue.rows
    assert isinstance(last, CatalogueProduct)
    assert last.product.id == "last"


def test_it_waits_for_a_service_that_is_not_ready_yet(
    shelf: Any, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --wait it asks until the service can take products; without, or when the time is over, it sends or says so."""
    monkeypatch.setattr("vitrine.commands.connection._BETWEEN_TRIES_S", 0.01)
    shelf.unready = 3
    assert _run(shelf, table, "--wait", "60").exit_code == 0
    assert (shelf.unready, len(shelf.held)) == (-1, 5)
    shelf.unready = 1_000_000
    result = _run(shelf, table, "--wait", "0.05")
    assert (result.exit_code, result.stderr) == (4, "Error: the service says NOT_SERVING\n")
    assert 999_000 < shelf.unready < 1_000_000
    assert _run(shelf, table).exit_code == 0


def test_waiting_mends_no_wrong_address_and_no_bad_token(shelf: Any, table: Path, tmp_path: Path) -> None:
    """Nobody at the address is waited for to the end and then told; a token that cannot be used is told at once."""
    at = ("--address", "127.0.0.1:1", "--wait", "0.001")
    result = CliRunner().invoke(index, [str(table), *at])
    assert result.exit_code == 3
    assert result.stderr.startswith("Error: no service at 127.0.0.1:1: start it with `make up`")
    result = _run(shelf, table, "--wait", "600", "--token-file", tmp_path / "none")
    assert result.exit_code == 1
    assert "none: No such file" in result.stderr
