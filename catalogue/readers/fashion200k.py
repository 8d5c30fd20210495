"""The layout of Fashion200K: labels/*_{train,test}_detect_all.txt beside the folder women/ of pictures."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Literal

from catalogue.grammar import COLOURS
from catalogue.product import InvalidProductError, Product
from catalogue.readers.rows import RowError, picture_file, product_or_error, shown, text

_PATTERN = "*_detect_all.txt"
_CELLS = 3


def label_files(root: Path, split: Literal["train", "test", ""] = "") -> list[Path]:
    """Give the label files of the split, or all of them; a file is of the split that its name contains."""
    return sorted(path for path in (root / "labels").glob(_PATTERN) if split in path.name)


def read_fashion200k(root: Path, split: Literal["train", "test", ""] = "") -> Iterator[Product | RowError]:
    """Read every labelled picture as a product of its own, titled by its caption.

    A line is path, detection score and caption, parted by TABs. The category is the folder below women/, and
    the colour is the caption's first word that names one.
    """
    seen: set[str] = set()
    for labels in label_files(root, split):
        part = "train" if "train" in labels.name else "test"
        with labels.open(encoding="utf-8", errors="surrogateescape") as file:
            for number, line in enumerate(file, start=1):
                yield product_or_error(labels, number, partial(_product, root, part, line), seen)


def _product(root: Path, split: str, line: str) -> Product:
    cells = line.rstrip("\r\n").split("\t")
    if len(cells) != _CELLS:
        raise InvalidProductError("", f"has {len(cells)} cells, expected path, score and caption")
    path, _, caption = (
        text(name, cell) for name, cell in zip(("image", "score", "title"), cells, strict=True)
    )
    parts = Path(path).parts
    if len(parts) < _CELLS:
        raise InvalidProductError("image", f"expected women/<category>/.../<id>/<file>, got {shown(path)}")
    colour = next((word for word in re.findall(r"[a-z]+", caption.lower()) if word in COLOURS), "")
    return Product(
        id=Path(path).stem,
        title=caption,
        category=parts[1].replace("_", " "),
        image=picture_file(root, path),
        colour=colour,
        attributes={"split": split, "product": parts[-2]},
    )
