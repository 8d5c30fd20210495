"""What `make lint` and `make generated` do about files that commands make."""

import shutil
from pathlib import Path

import pytest

from reference.generated import problems
from reference.protos import write

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what is generated and of what it is made from, which is the working directory."""
    for name in ("vitrine/v1", "docs", "benchmarks/results", "helm/vitrine"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_files_that_are_out_of_date_are_named_with_their_command(tree: Path) -> None:
    """A file of each command that differs, one that is missing, and one that nothing makes any more; nothing is written."""
    replace(
        tree / "vitrine/v1/search.proto",
        "message SearchRequest {",
        "message SearchRequest { string added = 2999;",
    )
    replace(tree / "docs/catalogue.md", "<!-- end: limits -->", "| a limit | 1 |\n<!-- end: limits -->")
    (tree / "docs/reference/settings.md").unlink()
    replace(tree / "docs/benchmarks.md", "<!-- end: encoders -->", "| 99.9 |\n<!-- end: encoders -->")
    (tree / "vitrine/v1/gone_pb2.py").write_text("")
    before = {path: path.read_bytes() for path in tree.rglob("*.*") if path.is_file()}
    assert {
        "vitrine/v1/search_pb2.py is out of date: make proto",
        "vitrine/v1/search_pb2.pyi is out of date: make proto",
        "vitrine/v1/gone_pb2.py is out of date: make proto",
        "docs/catalogue.md is out of date: python -m catalogue document",
        "docs/reference/settings.md is out of date: python -m reference",
        "docs/benchmarks.md is out of date: python -m benchmarks report",
    } <= set(problems())
    assert {path: path.read_bytes() for path in tree.rglob("*.*") if path.is_file()} == before


def test_the_code_of_the_protos_is_brought_up_to_date(tree: Path) -> None:
    """What differs is written, what is missing too, and what belongs to no proto is removed."""
    folder = tree / "vitrine/v1"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "search_pb2.py").unlink()
    (folder / "query_pb2.pyi").write_text("")
    (folder / "gone_pb2_grpc.py").write_text("")
    write()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
