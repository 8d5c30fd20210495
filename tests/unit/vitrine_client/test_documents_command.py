"""`vitrine documents`: what it reads of a folder, and what it refuses before anything is sent."""

from pathlib import Path

import click
import pytest

from vitrine.commands.documents import read_documents
from vitrine.domain import limits


def test_the_markdown_files_of_a_folder_are_read(tmp_path: Path) -> None:
    """Names are paths within the folder, in order; other files are left out, and so is a byte order mark."""
    (tmp_path / "es").mkdir()
    (tmp_path / "returns.md").write_text("\ufeff# Returns", encoding="utf-8")
    (tmp_path / "es" / "envios.md").write_text("# Envíos", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("no document")
    documents = read_documents(tmp_path)
    assert [(each.name, each.text) for each in documents] == [
        ("es/envios.md", "# Envíos"),
        ("returns.md", "# Returns"),
    ]


def test_what_cannot_be_taken_is_named(tmp_path: Path) -> None:
    """An empty folder, a file that is no UTF-8 and one that is too large are told by name and limit."""
    with pytest.raises(click.UsageError, match=r"must hold 1 to 64 files that end in \.md, has 0"):
        read_documents(tmp_path)
    bad = tmp_path / "bad.md"
    bad.write_bytes(b"# ok \xff")
    with pytest.raises(click.UsageError, match=r"bad\.md: is no UTF-8 at byte 5"):
        read_documents(tmp_path)
    bad.write_bytes(b"x" * (limits.MAX_DOCUMENT_BYTES + 1))
    with pytest.raises(click.UsageError, match="100,000 bytes"):
        read_documents(tmp_path)
