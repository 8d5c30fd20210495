import gc
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import grpc
import pytest
from click.testing import CliRunner
from PIL import Image

from benchmarks.cli import main
from benchmarks.generator import OK, sender
from benchmarks.load import Plan, measure
from benchmarks.processes import BARE_SERVER, GENERATOR, cpu_seconds, service_pids
from benchmarks.workloads import SESSIONS, WORKLOADS, Material, Turn
from catalogue.randomness import generator
from vitrine.client import VitrineClient, VitrineError
from vitrine.v1 import catalogue_pb2, catalogue_pb2_grpc, search_pb2, search_pb2_grpc

PLAN = Plan(
    clients=(1, 2), closed_seconds=0.05, open_seconds=0.05, warm_up_seconds=0.02, repeats=2, rates=(40.0,)
)


@pytest.fixture(scope="module", autouse=True)
def _little_to_collect() -> Iterator[None]:
    """Leave what other tests have made out of the garbage collections before each run: of all of it, one takes .2 s."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


class Search(search_pb2_grpc.SearchServiceServicer):
    """Sheds every tenth request and answers the others with one hit."""

    def __init__(self) -> None:
        self.requests: list[search_pb2.SearchRequest] = []
        self.turns: list[search_pb2.ConverseRequest] = []

    def Converse(self, request: search_pb2.ConverseRequest, context: Any) -> Iterator[Any]:  # noqa: N802, ARG002
        """Begin a session, and go on with it."""
        self.turns.append(request)
        for reply in ("one", "two"):
            yield search_pb2.ConverseResponse(session_id=request.session_id or "s1", reply=reply)

    def Search(self, request: search_pb2.SearchRequest, context: Any) -> search_pb2.SearchResponse:  # noqa: N802
        """Answer, or shed."""
        self.requests.append(request)
        if request.limit == 10 and len(self.requests) % 10 == 0:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too busy")
        return search_pb2.SearchResponse(hits=[search_pb2.Hit(product_id=f"p{len(self.requests)}")])


class Catalogue(catalogue_pb2_grpc.CatalogueServiceServicer):
    """Describes an index of one product."""

    def Describe(self, request: Any, context: Any) -> catalogue_pb2.DescribeResponse:  # noqa: N802, ARG002
        """Name the product."""
        return catalogue_pb2.DescribeResponse(products=1, versions=search_pb2.Versions(model="m", index="i"))


@pytest.fixture
def search() -> Iterator[tuple[Search, str]]:
    """A service on a loopback port, and its address."""
    servicer = Search()
    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    search_pb2_grpc.add_SearchServiceServicer_to_server(servicer, server)
    catalogue_pb2_grpc.add_CatalogueServiceServicer_to_server(Catalogue(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield servicer, f"127.0.0.1:{port}"
    server.stop(grace=None).wait(timeout=5)


@pytest.fixture
def queries(tmp_path: Path) -> Path:
    """A folder with one picture."""
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), "teal").save(buffer, format="JPEG")
    (tmp_path / "a.jpg").write_bytes(buffer.getvalue())
    return tmp_path


@pytest.mark.slow
async def test_a_measurement_covers_its_plan(search: tuple[Search, str], queries: Path) -> None:
    """Each workload is measured at each number of clients and each rate, with what was shed beside it."""
    said: list[str] = []
    document = await measure(search[1], PLAN, queries=queries, pids={}, say=said.append)
    cases = [(case["workload"], case.get("clients"), case.get("rate")) for case in document["results"]]
    assert cases == [
        *((name, clients, None) for name in (BARE_SERVER, *PLAN.workloads) for clients in (1, 2)),
        *((name, None, 40.0) for name in PLAN.workloads),
    ]
    assert all(len(case["repeats"]) == 2 for case in document["results"])
    assert len(said) == 2 * len(cases)
    pooled = [case["pooled"] for case in document["results"]]
    assert sum(each["shed"] for each in pooled) > 0
    assert all(each["requests"] == each["answered"] + each["shed"] for each in pooled)
    assert document["environment"]["service"]["products"] == 1
    assert json.loads(json.dumps(document))["params"]["benchmark"] == "load"


async def test_rates_follow_the_ceiling(search: tuple[Search, str], queries: Path) -> None:
    """Without given rates the open loop offers fractions of what the most clients reached."""
    plan = replace(PLAN, workloads=("text",), rates=(), fractions=(0.5, 1.0), repeats=1)
    document = await measure(search[1], plan, queries=queries, pids={}, say=lambda _: None)
    _, _, _, most, half, full = document["results"]
    ceiling = most["pooled"]["answered_per_s"]
    assert half["rate"] == pytest.approx(0.5 * ceiling, rel=0.1)
    assert full["rate"] == pytest.approx(ceiling, rel=0.1)


async def test_the_open_loop_alone_keeps_no_ceiling(search: tuple[Search, str], queries: Path) -> None:
    """Its rates follow a ceiling all the same, which is measured for them and thrown away."""
    plan = replace(PLAN, workloads=("text",), loops=("open",), rates=(), fractions=(0.5,), repeats=1)
    document = await measure(search[1], plan, queries=queries, pids={}, say=lambda _: None)
    (case,) = document["results"]
    assert (case["loop"], case["workload"]) == ("open", "text")
    assert case["rate"] > 1


async def test_turns_of_a_conversation_share_a_session(search: tuple[Search, str]) -> None:
    """The first turn begins a session, and the next ones carry the id that it got."""
    turns = islice(WORKLOADS["conversation"](Material((), ()), generator("test")), 2 * SESSIONS + 1)
    first, *_, same = (turn for number, turn in enumerate(turns) if number % SESSIONS == 0)
    assert isinstance(first, Turn)
    assert isinstance(same, Turn)
    async with VitrineClient(search[1], retry=False) as client:
        statuses = [await sender(client)(turn, 5.0) for turn in (first, same)]
    assert statuses == [OK, OK]
    assert [request.session_id for request in search[0].turns] == ["", "s1"]
    assert first.text != same.text


async def test_a_service_that_is_not_there_is_an_error(queries: Path) -> None:
    """Nothing is measured, and nothing written, where nothing answers."""
    with pytest.raises(VitrineError):
        await measure("127.0.0.1:1", PLAN, queries=queries, pids={}, say=print)


def test_the_command_says_how_to_start_the_service(queries: Path, tmp_path: Path) -> None:
    """The command ends with one line and the way out."""
    arguments = [
        "load",
        "--address",
        "127.0.0.1:1",
        "--queries",
        str(queries),
        "--state",
        str(tmp_path / "none"),
    ]
    result = CliRunner().invoke(main, [*arguments, "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].endswith("(`make demo` starts and fills a service)")
    assert not (tmp_path / "out").exists()


def test_cpu_is_counted_with_children() -> None:
    """A process that lets a child compute is charged for it; one that is gone counts nothing."""
    child = "sum(range(10**7)); import sys; print(1, flush=True); sys.stdin.read()"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        used = cpu_seconds({"busy": process.pid, "gone": 2**22})
        process.communicate(timeout=60)
    assert used["busy"] >= 0.02  # of ten million additions, on whatever processor
    assert used["gone"] == 0
    assert used[GENERATOR] > 0


def test_no_stack_gives_no_pids(tmp_path: Path) -> None:
    """A folder in which no stack runs is not an error."""
    assert service_pids(tmp_path / "none") == {}
