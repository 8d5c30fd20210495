"""Building a procedural catalogue on disk."""

import fcntl
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from catalogue import build, grammar
from catalogue.build import BuildError, BuildSettings, build_catalogue
from catalogue.grammar import BRANDS
from catalogue.splits import make_splits

SETTINGS = BuildSettings(products=8, seed=3)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("build") / "catalogue"
    assert build_catalogue(out, SETTINGS, processes=1)
    return out


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_products_name_pictures_that_are_there(built: Path) -> None:
    """Every row has a picture of 256 pixels, a brand, a price and its attributes."""
    rows = pq.read_table(built / "products.parquet").to_pylist()
    assert len(rows) == SETTINGS.products
    for row in rows:
        with Image.open(built / row["image"]) as picture:
            assert (picture.format, picture.size) == ("JPEG", (256, 256))
        assert row["brand"] in BRANDS
        assert row["price"] > 0
        assert row["colour"] in row["title"]
        assert dict(row["attributes"])["accent"] in row["title"]


def test_queries_say_what_they_show_and_want(built: Path) -> None:
    """Every query names a picture; composed ones say the change and what it leads to."""
    queries = json.loads((built / "queries" / "queries.json").read_text())
    titles = pq.read_table(built / "products.parquet")["title"].to_pylist()
    assert queries
    for query in queries:
        assert (built / "queries" / query["file"]).is_file()
        assert query["wanted"] in titles
        assert (
            (query["kind"] == "composed")
            == ("modification" in query)
            == (query["wanted"] != query["caption"])
        )


def test_a_second_build_does_nothing(built: Path) -> None:
    """Equal settings leave the files alone."""
    before = (built / "products.parquet").stat().st_mtime_ns
    assert not build_catalogue(built, SETTINGS, processes=1)
    assert (built / "products.parquet").stat().st_mtime_ns == before


@pytest.mark.slow
def test_builds_are_repeatable_and_other_settings_replace_them(built: Path, tmp_path: Path) -> None:
    """Equal settings give equal bytes; another seed replaces the folder and leaves nothing beside it."""
    out = tmp_path / "catalogue"
    build_catalogue(out, SETTINGS, processes=1)
    assert _contents(out) == _contents(built)
    assert build_catalogue(out, BuildSettings(products=2, seed=4), processes=1)
    assert pq.read_table(out / "products.parquet").num_rows == 2
    assert {path.name for path in tmp_path.iterdir()} == {"catalogue", ".catalogue.lock"}


def test_a_failed_build_leaves_the_old_catalogue(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails half-way changes nothing and leaves no rubbish."""

    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left")

    before = _contents(built)
    monkeypatch.setattr(build, "draw_pictures", fail)
    with pytest.raises(OSError, match="no space left"):
        build_catalogue(built, BuildSettings(products=2, seed=4), processes=1)
    assert _contents(built) == before
    assert not (built.parent / ".catalogue.partial").exists()


def test_somebody_elses_folder_is_not_replaced(tmp_path: Path) -> None:
    """A folder with other contents is refused with the way out."""
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(BuildError, match="choose another --out"):
        build_catalogue(tmp_path, SETTINGS, processes=1)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_two_builds_of_one_folder_do_not_meet(tmp_path: Path) -> None:
    """While one build holds the lock, another is refused."""
    with (tmp_path / ".catalogue.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BuildError, match="another build"):
            build_catalogue(tmp_path / "catalogue", SETTINGS, processes=1)


@pytest.mark.slow
def test_fashion200k_layout_has_labels_and_queries(tmp_path: Path) -> None:
    """Labels are path, score and caption by TABs; a query's two pictures are test pictures one word apart."""
    out = tmp_path / "fashion200k"
    build_catalogue(out, BuildSettings(products=4, seed=5, layout="fashion200k"), processes=1)
    captions = {}
    for labels in (out / "labels").iterdir():
        for line in labels.read_text().splitlines():
            path, score, caption = line.split("\t")
            assert (out / path).is_file()
            assert float(score) == 1
            captions[path] = (caption, "_test_" in labels.name)
    trained = {grammar.caption(spec) for spec in make_splits().train.specs()}
    assert {in_test for _, in_test in captions.values()} == {True, False}
    assert all((caption in trained) != in_test for caption, in_test in captions.values())
    for line in (out / "test_queries.txt").read_text().splitlines():
        (source, source_in_test), (target, target_in_test) = (captions[path] for path in line.split())
        assert source_in_test
        assert target_in_test
        changed = [pair for pair in zip(source.split(), target.split(), strict=True) if pair[0] != pair[1]]
        assert len(changed) == 1
