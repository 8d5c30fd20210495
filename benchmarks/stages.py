"""`python -m benchmarks stages`: what an ensemble, and a whole search, cost over the same stages run raw.

Raw are the stages in this process: the preprocessing, then each graph on ONNX Runtime with one thread, as the models of the
repository do it. CPU time is compared, which other programs on the machine disturb little; each repeat measures all in turn.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import cycle, islice
from statistics import median
from time import process_time
from typing import Any

from benchmarks.environment import describe_environment
from benchmarks.generator import closed_loop, sender
from benchmarks.infer import infer_sender, query_inputs
from benchmarks.perf_analyzer import PerfAnalyzerError, installed, run_perf_analyzer
from benchmarks.processes import GENERATOR, cpu_seconds
from benchmarks.raw import Raw
from benchmarks.second_triton import second_triton
from benchmarks.serving import Served
from benchmarks.summary import summarise_run
from benchmarks.workloads import WORKLOADS, Material, read_pictures, text_requests
from catalogue.randomness import generator
from vitrine.client import VitrineClient
from vitrine.tensors import EMBED_COMPOSED, EMBED_IMAGE, EMBED_REFINED, EMBED_TEXT
from vitrine.v1.search_pb2 import SearchRequest

KINDS = {
    "text": EMBED_TEXT.name,
    "image": EMBED_IMAGE.name,
    "composed": EMBED_COMPOSED.name,
    "refined": EMBED_REFINED.name,
}
"""The ensemble that each kind of query calls."""
BATCHES = (1, 8, 32)
CLIENTS = (1, 32)
"""Of an ensemble. One sends batches of one; 32 can be answered in batches, and are compared with the raw batch that is cheapest."""
SEARCHERS = (1, 8)
"""Clients of a whole search: more than 8 the gateway sheds a part of on two cores, and what is shed costs CPU and is no answer."""

_RAW_S = 0.6
_SECONDS = 2.0
_WARM_UP_S = 0.5
_IDS = 50
_SECOND_CLIENTS = 16
_TEXTS = 500


async def measure_stages(
    served: Served, *, repeats: int, salt: str, say: Callable[[str], None]
) -> dict[str, Any]:
    """Measure every kind of query raw, as an ensemble and as a whole search; give the document of the result file."""
    raw = Raw(served.repository)
    async with (
        VitrineClient(served.address, retry=False) as client,
        infer_sender(served.triton) as infer,
    ):
        environment = describe_environment(await client.describe())
        found = await client.search(SearchRequest(text="dress", limit=_IDS))
        material = Material(read_pictures(served.queries), [hit.product_id for hit in found.hits])
        results = []
        for kind, model in KINDS.items():
            stream = _searches(WORKLOADS[kind](material, generator(kind, salt)))
            calls = (query_inputs(model, query, raw.embedding_dim) for query in stream)
            measured = Measured(kind)
            for _ in range(repeats):
                for batch in BATCHES:
                    measured.raw[batch].append(_raw_ms(raw, kind, list(islice(stream, batch))))
                for clients in CLIENTS:
                    loop = partial(closed_loop, clients=clients)
                    measured.ensemble[clients].append(
                        await _served_ms(partial(loop, infer, calls), served, {"triton"})
                    )
                for clients in SEARCHERS:
                    search = partial(closed_loop, sender(client), stream, clients=clients)
                    measured.search[clients].append(await _served_ms(search, served, served.pids.keys()))
            results.append(measured.result())
            say(f"{kind}: {measured.result()['ratios']}")
        params: dict[str, Any] = {
            "benchmark": "stages",
            "repeats": repeats,
            "batches": BATCHES,
            "clients": CLIENTS,
            "searchers": SEARCHERS,
        }
        if installed():
            try:
                params["perf_analyzer"] = await _second_opinion(served, repeats, salt)
            except PerfAnalyzerError as error:
                say(f"without perf_analyzer: {error}")
    return {"environment": environment, "params": params, "results": results}


async def _second_opinion(served: Served, repeats: int, salt: str) -> dict[str, Any]:
    """Measure the ensemble of texts by our own generator and by NVIDIA's, in turn."""
    model = KINDS["text"]
    searches = _searches(text_requests(Material((), ()), generator("second opinion", salt)))
    ours, theirs = [], []
    with second_triton(served.pids["triton"]) as second:
        for _ in range(repeats):
            queries = list(islice(searches, _TEXTS))
            calls = cycle([query_inputs(model, query, 0) for query in queries])
            async with infer_sender(second.address) as infer:
                trace = await closed_loop(infer, calls, clients=_SECOND_CLIENTS, seconds=_SECONDS)
            run = summarise_run(trace, {})
            latencies = {f"{q}_ms": ms for q, ms in run["latency_ms"].items()}
            ours.append({"answers_per_s": run["answered_per_s"]} | latencies)
            texts = [query.text for query in queries]
            theirs.append(run_perf_analyzer(second.address, model, texts, _SECOND_CLIENTS))
    return {"model": model, "clients": _SECOND_CLIENTS, "ours": ours, "perf_analyzer": theirs}


class Measured:
    """CPU ms per query of one kind, by batch or clients, a value for each repeat."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.raw: dict[int, list[float]] = {batch: [] for batch in BATCHES}
        self.ensemble: dict[int, list[float]] = {clients: [] for clients in CLIENTS}
        self.search: dict[int, list[float]] = {clients: [] for clients in SEARCHERS}

    def result(self) -> dict[str, Any]:
        """Return the row of the result file; one client is held against batches of one, many against the cheapest batch."""
        cheapest = [min(each) for each in zip(*self.raw.values(), strict=True)]
        return {
            "kind": self.kind,
            "raw_ms": self.raw,
            "ensemble_ms": self.ensemble,
            "search_ms": self.search,
            "ratios": {
                f"{name}, {clients} clients": _ratio(values, self.raw[1] if clients == 1 else cheapest)
                for name, by_clients in (("ensemble", self.ensemble), ("search", self.search))
                for clients, values in by_clients.items()
            },
        }


def _ratio(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Return the median of the repeats' ratios, the least and the greatest."""
    ratios = [a / b for a, b in zip(above, below, strict=True)]
    return [round(each, 2) for each in (median(ratios), min(ratios), max(ratios))]


def _raw_ms(raw: Raw, kind: str, queries: Sequence[SearchRequest]) -> float:
    raw.run(kind, queries)
    rows, begun = 0, process_time()
    while (used := process_time() - begun) < _RAW_S:
        raw.run(kind, queries)
        rows += len(queries)
    return round(1000 * used / rows, 4)


async def _served_ms(loop: Callable[..., Any], served: Served, names: Any) -> float:
    """Return the CPU per answer of the named processes; raises RuntimeError where something was not answered."""
    await loop(seconds=_WARM_UP_S)
    pids = {name: served.pids[name] for name in names}
    before = cpu_seconds(pids)
    trace = await loop(seconds=_SECONDS)
    used = {name: seconds - before[name] for name, seconds in cpu_seconds(pids).items() if name != GENERATOR}
    run = summarise_run(trace, used)
    if not run["answered"]:
        raise RuntimeError(f"nothing was answered: {run['errors']}, {run['shed']} shed")
    return round(1000 * float(sum(used.values())) / int(run["answered"]), 4)


def _searches(requests: Iterator[Any]) -> Iterator[SearchRequest]:
    return (request for request in requests if isinstance(request, SearchRequest))
