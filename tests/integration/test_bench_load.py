"""The load benchmark against the running stack."""

from typing import Any

from benchmarks.load import Plan, measure
from benchmarks.processes import BARE_SERVER, service_pids
from benchmarks.workloads import WORKLOADS

PLAN = Plan(
    clients=(2,),
    rates=(10.0,),
    closed_seconds=0.5,
    open_seconds=0.5,
    warm_up_seconds=0.3,
    repeats=1,
    deadline_s=10.0,
)


async def test_every_kind_of_query_is_measured(stack: Any) -> None:
    """All workloads are answered without an error, at the rate that was asked, and each process used CPU."""
    pids = service_pids(stack.settings.state)
    assert pids.keys() == {"triton", "milvus", "rewriter", "gateway", "storefront"}
    document = await measure(
        stack.gateway, PLAN, queries=stack.catalogue / "queries", pids=pids, say=lambda _: None
    )
    assert [case["workload"] for case in document["results"]] == [BARE_SERVER, *WORKLOADS, *WORKLOADS]
    for case in document["results"]:
        pooled = case["pooled"]
        assert pooled["errors"] == {}, case
        assert pooled["shed"] == 0, case
        assert pooled["answered"] > 0, case
        assert pooled["latency_ms"]["p50"] > 0
    used = [case["pooled"]["cpu_ms_per_answer"] for case in document["results"]]
    for name in ("triton", "milvus", "gateway", "generator"):
        assert sum(each[name] for each in used) > 0, name
    assert document["environment"]["service"]["products"] >= 500
