"""Photographs of products with their words, from whatever `vitrine index` reads: the input of training and measuring.

    for photograph in read_photographs(Path("shop.parquet"), notes=notes):
        photograph.split      # "train", "val" or "test"; a group is in one of them
        photograph.picture    # the encoded picture; `vitrine.preprocess.decode_image` gives its pixels
        photograph.title, photograph.attributes["colour"]

    photographs = load_photographs(path, splits=("test",))   # a list; raises DataError where it would be empty

One row comes for each picture that can be read; rows of one product share `product_id`, `title` and `group`. Rows are
read one at a time: memory holds what the caller keeps, and pictures stay encoded. A row that holds no product, and a
picture that is none, is left out and counted in `notes`.

A row's column `split` says its split, and `group` its group, where the data has them. Where it has not:

- the group is the product's title after `fold_title`, or its id where there is no title. Products whose titles differ
  and whose pictures do not can then lie in different splits: data with near-duplicates needs a column `group`;
- the split is drawn by the SHA-256 of the group: 80 % train, 10 % val, 10 % test, the same in every run.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from catalogue.product import CatalogueProduct, Picture, PictureBytes, PictureFile, PictureUrl
from catalogue.readers.opening import OpenCatalogue, open_catalogue
from catalogue.readers.rows import CatalogueError, RowError, shown
from vitrine.domain.limits import MAX_PICTURES
from vitrine.domain.schema import KEYWORD_KINDS, Role, Schema
from vitrine.domain.values import fold
from vitrine.domain.values import shown as said
from vitrine.preprocess import MAX_IMAGE_BYTES, ImageRejected, inspect_image

TRAIN, VAL, TEST = SPLITS = ("train", "val", "test")

_SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "dev"), VAL),
    **dict.fromkeys(("test", "testing"), TEST),
}
_SPLIT, _GROUP = "split", "group"
"""Columns that are no attributes of a product."""
_SHARES = {TEST: 10, VAL: 20}
"""Upper bounds of a group's hash, in percent; the rest is for training."""
_DIGITS = re.compile(r"\d+")


class DataError(ValueError):
    """The data cannot be used; the message names the file and the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Photograph:
    """One picture of a product, with what the catalogue says of the product."""

    product_id: str
    title: str = ""
    description: str = ""
    category: str = ""
    """The value of the field with the role `category`, as the catalogue writes it."""
    attributes: Mapping[str, str]
    """Values by name of field or column, as the catalogue writes them: keywords of the schema (`category` and `colour`
    among them) and every further column with text or a number. Prices, `group` and `split` are not among them."""
    group: str
    """Equal for products that must not lie in different splits."""
    split: str
    """TRAIN, VAL or TEST."""
    picture: bytes
    """An encoded JPEG, PNG or WebP whose header was checked; it can still prove damaged when it is decoded."""


def read_photographs(path: Path, *, notes: Counter[str] | None = None) -> Iterator[Photograph]:
    """Yield the photographs of a file or folder that the catalogue's readers open, in its order.

    Args:
        path: the file or folder.
        notes: counts what was left out, by reason; complete when the iterator ends.

    Raises:
        DataError: nothing can be read there, or a row names an unknown split.
    """
    counts = Counter[str]() if notes is None else notes
    try:
        opened = open_catalogue(path)
        for row in opened.rows:
            if isinstance(row, RowError):
                counts[f"rows without a product ({row.field or 'row'}: {row.reason})"] += row.rows
            else:
                yield from _photographs(row, opened, counts)
    except CatalogueError as error:
        raise DataError(str(error)) from None
    counts.update(opened.notes)


def load_photographs(
    path: Path, *, splits: Collection[str] = SPLITS, notes: Counter[str] | None = None
) -> list[Photograph]:
    """Return the photographs of some splits.

    Raises:
        DataError: as `read_photographs` does; also where none is left.
    """
    counts = Counter[str]() if notes is None else notes
    chosen = [each for each in read_photographs(path, notes=counts) if each.split in splits]
    if not chosen:
        reasons = "; ".join(f"{count:,} x {reason}" for reason, count in counts.most_common(3))
        raise DataError(
            f"{path}: no product with a picture in the split {' or '.join(splits)}"
            + (f" ({reasons})" if reasons else "")
        )
    return chosen


def fold_title(title: str) -> str:
    """Return the form in which titles of one group are equal: one case, single spaces, a # for each run of digits."""
    return _DIGITS.sub("#", fold(title))


def draw_split(group: str) -> str:
    """Return the split of a group by its hash."""
    share = int.from_bytes(hashlib.sha256(group.encode(errors="surrogatepass")).digest()[:8]) * 100 >> 64
    return next((split for split, bound in _SHARES.items() if share < bound), TRAIN)


def _photographs(row: CatalogueProduct, opened: OpenCatalogue, notes: Counter[str]) -> Iterator[Photograph]:
    product, schema = row.product, opened.schema
    title = product.text(schema, Role.TITLE)
    group = product.attributes.get(_GROUP) or (f"title:{fold_title(title)}" if title else f"id:{product.id}")
    split = _split(row, group)
    for error in row.errors:
        notes[f"pictures that are not there ({error.reason})"] += 1
    for picture in row.pictures[:MAX_PICTURES]:
        data = _read(picture, notes)
        if data is not None:
            yield Photograph(
                product_id=product.id,
                title=title,
                description=product.text(schema, Role.DESCRIPTION),
                category=said(product.by_role(schema, Role.CATEGORY)),
                attributes=_attributes(row, schema),
                group=group,
                split=split,
                picture=data,
            )


def _attributes(row: CatalogueProduct, schema: Schema) -> dict[str, str]:
    product = row.product
    keywords = {
        owner.name: said(product.values[owner.name])
        for owner in schema.stored
        if owner.kind in KEYWORD_KINDS and owner.name in product.values
    }
    others = {name: text for name, text in product.attributes.items() if name not in {_SPLIT, _GROUP}}
    return others | keywords


def _split(row: CatalogueProduct, group: str) -> str:
    stated = row.product.attributes.get(_SPLIT, "")
    if not stated:
        return draw_split(group)
    split = _SPLIT_NAMES.get(fold(stated))
    if split is None:
        raise DataError(
            f"{row.file}:{row.line}: split: must be {', '.join(SPLITS[:-1])} or {SPLITS[-1]}, got {shown(stated)}"
        )
    return split


def _read(picture: Picture, notes: Counter[str]) -> bytes | None:
    """Return the bytes of a picture; None, with a note, where it cannot be read or is none."""
    match picture:
        case PictureBytes():
            data = picture.data
        case PictureFile():
            try:
                data = _read_file(picture.path)
            except OSError as error:
                notes[f"pictures that cannot be read ({error.strerror})"] += 1
                return None
        case PictureUrl():
            notes["pictures by URL, which are not fetched here: index them with pictures in files"] += 1
            return None
    try:
        inspect_image(data)
    except ImageRejected as error:
        notes[f"pictures that {error.reason}"] += 1
        return None
    return data


def _read_file(path: Path) -> bytes:
    """Return a file's bytes; of one over the limit, enough to be refused by it."""
    with path.open("rb") as file:
        return file.read(MAX_IMAGE_BYTES + 1)
