"""Where the pictures of a row are: files that its columns name, bytes inside it, URLs, or files beside the table."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from catalogue.feeds.feed import Feed, filled
from catalogue.product import Picture, PictureBytes, PictureError, PictureFile, PictureUrl
from catalogue.readers.cells import listed
from catalogue.readers.layouts import PICTURE_ENDINGS
from catalogue.readers.rows import Row, column_key, is_missing, is_picture, shown
from catalogue.readers.text import plain_text
from vitrine.domain.errors import InvalidValue
from vitrine.domain.schema import Role, Schema

_URL = re.compile(r"(?:https?:)?//\S+", re.IGNORECASE)
_MAX_PLACE = 1_024
_ADDRESSES = ("src", "url", "path", "href")
"""Keys of a record that is a picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PicturePlan:
    """Where the pictures of a table's rows are looked for."""

    keys: tuple[str, ...]
    """Keys of the columns that may hold them; the first that has a value counts."""
    feed: Feed
    folder: Path
    """Where paths begin."""
    root: str
    """The same folder, its symbolic links followed: no path of a table leads out of it."""
    allow_outside: bool = False
    """Whether paths may."""
    beside: tuple[str, ...]
    """The feed's patterns of files beside the table whose folders are there."""


@dataclass(frozen=True, slots=True)
class Found:
    """The pictures of a row, and what its columns name that is not there."""

    pictures: tuple[Picture, ...]
    errors: tuple[PictureError, ...]


def plan_pictures(schema: Schema, feed: Feed, folder: Path) -> PicturePlan:
    """Return where the pictures of a table's rows are to be looked for."""
    owner = schema.role(Role.IMAGE)
    names = (*feed.pictures.columns, *((owner.name, *owner.columns) if owner is not None else ()))
    return PicturePlan(
        keys=tuple(dict.fromkeys(map(column_key, names))),
        feed=feed,
        folder=folder,
        root=os.path.realpath(folder),
        beside=tuple(pattern for pattern in feed.pictures.beside if _folder_is_there(folder, pattern)),
    )


def embedded_key(values: Mapping[str, object]) -> str | None:
    """Return the key of the one column that holds pictures inside the rows."""
    found = [key for key, value in values.items() if _is_embedded(value)]
    return found[0] if len(found) == 1 else None


def find_pictures(row: Row, plan: PicturePlan, product_id: str) -> Found:
    """Return the pictures of a row.

    Where no column names a file that is there, a file beside the table is taken that is called as the feed's pattern
    says: {product} stands for the product's id, {file} for the last part of its URL.
    """
    pictures: list[Picture] = []
    errors: list[PictureError] = []
    for name, cell in _cells(row, plan):
        try:
            picture = _picture(name, cell, plan)
        except InvalidValue as error:
            errors.append(PictureError(field=name, reason=error.reason))
        else:
            if picture not in pictures:
                pictures.append(picture)
    if plan.beside and not any(isinstance(each, PictureFile | PictureBytes) for each in pictures):
        beside = _beside(dict(row.values) | {"product": product_id}, pictures, plan)
        if beside is not None:
            return Found((beside,), ())
    return Found(tuple(pictures), tuple(errors))


def path_of(row: Row, plan: PicturePlan) -> str:
    """Return the path by which the table names the row's first picture; empty where it names none."""
    for name, cell in _cells(row, plan):
        path = cell.get("path") if isinstance(cell, Mapping) else cell
        if isinstance(path, str):
            try:
                return plain_text(name, path)
            except InvalidValue:
                return ""
    return ""


def _cells(row: Row, plan: PicturePlan) -> Iterator[tuple[str, object]]:
    key = next((key for key in plan.keys if not is_missing(row.values.get(key))), None)
    if key is None and not any(key in row.values for key in plan.keys):
        key = embedded_key(row.values)
    more = (column_key(name) for name in plan.feed.pictures.more)
    for each in (key, *more):
        cell = row.values.get(each) if each is not None else None
        if not is_missing(cell):
            assert each is not None
            parts = [cell] if isinstance(cell, Mapping) else listed(cell, plan.feed.pictures.separator)
            yield from ((row.names.get(each, each), part) for part in parts if not is_missing(part))


def _picture(name: str, cell: object, plan: PicturePlan) -> Picture:
    if isinstance(cell, bytes):
        return PictureBytes(cell)
    if isinstance(cell, Mapping):
        data = cell.get("bytes")
        path = next((cell[key] for key in _ADDRESSES if isinstance(cell.get(key), str)), "")
        if isinstance(data, bytes) and data:
            return PictureBytes(data, path)
        cell = path
    text = plain_text(name, cell)
    if _URL.fullmatch(text):
        return PictureUrl(f"https:{text}" if text.startswith("//") else text)
    return _file(name, text, plan)


def _file(name: str, text: str, plan: PicturePlan) -> PictureFile:
    """Return the file that a table names."""
    place = plan.folder / text
    try:
        readable = _is_readable(str(place), plan)
        found = bool(text) and readable and place.is_file()
    except (OSError, ValueError) as error:
        reason = (error.strerror or "") if isinstance(error, OSError) else "holds a NUL character"
        raise InvalidValue(name, f"{shown(text)}: {reason}") from error
    if text and not readable:
        raise InvalidValue(name, f"{shown(text)} lies outside {plan.folder}; --allow-outside reads it")
    if not found:
        raise InvalidValue(name, f"no file {shown(text)} in {plan.folder}")
    return PictureFile(place, plan.folder)


def _beside(values: dict[str, object], named: list[Picture], plan: PicturePlan) -> PictureFile | None:
    url = next((picture.url for picture in named if isinstance(picture, PictureUrl)), "")
    if url:
        values["file"] = unquote(urlsplit(url).path).rpartition("/")[2]
    for pattern in plan.beside:
        place = filled(pattern, values)
        if place and _is_inside(place):
            stem, ending = os.path.splitext(place)  # noqa: PTH122 - likewise
            endings = (
                dict.fromkeys((ending, *PICTURE_ENDINGS)) if ending.lower() in PICTURE_ENDINGS else (ending,)
            )
            for each in endings:
                path = f"{plan.folder}/{stem}{each}"
                # A Path costs each row its time.
                if os.path.isfile(path) and _is_readable(path, plan):  # noqa: PTH113
                    return PictureFile(Path(path), plan.folder)
    return None


def _is_readable(path: str, plan: PicturePlan) -> bool:
    """Return whether a path that a table names stays in the table's folder, symbolic links followed."""
    return plan.allow_outside or os.path.realpath(path).startswith(os.path.join(plan.root, ""))  # noqa: PTH118


def _folder_is_there(folder: Path, pattern: str) -> bool:
    return (folder / pattern.partition("{")[0].rpartition("/")[0]).is_dir()


def _is_inside(place: str) -> bool:
    """Whether a pattern that was filled leads to no other folder than it says."""
    return (
        "\0" not in place
        and len(place) <= _MAX_PLACE
        and ".." not in Path(place).parts
        and not place.startswith("/")
    )


def _is_embedded(value: object) -> bool:
    return (isinstance(value, bytes) and bool(value)) or is_picture(value)
