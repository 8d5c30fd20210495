"""Fashion200K as a benchmark of composed retrieval, as google/tirg's `datasets.py` defines it.

Published figures rest on that code, so its quirks are kept here and pinned by tests. The tier is the strict one:
a query is a source picture and the text of `modification_text`, nothing else.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

EXPECTED_TRAIN_IMAGES = 172_049
EXPECTED_TEST_IMAGES = 29_789
EXPECTED_QUERIES = 33_480
"""What the published data holds; other counts are other data."""

_MARKS = {".": "dotmark", "?": "questionmark", "&": "andmark", "*": "starmark"}


class Fashion200kError(ValueError):
    """The files are not the benchmark's; says which and why."""


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One row of a label file; the path is relative to the data's root."""

    path: str
    caption: str


@dataclass(frozen=True, slots=True)
class ComposedQuery:
    """The source picture, the text, and the picture whose caption counts as found; pictures by their paths."""

    source: str
    text: str
    target: str


def clean_caption(caption: str) -> str:
    """Strip the caption and spell out the marks that its tokenizer would drop."""
    for mark, word in _MARKS.items():
        caption = caption.replace(mark, word)
    return caption.strip()


def modification_text(source: str, target: str) -> str:
    """Return "replace A with B": A the first source word that the target lacks, B the reverse.

    A side without a word of its own gives its last word, since the original's loop falls through.
    """
    old = _first_not_in(source.split(), target.split())
    new = _first_not_in(target.split(), source.split())
    return f"replace {old} with {new}"


def children_by_parent(captions: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """Group captions that become equal when one word is removed; a group has two captions or more.

    A word is removed wherever it occurs as a substring, and double spaces are closed once, as in the original:
    "red redux dress" without "red" is "ux dress".
    """
    groups: dict[str, dict[str, None]] = {}
    for caption in dict.fromkeys(captions):
        for word in caption.split():
            parent = caption.replace(word, "").replace("  ", " ").strip()
            groups.setdefault(parent, {})[caption] = None
    return {parent: tuple(children) for parent, children in groups.items() if len(children) > 1}


def read_images(root: Path, split: str) -> tuple[LabelledImage, ...]:
    """Read the label files of a split: those whose name contains its name, "train" or "test".

    Raises:
        Fashion200kError: there is no such file, or a line is not three columns.
    """
    files = sorted(path for path in (root / "labels").glob("*") if path.is_file() and split in path.name)
    if not files:
        raise Fashion200kError(f"{root / 'labels'}: no label file for the split {split!r}")
    return tuple(image for path in files for image in _read_labels(path))


def read_queries(root: Path, images: Sequence[LabelledImage]) -> tuple[ComposedQuery, ...]:
    """Read test_queries.txt; it is a fixed file and is never drawn anew.

    Raises:
        Fashion200kError: the file is missing, or a line names a picture that is not in the test split.
    """
    captions = {image.path: image.caption for image in images}
    path = root / "test_queries.txt"
    try:
        lines = _lines(path)
    except FileNotFoundError:
        raise Fashion200kError(f"{path}: missing") from None
    return tuple(_read_query(f"{path}:{number}", line, captions) for number, line in enumerate(lines, 1))


def check_counts(train: int, test: int, queries: int) -> None:
    """Check that the data is the published benchmark's.

    Raises:
        Fashion200kError: a count differs.
    """
    found = {"train images": train, "test images": test, "queries": queries}
    expected = (EXPECTED_TRAIN_IMAGES, EXPECTED_TEST_IMAGES, EXPECTED_QUERIES)
    for (name, count), wanted in zip(found.items(), expected, strict=True):
        if count != wanted:
            raise Fashion200kError(f"{count:,} {name}; the benchmark has {wanted:,}")


def _first_not_in(words: Sequence[str], others: Sequence[str]) -> str:
    return next((word for word in words if word not in others), words[-1])


def _lines(path: Path) -> list[str]:
    """Return the lines as a file gives them: ended by CR, LF or both, and by nothing else that str.splitlines knows."""
    with path.open(encoding="utf-8") as file:
        return [line.removesuffix("\n") for line in file]


def _read_labels(path: Path) -> Iterator[LabelledImage]:
    for number, line in enumerate(_lines(path), 1):
        columns = line.split("\t")
        if len(columns) != 3:  # noqa: PLR2004 - path, detection score, caption
            raise Fashion200kError(f"{path}:{number}: {len(columns)} columns, not 3")
        yield LabelledImage(columns[0], clean_caption(columns[2]))


def _read_query(place: str, line: str, captions: Mapping[str, str]) -> ComposedQuery:
    paths = line.split()
    if len(paths) != 2:  # noqa: PLR2004 - source and target
        raise Fashion200kError(f"{place}: {len(paths)} paths, not 2")
    for path in paths:
        if path not in captions:
            raise Fashion200kError(f"{place}: {path} is not in the test split")
    source, target = paths
    return ComposedQuery(source, modification_text(captions[source], captions[target]), target)
