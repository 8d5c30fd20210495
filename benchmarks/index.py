"""Kinds of vector index measured on a Milvus: recall against exact, latency, throughput, CPU and memory, with and without filters.

The vectors are as the service keeps them, (image half | text half). The text half is the embedding of a drawn caption by the
encoders of a repository; the image half is that embedding turned by noise, as far as pictures lie from their words. Queries
are embeddings of further captions, in both halves.
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import psutil
from numpy.typing import NDArray
from pymilvus import DataType, MilvusClient

from benchmarks.environment import describe_machine
from catalogue.grammar import caption, sample_spec
from vitrine.preprocess import Tokenizer

Vectors = NDArray[np.float32]

Truth = tuple[Sequence[Sequence[int]], int]

LIMIT = 10
ROWS = 27
"""Rows that the service asks for to be certain of ten products."""
QUERIES = 200
CLIENTS = 8
FILTERS = {"none": 1.0, "50 %": 0.5, "10 %": 0.1, "1 %": 0.01}
_NOISE = 1.3
"""Length of the noise over that of an embedding: the cosine of the halves is about .6."""
_KINDS = ("dress", "top", "jacket", "skirt", "bag", "shoes")
_BATCH = 500
_SCALE = 10_000
_NAME = "bench_index"
_TIMEOUT_S = 1_800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of index and what its searches are given."""

    index: str
    build: Mapping[str, int]
    searches: Sequence[Mapping[str, int]]


def kinds(rows: int, *, lite: bool) -> list[Kind]:
    """Return the kinds that are measured on that many rows."""
    lists = round(4 * rows**0.5)
    probes = [{"nprobe": max(1, lists // part)} for part in (32, 8)]
    flat = Kind(index="FLAT", build={}, searches=[{}])
    if lite:
        return [flat, Kind(index="IVF_FLAT", build={"nlist": lists}, searches=probes)]
    return [
        flat,
        Kind(
            index="HNSW",
            build={"M": 16, "efConstruction": 200},
            searches=[{"ef": 64}, {"ef": 256}, {"ef": 1_024}],
        ),
        Kind(index="IVF_SQ8", build={"nlist": lists}, searches=probes),
    ]


def measure_indexes(
    uri: str,
    *,
    rows: int,
    repository: Path,
    lite: bool,
    only: Sequence[str] = (),
    say: Callable[[str], None],
) -> Iterator[dict[str, Any]]:
    """Measure every kind, or only some, on that many rows; yield the result so far after each, so that a long run may be cut off."""
    vectors, queries, buckets = draw(rows, repository)
    client = MilvusClient(uri=uri)
    results: list[dict[str, Any]] = []
    insert_s = _fill(client, vectors, buckets)
    half = vectors.shape[1] // 2
    cosine = float(np.mean(np.sum(vectors[:1_000, :half] * vectors[:1_000, half:], axis=1)))
    params = {
        "benchmark": "index", "rows": rows, "limit": LIMIT, "asked": ROWS, "queries": QUERIES, "clients": CLIENTS,
        "dim": int(vectors.shape[1]), "cosine_of_halves": round(cosine, 3), "insert_s": round(insert_s, 1),
    }  # fmt: skip
    environment = describe_machine() | {"milvus": "lite" if lite else client.get_server_version()}
    truths = exact(vectors, queries, buckets)
    del vectors
    for kind in kinds(rows, lite=lite):
        if only and kind.index not in only:
            continue
        say(f"{rows:,} rows, {kind.index}: building")
        built = _build(client, kind, lite=lite)
        for search in kind.searches:
            for name, share in FILTERS.items():
                found = _search(client, queries, search, share, truths[name])
                results.append(
                    {"index": kind.index, "build": dict(kind.build), "search": dict(search), "filter": name,
                     **built, **found}
                )  # fmt: skip
                say(f"{rows:,} {kind.index} {dict(search)} {name}: {found}")
        yield {"environment": environment, "params": params, "results": [*results]}
    client.drop_collection(_NAME)


def draw(rows: int, repository: Path) -> tuple[Vectors, Vectors, NDArray[np.int64]]:
    """Return rows (n, 2 d), queries (QUERIES, 2 d), and numbers below _SCALE that filters cut."""
    rng = random.Random(rows)  # noqa: S311 - drawn rows
    texts = [caption(sample_spec(rng, rng.choice(_KINDS))) for _ in range(rows + QUERIES)]
    embedded = _embedded(texts, repository)
    noise = np.random.default_rng(rows)
    turned = embedded + (_NOISE / embedded.shape[1] ** 0.5) * noise.standard_normal(
        embedded.shape, np.float32
    )
    turned /= np.linalg.norm(turned, axis=1, keepdims=True)
    vectors = np.concatenate([turned, embedded], axis=1)
    queries = np.concatenate([embedded[rows:], embedded[rows:]], axis=1) / 2
    return vectors[:rows], queries, noise.integers(0, _SCALE, rows)


def exact(rows: Vectors, queries: Vectors, buckets: NDArray[np.int64]) -> dict[str, Truth]:
    """Return by filter the nearest rows of each query that satisfy it, by the inner product, and how many satisfy it."""
    scores = queries @ rows.T
    truths: dict[str, Truth] = {}
    for name, share in FILTERS.items():
        there = np.flatnonzero(buckets < share * _SCALE)
        nearest = [there[np.argsort(-of_one[there], kind="stable")[:LIMIT]].tolist() for of_one in scores]
        truths[name] = nearest, len(there)
    return truths


def _embedded(texts: Sequence[str], repository: Path) -> Vectors:
    tokenizer = Tokenizer.from_file(repository / "text_tokenize" / "1" / "tokenizer.json")
    session = onnxruntime.InferenceSession(repository / "text_encoder" / "1" / "model.onnx")
    name = session.get_inputs()[0].name
    parts = [
        session.run(None, {name: tokenizer(texts[start : start + _BATCH])})[0]
        for start in range(0, len(texts), _BATCH)
    ]
    return np.concatenate(parts)


def _fill(client: MilvusClient, vectors: Vectors, buckets: NDArray[np.int64]) -> float:
    if client.has_collection(_NAME):
        client.drop_collection(_NAME)
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("bucket", DataType.INT64)
    schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=vectors.shape[1])
    client.create_collection(_NAME, schema=schema, consistency_level="Bounded")
    began = time.monotonic()
    for start in range(0, len(vectors), _BATCH):
        rows = zip(vectors[start : start + _BATCH], buckets[start : start + _BATCH].tolist(), strict=True)
        client.insert(
            _NAME, [{"id": start + i, "bucket": b, "embedding": v} for i, (v, b) in enumerate(rows)]
        )
    client.flush(_NAME)
    return time.monotonic() - began


def _build(client: MilvusClient, kind: Kind, *, lite: bool) -> dict[str, Any]:
    """Make the index and load the collection; return what it took, and in how many segments it lies."""
    client.release_collection(_NAME)
    if client.list_indexes(_NAME):
        client.drop_index(_NAME, "embedding")
    index = MilvusClient.prepare_index_params()
    index.add_index("embedding", index_type=kind.index, metric_type="IP", params=dict(kind.build))
    began, (cpu, _) = time.monotonic(), _usage()
    client.create_index(_NAME, index, timeout=_TIMEOUT_S)
    client.load_collection(_NAME, timeout=_TIMEOUT_S)
    after, memory = _usage()
    segments = 1 if lite else len(client.list_loaded_segments(_NAME))
    return {
        "build_s": round(time.monotonic() - began, 1),
        "build_cpu_s": round(after - cpu, 1),
        "memory_mb": round(memory / 1e6),
        "segments": segments,
    }


def _search(
    client: MilvusClient,
    queries: Vectors,
    search: Mapping[str, int],
    share: float,
    truth: Truth,
) -> dict[str, Any]:
    nearest, matching = truth
    condition = "" if share == 1 else f"bucket < {round(share * _SCALE)}"

    def ask(number: int) -> tuple[float, list[int]]:
        began = time.perf_counter()
        (hits,) = client.search(
            _NAME, data=[queries[number]], anns_field="embedding", filter=condition, limit=ROWS,
            search_params={"metric_type": "IP", "params": dict(search)}, consistency_level="Bounded",
        )  # fmt: skip
        return time.perf_counter() - began, [hit["id"] for hit in hits]

    for number in range(5):  # of a first search more is loaded
        ask(number)
    cpu, _ = _usage()
    answers = [ask(number) for number in range(len(queries))]
    spent = _usage()[0] - cpu
    began = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(ask, range(len(queries))))
    seconds = time.perf_counter() - began
    found = [
        len(set(ids) & set(wanted)) / len(wanted) for (_, ids), wanted in zip(answers, nearest, strict=True)
    ]
    times = np.array([taken for taken, _ in answers]) * 1_000
    return {
        "recall": round(float(np.mean(found)), 4),
        "worst": round(min(found), 2),
        "short": sum(len(ids) < min(ROWS, matching) for _, ids in answers),
        "p50_ms": round(float(np.percentile(times, 50)), 2),
        "p95_ms": round(float(np.percentile(times, 95)), 2),
        "cpu_ms": round(1_000 * spent / len(queries), 2),
        "searches_s": round(len(queries) / seconds),
    }


def _usage() -> tuple[float, int]:
    """Return the CPU seconds and the resident bytes of the Milvus in this network namespace."""
    own = Path("/proc/self/ns/net").readlink()
    seconds, memory = 0.0, 0
    for process in psutil.process_iter(["pid", "exe", "cpu_times", "memory_info"]):
        told = process.info
        try:
            if (
                Path(told["exe"] or "").name == "milvus"
                and Path(f"/proc/{told['pid']}/ns/net").readlink() == own
            ):
                seconds += told["cpu_times"].user + told["cpu_times"].system
                memory += told["memory_info"].rss
        except OSError:
            continue
    return seconds, memory
