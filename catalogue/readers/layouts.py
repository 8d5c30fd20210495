"""Data sets that lie in folders of their own layout: Fashion200K, DeepFashion, COCO, and pictures alone."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ijson

from catalogue.readers.deepfashion import open_deepfashion
from catalogue.readers.fashion200k import open_fashion200k
from catalogue.readers.json_rows import json_items, json_lists
from catalogue.readers.rows import CatalogueError, Row, RowError, Table, nested_row

PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp")

_CAMERA = frozenset({"img", "image", "dsc", "dscn", "photo", "picture", "pic", "screenshot", "untitled"})
"""What cameras call every picture: no words to search by."""
_PLAIN_FOLDERS = frozenset({"images", "img", "imgs", "image", "pictures", "photos", "data"})
_WORDS = re.compile(r"[^\W\d_]+|\d+")


def open_layout(folder: Path) -> Table | None:
    """Open a data set in a folder of its own layout; None where the folder has none of those that are known."""
    for open_one in _LAYOUTS:
        if (table := open_one(folder)) is not None:
            return table
    return None


def open_coco_file(path: Path) -> Table | None:
    """Open annotations of COCO; None where the file holds none."""
    if not {"images.item", "annotations.item"} <= set(json_lists(path) or ()):
        return None
    root = path.parent.parent if path.parent.name == "annotations" else path.parent
    return _coco_table(root, [path])


def open_pictures(folder: Path) -> Table | None:
    """Open a folder of pictures alone: words from the files' names, the category from the folders'."""
    pictures = sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_ENDINGS and path.is_file()
    )
    if not pictures:
        return None
    rows = (_picture_row(folder, number, path) for number, path in enumerate(pictures, start=1))
    return Table(source=folder, files=tuple(pictures), format="pictures", rows=rows, estimate=len(pictures))


def words_of(stem: str) -> str:
    """Return the words of a file's name; empty where it is a number or what a camera writes."""
    words = _WORDS.findall(stem)
    while words and words[-1].isdecimal():
        words.pop()
    return " ".join(word for word in words if word.casefold() not in _CAMERA and not word.isdecimal())


def _picture_row(folder: Path, number: int, path: Path) -> Row:
    place = path.relative_to(folder)
    folders = [part.replace("_", " ") for part in place.parts[:-1] if part.casefold() not in _PLAIN_FOLDERS]
    values: dict[str, object] = {
        "id": place.as_posix(),
        "title": words_of(path.stem),
        "category": " > ".join(folders),
        "image": place.as_posix(),
    }
    return nested_row(folder, number, values)


@dataclass(slots=True)
class _Labels:
    """What the annotations of COCO say of the pictures, by their ids."""

    areas: dict[object, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    captions: dict[object, str] = field(default_factory=dict)


def _open_coco(folder: Path) -> Table | None:
    files = sorted((folder / "annotations").glob("*.json"))
    found = [file for file in files if {"images.item", "annotations.item"} <= set(json_lists(file) or ())]
    return _coco_table(folder, found) if found else None


def _coco_table(root: Path, files: list[Path]) -> Table:
    estimate = max(1, round(sum(file.stat().st_size for file in files) / 2_000))
    return Table(
        source=root, files=tuple(files), format="coco", rows=_coco_rows(root, files), estimate=estimate
    )


def _coco_rows(root: Path, files: list[Path]) -> Iterator[Row | RowError]:
    try:
        labels = _read_labels(files)
        seen: set[str] = set()
        for file in files:
            for number, image in enumerate(json_items(file, "images.item"), start=1):
                name = str(image.get("file_name", ""))
                if name not in seen:
                    seen.add(name)
                    yield nested_row(file, number, _coco_row(root, image, labels))
    except (ijson.JSONError, AttributeError, KeyError, TypeError) as error:
        raise CatalogueError(f"{root}: annotations of COCO that cannot be read: {error}") from error


def _read_labels(files: list[Path]) -> _Labels:
    labels = _Labels()
    for file in files:
        categories = {each["id"]: str(each["name"]) for each in json_items(file, "categories.item")}
        for each in json_items(file, "annotations.item"):
            if "caption" in each:
                labels.captions.setdefault(each["image_id"], str(each["caption"]).strip())
            elif (name := categories.get(each.get("category_id"))) is not None:
                areas = labels.areas[each["image_id"]]
                areas[name] = areas.get(name, 0.0) + _area(each)
    return labels


def _area(annotation: Mapping[str, Any]) -> float:
    box = annotation.get("bbox") or (0, 0, 0, 0)
    return float(annotation.get("area") or box[2] * box[3])


def _coco_row(root: Path, image: Mapping[str, Any], labels: _Labels) -> dict[str, object]:
    areas = labels.areas.get(image["id"], {})
    largest_first = sorted(areas, key=lambda name: (-areas[name], name))
    return {
        "id": image["id"],
        "file_name": _coco_picture(root, str(image.get("file_name", ""))),
        "caption": labels.captions.get(image["id"]),
        "category": largest_first[0] if largest_first else None,
        "objects": largest_first,
    }


def _coco_picture(root: Path, name: str) -> str:
    """Return where a picture lies: in a folder of COCO's own names, or in images/."""
    for place in ("images", "train2017", "val2017", "images/train2017", "images/val2017", "train", "val"):
        if (root / place / name).is_file():
            return f"{place}/{name}"
    return name


_LAYOUTS: tuple[Callable[[Path], Table | None], ...] = (open_fashion200k, open_deepfashion, _open_coco)
