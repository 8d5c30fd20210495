"""The layout of DeepFashion: labels in Anno/list_*.txt beside the folder img/ of pictures.

Each list begins with the number of its lines and a line of headings; its columns are parted by white space.
"""

from collections.abc import Iterator
from itertools import islice, repeat
from pathlib import Path

from catalogue.readers.decoding import ERRORS
from catalogue.readers.rows import Row, RowError, Table, nested_row

_HEADINGS = 2


def open_deepfashion(root: Path) -> Table | None:
    """Open the labels; None where there are none. Titles come from the pictures' folders, such as Red_Lace_Dress."""
    labels = _list(root, "list_category_img.txt")
    if labels is None:
        return None
    others = [
        _list(root, name) for name in ("list_category_cloth.txt", "list_attr_img.txt", "list_attr_cloth.txt")
    ]
    return Table(
        source=root,
        files=(labels, *(file for file in others if file is not None)),
        format="deepfashion",
        rows=_rows(root, labels),
        columns=("id", "title", "category", "image", "tags"),
        estimate=_count(labels),
    )


def _list(root: Path, name: str) -> Path | None:
    return next((path for folder in ("Anno", "anno", ".") if (path := root / folder / name).is_file()), None)


def _rows(root: Path, labels: Path) -> Iterator[Row | RowError]:
    categories = _names(_list(root, "list_category_cloth.txt"))
    attributes = _attributes(root)
    for (number, line), tags in zip(_lines(labels), attributes, strict=False):
        yield _row(labels, number, line, categories, tags)


def _row(
    labels: Path, number: int, line: str, categories: list[str], tags: tuple[str, list[str]]
) -> Row | RowError:
    image, _, label = line.rpartition(" ")
    image = image.strip()
    if not image or not label.isdecimal():
        return RowError(
            file=labels, line=number, field="", reason="expected a picture's path and a category's number"
        )
    values: dict[str, object] = {
        "id": image,
        "title": " ".join(Path(image).parent.name.replace("_", " ").split()),
        # Numbers count the lines of the other list, from 1.
        "category": categories[int(label) - 1] if 0 < int(label) <= len(categories) else None,
        "image": image,
        "tags": tags[1] if tags[0] == image else [],
    }
    return nested_row(labels, number, values)


def _attributes(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the attributes of each picture, in the order of the labels; nothing of every one where there is no list."""
    names = _names(_list(root, "list_attr_cloth.txt"))
    file = _list(root, "list_attr_img.txt")
    for _, line in _lines(file) if file is not None else ():
        image, *marks = line.split()
        yield image, [name for name, mark in zip(names, marks, strict=False) if mark == "1"]
    yield from repeat(("", []))


def _names(file: Path | None) -> list[str]:
    """Return the names of a list: all of a line but its last word, which is the name's type."""
    return [" ".join(line.split()[:-1]) for _, line in _lines(file)] if file is not None else []


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    with file.open(encoding="utf-8", errors=ERRORS) as lines:
        for number, line in islice(enumerate(lines, start=1), _HEADINGS, None):
            if line.strip():
                yield number, line.strip()


def _count(labels: Path) -> int:
    with labels.open(encoding="utf-8", errors=ERRORS) as lines:
        said = lines.readline().strip()
    return int(said) if said.isdecimal() else 1
