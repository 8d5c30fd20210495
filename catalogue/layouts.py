"""How a procedural catalogue lies on disk: tables, and the list of pictures that belong beside them."""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from catalogue.assortment import Item, Query, sample_assortment
from catalogue.grammar import Spec, brand_and_price, caption
from catalogue.randomness import generator
from catalogue.splits import Cluster, Split, is_held, make_splits, sample_clusters

_TYPED = ("colour", "pattern")
_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("id", "title", "category", "colour", "pattern", "brand")),
        ("price", pa.float64()),
        ("image", pa.string()),
        ("attributes", pa.map_(pa.string(), pa.string())),
    ]
)

_TEST_SEEDS = range(100, 103)
"""Seeds of a test caption's pictures in Fashion200K's layout."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture to be drawn; the path is relative to the catalogue's folder."""

    path: Path
    spec: Spec
    seed: int


def write_products(folder: Path, *, products: int, seed: int) -> list[Picture]:
    """Write products.parquet and queries/queries.json; give the pictures that they name."""
    assortment = sample_assortment(products, seed)
    pq.write_table(
        pa.Table.from_pylist([_row(item) for item in assortment.items], _SCHEMA), folder / "products.parquet"
    )
    queries = [(f"{number:03d}.jpg", query) for number, query in enumerate(assortment.queries, start=1)]
    (folder / "queries").mkdir()
    described = [_describe(file, query) for file, query in queries]
    (folder / "queries" / "queries.json").write_text(json.dumps(described, indent=1) + "\n")
    pictures = [Picture(_picture_path(item), item.spec, item.seed) for item in assortment.items]
    return pictures + [Picture(Path("queries") / file, query.spec, query.seed) for file, query in queries]


def _picture_path(item: Item) -> Path:
    return Path("pictures") / f"{item.id}.jpg"


def _row(item: Item) -> dict[str, object]:
    brand, price = brand_and_price(item.spec, item.seed)
    attributes = item.spec.attributes
    return {
        "id": item.id,
        "title": caption(item.spec),
        "category": item.spec.category,
        "colour": attributes["colour"],
        "pattern": attributes.get("pattern", "plain"),
        "brand": brand,
        "price": price,
        "image": _picture_path(item).as_posix(),
        "attributes": [(slot, value) for slot, value in attributes.items() if slot not in _TYPED],
    }


def _describe(file: str, query: Query) -> dict[str, object]:
    described: dict[str, object] = {
        "file": file,
        "kind": "composed" if query.edit else "image",
        "caption": caption(query.spec),
        "category": query.spec.category,
        "attributes": query.spec.attributes,
        "wanted": caption(query.wanted),
    }
    if query.edit:
        described |= {"slot": query.edit.slot, "modification": query.modification}
    return described


def write_fashion200k(folder: Path, *, products: int, seed: int) -> list[Picture]:
    """Write the labels and test queries as Fashion200K has them; give the pictures that they name.

    Three quarters of the captions are training's, and no test caption is any that `make_splits` trains on,
    whatever the seed; half of them are of combinations that training has not seen.
    """
    rng = generator("fashion200k", seed)
    known = make_splits().train
    used = set(known.specs())
    train, test = max(1, 3 * products // 16), max(1, products // 32)
    splits = (
        ("train", replace(known, clusters=known.clusters[:train])),
        ("test", Split("iid", sample_clusters(rng, test, lambda spec: not is_held(spec), used), _TEST_SEEDS)),
        ("test", Split("ood", sample_clusters(rng, test, is_held, used), _TEST_SEEDS)),
    )
    labels: dict[str, list[str]] = defaultdict(list)
    queries: list[str] = []
    pictures: list[Picture] = []
    number = 0
    for name, split in splits:
        for cluster in split.clusters:
            drawn = list(_cluster_pictures(cluster, split, number))
            number += len(cluster.specs)
            pictures += drawn
            for picture in drawn:
                line = f"{picture.path.as_posix()}\t1.0\t{caption(picture.spec)}\n"
                labels[f"{picture.spec.category}_{name}_detect_all.txt"].append(line)
            if name == "test":
                queries += _query_lines(cluster, drawn)
    (folder / "labels").mkdir()
    for file, lines in labels.items():
        (folder / "labels" / file).write_text("".join(lines))
    (folder / "test_queries.txt").write_text("".join(queries))
    return pictures


def _cluster_pictures(cluster: Cluster, split: Split, number: int) -> Iterator[Picture]:
    for spec in cluster.specs:
        number += 1
        product = f"{number:06d}"
        place = Path("women") / spec.category / caption(spec).replace(" ", "_") / product
        for index, seed in enumerate(split.picture_seeds):
            yield Picture(place / f"{product}_{index}.jpeg", spec, seed)


def _query_lines(cluster: Cluster, pictures: list[Picture]) -> Iterator[str]:
    """Yield one query an edge, from the source's first picture to the target's."""
    first = {picture.spec: picture.path.as_posix() for picture in reversed(pictures)}
    for edge in cluster.edges:
        yield f"{first[cluster.specs[edge.source]]} {first[cluster.specs[edge.target]]}\n"


LAYOUTS = {"products": write_products, "fashion200k": write_fashion200k}
