"""The chart's dashboards and alerts before a real Prometheus, which scrapes the real stack under a little load."""

import asyncio
import json
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from reference.dashboards import SERIES, queries
from tests.ports import free_address
from vitrine.client import VitrineClient, VitrineError
from vitrine.v1.catalogue_pb2 import DeleteProductsRequest, ProductInput
from vitrine.v1.query_pb2 import Product
from vitrine.v1.search_pb2 import ConverseRequest, SearchRequest

CHART = Path(__file__).parents[2] / "helm/vitrine"
NAMESPACE = "test"
PATIENCE_S = 200
WINDOW = "60s"
"""What Grafana puts in for $__rate_interval."""
OURS = "monitoring-test"
"""A product that the load writes and deletes again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prometheus:
    """A Prometheus that runs."""

    address: str

    def get(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer of its API."""
        address = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(address, timeout=60) as answer:
            return json.load(answer)["data"]

    def values(self, expr: str) -> list[float]:
        """Return what an expression of a dashboard has now, not-a-numbers left out."""
        asked = expr.replace("$namespace", NAMESPACE).replace("$__rate_interval", WINDOW)
        found = [float(each["value"][1]) for each in self.get("query", query=asked)["result"]]
        return [value for value in found if value == value]  # noqa: PLR0124 - what is no number is not itself


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """Return the templates of a release whose series are those of the namespace, each as it is rendered."""
    series, scaled = f'namespace="{NAMESPACE}"', {"autoscaling": {"enabled": True}}
    values = {
        "access": {"callers": {"name": "callers"}, "tls": {"secret": "tls"}},
        "milvus": {"uri": "http://milvus.search.svc:19530"},
        "prometheusRule": {"enabled": True, "series": series},
        "keda": {"enabled": True, "series": series, "prometheus": "http://prometheus:9090"},
        "gateway": scaled,
        "triton": scaled,
    }
    with helm_python.Chart.load(str(CHART)) as chart:
        rendered = chart.render(values, name="demo", namespace="prod")
    return {name.rpartition("/")[2]: text for name, text in rendered.items()}


@pytest.fixture(scope="module")
def rules(texts: dict[str, str]) -> dict[str, Any]:
    """Return the rules of the release."""
    groups: dict[str, Any] = yaml.safe_load(texts["prometheusrule.yaml"])["spec"]
    return groups


@pytest.fixture(scope="module")
def prometheus(
    stack: Any, rules: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes the stack each second, with the labels that an operator's would add."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("no prometheus on this machine: make setup-test")
    folder = tmp_path_factory.mktemp("prometheus")
    targets = {
        "gateway": stack.metrics,
        "triton": stack.settings.triton_metrics,
        "rewriter": dict(stack.settings.overrides)["REWRITER_METRICS_LISTEN"],
    }
    jobs = [
        {
            "job_name": f"prod/demo-vitrine-{name}",
            "static_configs": [
                {"targets": [address], "labels": {"namespace": NAMESPACE, "pod": f"{name}-0"}}
            ],
        }
        for name, address in targets.items()
    ]
    every = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config = {"global": every, "rule_files": ["rules.yaml"], "scrape_configs": jobs}
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    address = free_address()
    options = {
        "config.file": folder / "prometheus.yaml",
        "storage.tsdb.path": folder,
        "web.listen-address": address,
    }
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [program, *(f"--{name}={value}" for name, value in options.items())], stderr=log
        )
        try:
            yield Prometheus(address=address)
        finally:
            process.kill()
            process.wait()


async def a_little_load(stack: Any, enough: asyncio.Event) -> None:
    """Search in every way, converse, write and delete, until it is enough."""
    picture = min((stack.catalogue / "queries").glob("*.jpg")).read_bytes()
    product = ProductInput(product=Product(id=OURS, title="a red dress"), image=picture)

    async def products() -> Any:
        yield product

    async with VitrineClient(stack.gateway) as client:
        while not enough.is_set():
            with suppress(VitrineError):  # a busy machine may be late
                await client.search(SearchRequest(text=f"red dress {time.monotonic_ns()}"))
                await client.search(SearchRequest(text="red dress", facets=["category"]))
                await client.search(SearchRequest(image=picture))
                answer = await client.search(SearchRequest(image=picture, text="in blue"))
                await client.search(SearchRequest(product_id=answer.hits[0].product_id, text="in green"))
                async for _ in client.converse(ConverseRequest(text="a dress below 80, in red")):
                    pass
                async for _ in client.upsert(products()):
                    pass
                await client.delete(DeleteProductsRequest(product_ids=[OURS]))


def until(question: Any) -> Any:
    """Return what the question gives once it gives nothing that is missing, or at last what is."""
    give_up = time.monotonic() + PATIENCE_S
    while (missing := question()) and time.monotonic() < give_up:
        time.sleep(1)
    return missing


async def test_every_panel_has_curves_and_every_rule_can_be_evaluated(
    stack: Any, prometheus: Prometheus, texts: dict[str, str], rules: Mapping[str, Any]
) -> None:
    """Each expression finds series of the stack, but for what a healthy one does not have; no alert fires."""
    drawn = queries()
    scaled = [each["spec"] for each in yaml.safe_load_all(texts["scaledobjects.yaml"]) if each]
    measures = [each["triggers"][0]["metadata"]["query"] for each in scaled]
    recorded = 'vitrine:searches:rate5m{release="prod/demo-vitrine"}'

    def silent() -> list[str]:
        with suppress(OSError):
            asked = [*measures, recorded, *(each.expr for each in drawn if not each.quiet)]
            return [expr for expr in asked if not prometheus.values(expr)]
        return ["Prometheus does not answer"]

    measured: dict[str, list[float]] = {}

    def unmeasured() -> list[str]:
        measured.update((each, prometheus.values(each)) for each in (*measures, recorded))
        return [expr for expr, values in measured.items() if not values]

    def unevaluated() -> list[str]:
        groups = prometheus.get("rules")["groups"]
        return [each["name"] for group in groups for each in group["rules"] if each["health"] != "ok"]

    enough = asyncio.Event()
    load = asyncio.create_task(a_little_load(stack, enough))
    try:
        assert await asyncio.to_thread(until, silent) == []
        assert await asyncio.to_thread(until, unevaluated) == []
        # While there is load: the share of nothing is no number.
        assert await asyncio.to_thread(until, unmeasured) == []
    finally:
        enough.set()
        await load
    assert len(measures) == 2  # gateway and Triton
    for (share,) in (measured[measure] for measure in measures):
        assert 0 <= share <= 1
    assert measured[recorded][0] > 0
    firing = {
        each["labels"]["alertname"]
        for each in prometheus.get("alerts")["alerts"]
        if each["state"] == "firing"
    }
    assert firing & {"VitrineGone", "VitrineNotServing", "VitrineShedding"} == set()
    names = set(prometheus.get("label/__name__/values"))
    asked = {word for group in rules["groups"] for rule in group["rules"] for word in words(rule["expr"])}
    asked |= {word for each in drawn for word in words(each.expr) if not each.quiet}
    assert {word for word in asked if word.startswith("nv_")} <= names
    assert all(SERIES in each.expr for each in drawn)


def words(expr: str) -> set[str]:
    """Return what in an expression may be a metric's name."""
    return set(expr.replace("(", " ").replace("{", " ").split())
