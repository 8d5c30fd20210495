"""The layout of Fashion200K: labels/*_{train,test}_detect_all.txt beside the folder women/ of pictures."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from catalogue.readers.decoding import ERRORS
from catalogue.readers.rows import Row, RowError, Table, nested_row, shown

Split = Literal["train", "test", ""]

_PATTERN = "*_detect_all.txt"
_CELLS = 3
_CHUNK = 1 << 20


def label_files(root: Path, split: Split = "") -> list[Path]:
    """Return the label files of the split, or all of them; a file is of the split that its name contains."""
    return sorted(path for path in (root / "labels").glob(_PATTERN) if split in path.name)


def open_fashion200k(root: Path, split: Split = "") -> Table | None:
    """Open the labels of a split, or all of them; None where there are none.

    A line is path, detection score and caption, parted by TABs. Every labelled picture is a product of its own, titled
    by its caption; the category is the folder below women/.
    """
    if not (files := label_files(root, split)):
        return None
    return Table(
        source=root,
        files=tuple(files),
        format="fashion200k",
        rows=(row for file in files for row in _rows(file)),
        columns=("id", "caption", "category", "image", "split", "product"),
        estimate=sum(map(_count_lines, files)),
    )


def _rows(labels: Path) -> Iterator[Row | RowError]:
    split = "train" if "train" in labels.name else "test"
    with labels.open(encoding="utf-8", errors=ERRORS) as file:
        for number, line in enumerate(file, start=1):
            yield _row(labels, number, split, line)


def _row(labels: Path, number: int, split: str, line: str) -> Row | RowError:
    cells = [cell.strip() for cell in line.split("\t")]
    if len(cells) != _CELLS:
        reason = f"has {len(cells)} cells, expected path, score and caption"
        return RowError(file=labels, line=number, field="", reason=reason)
    path, _, caption = cells
    parts = Path(path).parts
    if len(parts) < _CELLS:
        reason = f"expected women/<category>/.../<id>/<file>, got {shown(path)}"
        return RowError(file=labels, line=number, field="image", reason=reason)
    values: dict[str, object] = {
        "id": Path(path).stem,
        "caption": caption,
        "category": parts[1].replace("_", " "),
        "image": path,
        "split": split,
        "product": parts[-2],
    }
    return nested_row(labels, number, values)


def _count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(_CHUNK), b""))
