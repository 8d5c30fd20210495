"""What a load takes: cores by part, memory and nodes of Milvus, computed from the committed results.

    results -> Costs: CPU of a search by kind and part, of a look-up by rows, memory of a row
    Load (searches a second, products, the mix of kinds, ...) + Costs -> Plan

CPU is measured per search, so cores grow with the rate; what grows with the products is Milvus, which searches every
segment of a collection. What the results do not have stays None here, and the page says that it was not measured.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.processes import BARE_SERVER, GENERATOR
from benchmarks.tables import Document

PARTS = ("gateway", "triton", "rewriter", "milvus")

MIX: Mapping[str, float] = {
    "text, repeated": 0.20,
    "text": 0.40,
    "image": 0.10,
    "composed": 0.05,
    "refined": 0.05,
    "rewritten": 0.10,
    "conversation": 0.10,
}
"""Shares of the kinds of search where the operator says nothing: an assumption, which no log stands behind."""

EMBEDDED: Mapping[str, tuple[float, float]] = {
    "text": (1, 0), "image": (0, 1), "composed": (1, 1), "refined": (1, 0), "rewritten": (1, 0), "conversation": (1, 0),
}  # fmt: skip
"""Texts and pictures that a search of each kind has the encoders embed; other kinds are answered from the caches."""

EXACT_ROWS = 50_000
UNFILTERED_EF = 256
FILTERED_EF = 1_024
LINKS = 16
"""The gateway's rule for a collection's index (gateway/adapters/milvus/vector_indexes.py), which a test holds against these."""

_FLOAT_BYTES = 4
_LINK_BYTES = 4
_LABEL_BYTES = 8
_GIB = 2**30


class CapacityError(Exception):
    """The load or the results cannot be planned with; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is to be carried."""

    searches: float
    """A second, at the peak."""
    products: int
    mix: Mapping[str, float] = field(default_factory=lambda: MIX)
    filtered: float = 0.5
    """Share of the look-ups that have a condition: they look at more of a graph."""
    pictures: float = 1.0
    """Of a product, each a row of the index."""
    use: float = 0.7
    """Share of a core that is in use at the peak; the rest is headroom. The chart's autoscalers aim at as much."""
    replicas: int = 2
    """Copies of the index in Milvus's memory: with two, the loss of a node is no outage."""
    segment_gib: float = 1.0
    """Of rows in a segment of the collection: `dataCoord.segment.maxSize`, by default 1,024 MB since Milvus 2.4."""
    node_cores: int = 16
    node_gib: float = 64.0
    """Of a query node."""
    node_fill: float = 0.75
    """Share of a node's memory that the index may take."""

    def __post_init__(self) -> None:
        """Raise CapacityError for a load that cannot be."""
        bounds = {
            "searches": self.searches > 0,
            "products": self.products >= 1,
            "filtered": 0 <= self.filtered <= 1,
            "pictures": self.pictures >= 1,
            "use": 0 < self.use <= 1,
            "replicas": self.replicas >= 1,
            "segment_gib": self.segment_gib > 0,
            "node_cores": self.node_cores >= 1,
            "node_gib": self.node_gib > 0,
            "node_fill": 0 < self.node_fill <= 1,
        }
        if wrong := [name for name, holds in bounds.items() if not holds]:
            raise CapacityError(f"out of range: {', '.join(wrong)}")
        if any(share < 0 for share in self.mix.values()) or not math.isclose(
            sum(self.mix.values()), 1, abs_tol=1e-6
        ):
            raise CapacityError(f"mix: shares must add up to 1, got {sum(self.mix.values()):g}")


USUAL = Load(searches=1_000, products=10_000_000)


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line through measured points, level below the first of them."""

    least: float
    slope: float

    def at(self, x: float) -> float:
        """Return its height at x."""
        return self.least + self.slope * x


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What the results say."""

    cpu_ms: Mapping[str, Mapping[str, float]]
    """Of a search by kind and part, at the most clients."""
    look_ups: Mapping[str, float]
    """Look-ups that a search of each kind is worth: its CPU of Milvus over that of one look-up on the same engine."""
    exact_ms: Line
    """CPU of a look-up by rows, up to EXACT_ROWS."""
    graph_ms: Mapping[bool, Line]
    """CPU of a look-up by segments, by whether it has a condition."""
    build_ms: float
    """CPU of a row's place in a graph, in the largest collection that was measured."""
    measured_rows: int
    """Of that collection."""
    dim: int
    row_bytes: float | None
    """Memory of a row in a server, columns and all, where that was measured."""
    sources: Mapping[str, float]
    """Results by their file's name, with the load average of their machine: CPU costs more on a busy one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one part of the service takes."""

    name: str
    ms: float
    """CPU of an average search."""
    cores: float
    """At the peak, with the headroom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the load takes."""

    parts: tuple[Part, ...]
    rows: int
    segments: int
    index_gib: float
    """Of one copy of the index."""
    nodes_for_memory: int
    nodes_for_cpu: int
    texts: float
    pictures: float
    """Embedded a second."""
    build_hours: float
    """Hours of one core for the index's graphs."""

    @property
    def nodes(self) -> int:
        """Return how many query nodes there must be."""
        return max(self.nodes_for_memory, self.nodes_for_cpu)

    @property
    def first(self) -> str:
        """Return the part that takes most cores."""
        return max(self.parts, key=lambda part: part.cores).name


def plan(load: Load, costs: Costs) -> Plan:
    """Return what the load takes.

    Raises:
        CapacityError: a kind of the mix was not measured.
    """
    if unknown := load.mix.keys() - costs.cpu_ms.keys():
        raise CapacityError(f"mix: not measured: {', '.join(sorted(unknown))}")
    rows = math.ceil(load.products * load.pictures)
    look_up_ms = look_up(rows, load, costs)
    ms = {
        name: sum(share * costs.cpu_ms[kind].get(name, 0.0) for kind, share in load.mix.items())
        for name in PARTS
    }
    ms["milvus"] = look_up_ms * sum(share * costs.look_ups[kind] for kind, share in load.mix.items())
    parts = tuple(
        Part(name=name, ms=ms[name], cores=load.searches * ms[name] / 1_000 / load.use) for name in PARTS
    )
    index_gib = rows * row_bytes(rows, costs) / _GIB
    texts, pictures = (
        load.searches * sum(share * EMBEDDED.get(kind, (0, 0))[which] for kind, share in load.mix.items())
        for which in (0, 1)
    )
    return Plan(
        parts=parts,
        rows=rows,
        segments=segments(rows, load, costs),
        index_gib=index_gib,
        nodes_for_memory=load.replicas * math.ceil(index_gib / (load.node_gib * load.node_fill)),
        nodes_for_cpu=math.ceil(parts[-1].cores / load.node_cores),
        texts=texts,
        pictures=pictures,
        build_hours=rows * costs.build_ms / 3.6e6 if rows > EXACT_ROWS else 0.0,
    )


def look_up(rows: int, load: Load, costs: Costs) -> float:
    """Return the CPU of one look-up in ms."""
    if rows <= EXACT_ROWS:
        return costs.exact_ms.at(rows)
    walked = segments(rows, load, costs)
    plain, filtered = (costs.graph_ms[condition].at(walked) for condition in (False, True))
    return (1 - load.filtered) * plain + load.filtered * filtered


def segments(rows: int, load: Load, costs: Costs) -> int:
    """Return in how many segments a collection lies, each as large as it may become."""
    return math.ceil(rows * row_bytes(rows, costs) / (load.segment_gib * _GIB))


def row_bytes(rows: int, costs: Costs) -> float:
    """Return the memory of a row: its vector and its links, or what was measured where that is more."""
    vector = costs.dim * _FLOAT_BYTES
    formula = vector if rows <= EXACT_ROWS else vector + graph_bytes(LINKS)
    return max(formula, costs.row_bytes or 0.0)


def graph_bytes(links: int) -> float:
    """Return the memory of a row's place in a graph.

    As hnswlib lays it out: 2 M links, their number and a label at the bottom, M links and their number on each
    further level, of which a row has 1 / (M - 1) on average.
    """
    bottom = 2 * links * _LINK_BYTES + _LINK_BYTES + _LABEL_BYTES
    return bottom + (links * _LINK_BYTES + _LINK_BYTES) / (links - 1)


def read_costs(results: Path) -> Costs:
    """Read what the committed results say.

    Raises:
        CapacityError: one that is needed is not there.
    """
    load_name, load = _newest_load(results)
    indexes = {
        path.name: json.loads(path.read_text()) for path in sorted(results.glob("index-server-*.json"))
    }
    lite_name = "index-lite-3000.json"
    if not indexes or not (results / lite_name).exists():
        raise CapacityError(f"{results}: results of `make bench-index` are missing")
    lite = json.loads((results / lite_name).read_text())
    clients = max(case["clients"] for case in load["results"] if case["loop"] == "closed")
    cpu_ms = {
        case["workload"]: _by_part(case["pooled"]["cpu_ms_per_answer"])
        for case in load["results"]
        if case["loop"] == "closed" and case["clients"] == clients and case["workload"] != BARE_SERVER
    }
    one = next(
        case["cpu_ms"] for case in lite["results"] if case["index"] == "FLAT" and case["filter"] == "none"
    )
    largest = max(indexes.values(), key=lambda document: document["params"]["rows"])
    graphs = [case for case in largest["results"] if case["index"] == "HNSW"]
    rows = largest["params"]["rows"]
    exact = [document for document in indexes.values() if document["params"]["rows"] <= EXACT_ROWS]
    bulk_name, memory = _bulk_row_bytes(results)
    read = (load_name, *indexes, lite_name, *bulk_name)
    return Costs(
        cpu_ms=cpu_ms,
        look_ups={kind: parts["milvus"] / one for kind, parts in cpu_ms.items()},
        exact_ms=_line(_points(exact, "FLAT", None, filtered=False, by="rows")),
        graph_ms={
            filtered: _line(
                _points(
                    indexes.values(),
                    "HNSW",
                    FILTERED_EF if filtered else UNFILTERED_EF,
                    filtered=filtered,
                    by="segments",
                )
            )
            for filtered in (False, True)
        },
        build_ms=1_000 * graphs[0]["build_cpu_s"] / rows,
        measured_rows=rows,
        dim=largest["params"]["dim"],
        row_bytes=memory,
        sources={name: _busy(results / name) for name in read},
    )


def _busy(path: Path) -> float:
    return float(json.loads(path.read_text())["environment"]["load_average_1_min"])


def _by_part(used: Mapping[str, float | None]) -> dict[str, float]:
    """Return the CPU by part; several gateways are one."""
    sums = dict.fromkeys(PARTS, 0.0)
    for name, ms in used.items():
        part = next((part for part in PARTS if name == part or name.startswith(f"{part}-")), None)
        if part is not None and name != GENERATOR:
            sums[part] += ms or 0.0
    return sums


def _newest_load(results: Path) -> tuple[str, Document]:
    found: list[tuple[str, str, Document]] = []
    for path in results.glob("*-*.json"):
        document = json.loads(path.read_text())
        params = document["params"]
        if (
            params.get("benchmark") == "load"
            and "closed" in params["loops"]
            and path.name != "cpu-baseline.json"
        ):
            found.append((document["environment"]["begun"], path.name, document))
    if not found:
        raise CapacityError(f"{results}: no result of `make bench-throughput`")
    _, name, document = max(found, key=lambda each: each[:2])
    return name, document


def _points(
    documents: Any, index: str, ef: int | None, *, filtered: bool, by: str
) -> list[tuple[float, float]]:
    """Return (rows or segments, CPU in ms) of one search of one kind of index, of every size that was measured, the largest last."""
    points = []
    for document in sorted(documents, key=lambda each: each["params"]["rows"]):
        cases = [
            case
            for case in document["results"]
            if case["index"] == index and case["search"].get("ef") == ef and (case["filter"] != "none") == filtered
        ]  # fmt: skip
        if cases:
            x = document["params"]["rows"] if by == "rows" else _segments_of(cases[0])
            points.append((float(x), sum(case["cpu_ms"] for case in cases) / len(cases)))
    return points


def _line(points: Sequence[tuple[float, float]]) -> Line:
    """Return the line of least squares, which never falls; where all points have the same x, one from 0 through the last."""
    mean_x, mean_y = (sum(point[axis] for point in points) / len(points) for axis in (0, 1))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    if not spread:
        x, y = points[-1]
        return Line(0.0, y / x)
    slope = max(0.0, sum((x - mean_x) * (y - mean_y) for x, y in points) / spread)
    return Line(mean_y - slope * mean_x, slope)


def _segments_of(case: Mapping[str, Any]) -> int:
    return int(case.get("segments") or 1)


def _bulk_row_bytes(results: Path) -> tuple[tuple[str, ...], float | None]:
    """Return the memory of a row in a real server that was filled by bulk indexing, where that was measured."""
    path = results / "bulk-server.json"
    if not path.exists():
        return (), None
    found = json.loads(path.read_text())["results"]
    return (path.name,), 1e6 * (found["milvus_mb"] - found["milvus_idle_mb"]) / found["products"]
