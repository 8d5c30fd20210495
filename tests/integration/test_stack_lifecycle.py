"""The stack started, killed in every part, repaired and stopped, with real engines."""

import asyncio
import itertools
import json
import os
import re
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from stack.processes import PROC, identify, is_alive, marked
from stack.settings import MARKER
from vitrine.v1 import search_pb2, search_pb2_grpc

pytestmark = pytest.mark.timeout(900)  # the first test also waits for the catalogue, the models and the index

OPTIONS = (("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1))
REPAIR_S = 240.0

Search = Callable[[search_pb2.SearchRequest], Awaitable[search_pb2.SearchResponse]]


async def search(address: str, request: search_pb2.SearchRequest) -> search_pb2.SearchResponse:
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
        return await search_pb2_grpc.SearchServiceStub(channel).Search(request, timeout=60)


async def until_found(address: str, request: search_pb2.SearchRequest) -> list[str]:
    """Give the ids that a search finds, once it is answered again."""
    give_up = time.monotonic() + REPAIR_S
    while True:
        try:
            return [hit.product_id for hit in (await search(address, request)).hits]
        except grpc.aio.AioRpcError:
            if time.monotonic() > give_up:
                raise
            await asyncio.sleep(0.2)


def services(own: Any) -> dict[str, dict[str, Any]]:
    document = json.loads(own.command("status", "--json", check=False).stdout)
    return {service["name"]: service for service in document["services"]}


def until_all_are_ready(own: Any) -> dict[str, Any]:
    """Return the services once all are ready: on a busy machine the probe of one may be late, and it is unwell for a while."""
    give_up = time.monotonic() + REPAIR_S
    while any(each["state"] != "ready" for each in services(own).values()):
        assert time.monotonic() < give_up, services(own)
        time.sleep(0.3)
    return services(own)


def processes_of(found: dict[str, Any]) -> dict[str, int]:
    """Return the process of each service."""
    return {name: each["pid"] for name, each in found.items()}


def until_restarted(own: Any, name: str, before: dict[str, Any]) -> dict[str, Any]:
    """Give the service's status once it is ready again with another process."""
    give_up = time.monotonic() + REPAIR_S
    while time.monotonic() < give_up:
        now = services(own).get(name, before)
        if now["restarts"] > before["restarts"] and now["state"] == "ready":
            return now
        time.sleep(0.3)
    pytest.fail(f"{name} did not come back: {now}")


def by_words(text: str) -> search_pb2.SearchRequest:
    return search_pb2.SearchRequest(text=text, limit=5)


def by_picture(own: Any, number: int = 0) -> search_pb2.SearchRequest:
    pictures = sorted((own.catalogue / "pictures").iterdir())
    return search_pb2.SearchRequest(image=pictures[number].read_bytes(), limit=5)


async def test_stack_is_up_and_up_again_does_nothing(own_stack: Any) -> None:
    """Every service of a running stack is ready, searches are answered, and a second `up` finds it so."""
    before = await asyncio.to_thread(until_all_are_ready, own_stack)
    assert before.keys() == {"triton", "milvus", "rewriter", "gateway", "storefront"}
    assert len((await search(own_stack.gateway, by_words("red dress"))).hits) == 5
    assert "the stack is up already" in own_stack.up()
    assert processes_of(services(own_stack)) == processes_of(before)


def test_no_command_line_tells_a_setting_and_triton_has_no_http(own_stack: Any) -> None:
    """Overrides may be passwords; Triton's HTTP would answer any page in a browser, and its control asks for a key."""
    processes = [psutil.Process(each.pid) for each in marked(MARKER, str(own_stack.settings.state))]
    lines = [" ".join(process.cmdline()) for process in processes]
    assert any("tritonserver" in line for line in lines)
    assert not [line for line in lines if f"STOREFRONT_PICTURES={own_stack.catalogue}" in line]
    triton = next(process for process in processes if "bin/tritonserver" in process.cmdline()[0])
    listening = {each.laddr.port for each in triton.net_connections() if each.status == "LISTEN"}
    assert listening == {own_stack.settings.port_base + 11, own_stack.settings.port_base + 12}
    with InferenceServerClient(own_stack.triton) as client:
        for call in (client.get_log_settings, client.get_model_repository_index):
            with pytest.raises(InferenceServerException, match="restricted"):
                call()


async def test_down_leaves_nothing_and_the_index_survives(own_stack: Any) -> None:
    """After `down` no process, shared memory or socket is left; after the next `up` the same search finds the same."""
    found = await until_found(own_stack.gateway, by_picture(own_stack))
    own_stack.down()
    assert own_stack.leftovers() == []
    assert own_stack.command("status", check=False).returncode == 1
    own_stack.up()
    assert await until_found(own_stack.gateway, by_picture(own_stack)) == found


async def test_concurrent_ups_start_one_stack(own_stack: Any) -> None:
    """Of several `up` at once one starts the stack, and all succeed."""
    own_stack.down()
    outputs = await asyncio.gather(*(asyncio.to_thread(own_stack.up) for _ in range(3)))
    assert sum("already" in output for output in outputs) == 2
    assert len(await until_found(own_stack.gateway, by_words("red dress"))) == 5


@pytest.mark.parametrize("name", ["triton", "milvus", "rewriter", "gateway", "storefront"])
async def test_killed_service_comes_back_and_searches_work(own_stack: Any, name: str) -> None:
    """After kill -9 of any one process it is started again, its end is told, and the same search finds the same."""
    found = await until_found(own_stack.gateway, by_picture(own_stack, 1))
    before = services(own_stack)[name]
    os.kill(before["pid"], signal.SIGKILL)
    after = until_restarted(own_stack, name, before)
    assert after["pid"] != before["pid"]
    assert "killed by SIGKILL" in after["last_failure"]
    assert await until_found(own_stack.gateway, by_picture(own_stack, 1)) == found


@pytest.mark.parametrize("model", ["text_encoder", "fusion_encoder"])
async def test_dead_python_backend_is_noticed_and_repaired(own_stack: Any, model: str) -> None:
    """Triton stays ready for ever when a backend dies; the stack notices, whichever it is, and restarts Triton."""
    before = services(own_stack)["triton"]
    os.kill(backend_of(before["pid"], model), signal.SIGKILL)
    after = until_restarted(own_stack, "triton", before)
    assert "Python backend died" in after["last_failure"]
    assert len(await until_found(own_stack.gateway, by_picture(own_stack, 2))) == 5
    composed = by_picture(own_stack, 3)
    composed.text = "in red"
    composed.rewrite = search_pb2.REWRITE_MODE_OFF  # of any category, so that there are five
    assert len(await until_found(own_stack.gateway, composed)) == 5


def backend_of(triton: int, model: str) -> int:
    """Find the process that runs a model for Triton."""
    for entry in PROC.iterdir():
        if (
            entry.name.isdigit()
            and f" {triton} " in _read(entry / "stat")
            and f"/{model}/" in _read(entry / "cmdline")
        ):
            return int(entry.name)
    pytest.fail(f"no backend of {model}")


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


async def test_killed_supervisor_is_recovered_from(own_stack: Any) -> None:
    """When the supervisor itself is killed, its children are found and ended, by `up` as by `down`."""
    for recover in (own_stack.up, own_stack.down):
        document = json.loads(own_stack.command("status", "--json", check=False).stdout)
        os.kill(document["supervisor"], signal.SIGKILL)
        children = [identify(service["pid"]) for service in document["services"]]
        assert "without its supervisor" in own_stack.command("status", check=False).stdout
        recover()
        assert [is_alive(child) for child in children if child] == [False] * 5
    assert own_stack.leftovers() == []


async def search_until_refused(
    address: str, worker: int, answered: asyncio.Event
) -> tuple[int, grpc.aio.AioRpcError]:
    """Search without pause; give how many searches were answered, and how the first one that was not ended."""
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
        stub = search_pb2_grpc.SearchServiceStub(channel)
        for number in itertools.count():
            try:
                answer = await stub.Search(by_words(f"dress {worker} {number}"), timeout=60)
            except grpc.aio.AioRpcError as error:
                return number, error
            assert len(answer.hits) == 5
            answered.set()
    raise AssertionError


async def test_stopping_stack_answers_what_it_accepted(own_stack: Any) -> None:
    """While the stack stops under load, searches are answered in full or refused at the door: never broken off.

    The gateway ends first, so no search misses a dependency that stopped before it.
    """
    supervisor = json.loads(own_stack.command("status", "--json", check=False).stdout)["supervisor"]
    answered = [asyncio.Event() for _ in range(8)]
    workers = [
        asyncio.create_task(search_until_refused(own_stack.gateway, number, first))
        for number, first in enumerate(answered)
    ]
    await asyncio.wait_for(asyncio.gather(*(first.wait() for first in answered)), 60)
    os.kill(supervisor, signal.SIGTERM)
    for searches, error in await asyncio.gather(*workers):
        assert searches > 0
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert re.search("shutting down|Connection refused", error.details() or "")
    await asyncio.to_thread(own_stack.down)
    assert own_stack.leftovers() == []


async def test_service_that_cannot_start_fails_the_up_with_its_log(own_stack: Any) -> None:
    """An `up` that cannot succeed ends with the service, the reason and its last words, and stops what it started."""
    own_stack.down()
    settings = own_stack.settings
    result = own_stack.command(
        *("up", "--port-base", str(settings.port_base), "--repository", str(settings.repository)),
        *("--set", "GATEWAY_NO_SUCH_SETTING=1"),
        check=False,
    )
    assert result.returncode == 1
    assert "gateway: exited with 1" in result.stderr
    assert "GATEWAY_NO_SUCH_SETTING" in result.stderr
    assert "gateway.log" in result.stderr
    own_stack.down()
    assert own_stack.leftovers() == []
