"""The chart's Grafana dashboards, as JSON: panels are written here, and the files of the chart are made of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

FOLDER = Path("helm/vitrine/dashboards")
SERIES = 'namespace="$namespace"'
"""Stands in every expression: a dashboard is of one namespace, which is chosen above it."""

_SCHEMA_VERSION = 39  # of Grafana 11; later ones read it
_WIDTH, _HEIGHT = 12, 8  # of 24 columns
_SEARCHES = 'method=~"Search|Converse|Recommend"'
_FAILED = f'{_SEARCHES},code=~"UNAVAILABLE|INTERNAL|UNKNOWN|DEADLINE_EXCEEDED"'
_FOUND = 'outcome!="miss"'
_WRITES = 'method=~"UpsertProducts|DeleteProducts|RestoreIndex|ReplaceDocuments"'
_DATA = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """An expression of Prometheus, the text of its curves, and why there may be none."""

    expr: str
    legend: str
    quiet: str = ""
    """Why a healthy stack under a little load has no such series; empty where it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Curves with one unit of Grafana's."""

    title: str
    unit: str
    queries: tuple[Query, ...]


def panel(title: str, unit: str, expr: str, legend: str = "", *, quiet: str = "") -> Panel:
    """Return a panel of one query."""
    return Panel(title=title, unit=unit, queries=(Query(expr=_own(expr), legend=legend, quiet=quiet),))


def _own(expr: str) -> str:
    return expr.replace("SERIES", SERIES)


def _quantile(quantile: float, metric: str, *by: str, where: str = "") -> str:
    labels = ", ".join(("le", *by))
    selected = f"SERIES,{where}" if where else "SERIES"
    return f"histogram_quantile({quantile}, sum by ({labels}) (rate({metric}_bucket{{{selected}}}[$__rate_interval])))"


def _rate(metric: str, *by: str, where: str = "") -> str:
    grouped = f"sum by ({', '.join(by)}) " if by else "sum"
    selected = f"SERIES,{where}" if where else "SERIES"
    return f"{grouped}(rate({metric}{{{selected}}}[$__rate_interval]))"


_OVERLOAD, _FAULT = "nothing is overloaded", "nothing fails"

_OVERVIEW = (
    panel("Searches and turns", "reqps", _rate("vitrine_gateway_requests_total", "method", "code", where=_SEARCHES), "{{method}} {{code}}"),
    Panel(
        title="Duration of a search",
        unit="s",
        queries=tuple(
            Query(expr=_own(_quantile(each, "vitrine_gateway_request_seconds", where='method="Search"')), legend=f"p{each * 100:g}")
            for each in (0.5, 0.95, 0.99)
        ),
    ),
    panel(
        "Share that fails", "percentunit",
        f'({_rate("vitrine_gateway_requests_total", where=_FAILED)} or vector(0)) / {_rate("vitrine_gateway_requests_total", where=_SEARCHES)}',
        "failed",
    ),
    panel("Gateways that can search", "short", 'sum(vitrine_gateway_serving{SERIES,service="vitrine.v1.SearchService"})', "serving"),
    panel("Refused for overload", "reqps", _rate("vitrine_gateway_shed_total", "lane", "reason"), "{{lane}} {{reason}}", quiet=_OVERLOAD),
    panel("Left out of answers", "reqps", _rate("vitrine_gateway_degraded_total", "part", "reason"), "{{part}} {{reason}}", quiet=_FAULT),
    panel("Triton: share of a request in the queue", "percentunit", f'{_rate("nv_inference_queue_duration_us", "model")} / {_rate("nv_inference_request_duration_us", "model")}', "{{model}}"),
    panel("Age of the oldest product that waits to be written", "s", "max(vitrine_gateway_ingest_lag_seconds{SERIES})", "lag"),
)  # fmt: skip

_GATEWAY = (
    panel("Stages of a search, p95", "s", _quantile(0.95, "vitrine_gateway_stage_seconds", "stage"), "{{stage}}"),
    panel("Those behind it, p95", "s", _quantile(0.95, "vitrine_gateway_dependency_seconds", "dependency"), "{{dependency}}"),
    panel("Calls to those behind it", "reqps", _rate("vitrine_gateway_dependency_seconds_count", "dependency", "outcome"), "{{dependency}} {{outcome}}"),
    panel("Calls being answered", "short", "sum by (method) (vitrine_gateway_in_flight{SERIES})", "{{method}}"),
    panel("Searches with a slot", "short", "sum by (lane) (vitrine_gateway_searches_running{SERIES})", "{{lane}}"),
    panel("Slots there are", "short", "sum by (lane) (vitrine_gateway_concurrency_limit{SERIES})", "{{lane}}"),
    panel("Searches that wait for a slot", "short", "sum by (lane) (vitrine_gateway_searches_queued{SERIES})", "{{lane}}"),
    panel(
        "Found in caches", "percentunit",
        f'{_rate("vitrine_gateway_cache_lookups_total", "cache", where=_FOUND)} / {_rate("vitrine_gateway_cache_lookups_total", "cache")}',
        "{{cache}}",
    ),
    panel("Breakers: 0 closed, 1 half-open, 2 open", "short", "max by (dependency, use) (vitrine_gateway_breaker_state{SERIES})", "{{dependency}} {{use}}"),
    panel("What the rewriter may take", "s", "avg by (use) (vitrine_gateway_rewrite_budget_seconds{SERIES})", "{{use}}"),
    panel("The rewriter, p95", "s", _quantile(0.95, "vitrine_rewriter_request_seconds"), "p95"),
    panel("Rewrites by route", "reqps", _rate("vitrine_rewriter_rewrites_total", "route"), "{{route}}"),
    panel("Bytes of requests", "bytes", "sum by (pod) (vitrine_gateway_request_bytes{SERIES})", "{{pod}}"),
    panel("Bytes of sessions", "bytes", "sum by (pod) (vitrine_gateway_session_bytes{SERIES})", "{{pod}}"),
    panel("The ten busiest callers", "reqps", f'topk(10, {_rate("vitrine_gateway_caller_requests_total", "caller")})', "{{caller}}"),
    panel("Beyond a quota", "reqps", _rate("vitrine_gateway_quota_refusals_total", "caller", "quota"), "{{caller}} {{quota}}", quiet="nobody has a quota"),
    panel("Calls of nobody that is known", "reqps", _rate("vitrine_gateway_auth_failures_total", "reason"), "{{reason}}", quiet="everybody is known"),
    panel(
        "Until certificates end", "s",
        "min by (pod, use) (vitrine_gateway_certificate_expiry_timestamp_seconds{SERIES}) - time()", "{{pod}} {{use}}",
        quiet="loopback has no TLS",
    ),
)  # fmt: skip

_TRITON = (
    panel("Requests", "reqps", _rate("nv_inference_request_success", "model"), "{{model}}"),
    panel("Requests that failed", "reqps", _rate("nv_inference_request_failure", "model", "reason"), "{{model}} {{reason}}"),
    panel("Rows computed", "short", _rate("nv_inference_count", "model"), "{{model}}"),
    panel("Rows of a batch", "short", f'{_rate("nv_inference_count", "model")} / {_rate("nv_inference_exec_count", "model")}', "{{model}}"),
    panel("Time in the queue, of a request", "µs", f'{_rate("nv_inference_queue_duration_us", "model")} / {_rate("nv_inference_request_success", "model")}', "{{model}}"),
    panel("Time of computing, of a request", "µs", f'{_rate("nv_inference_compute_infer_duration_us", "model")} / {_rate("nv_inference_request_success", "model")}', "{{model}}"),
    panel("Requests that wait", "short", "sum by (model) (nv_inference_pending_request_count{SERIES})", "{{model}}"),
    panel("Rows by pod: does every Triton work?", "short", _rate("nv_inference_count", "pod"), "{{pod}}"),
    panel("GPUs at work", "percentunit", "avg by (pod, gpu_uuid) (nv_gpu_utilization{SERIES})", "{{pod}} {{gpu_uuid}}", quiet="no GPU"),
    panel("Memory of GPUs", "bytes", "sum by (pod, gpu_uuid) (nv_gpu_memory_used_bytes{SERIES})", "{{pod}} {{gpu_uuid}}", quiet="no GPU"),
)  # fmt: skip

_INDEX = (
    panel("Calls that write", "reqps", _rate("vitrine_gateway_requests_total", "method", "code", where=_WRITES), "{{method}} {{code}}"),
    panel("Age of the oldest product that waits to be written", "s", "max by (pod) (vitrine_gateway_ingest_lag_seconds{SERIES})", "{{pod}}"),
    panel("Batches being encoded", "short", "sum(vitrine_gateway_batches_running{SERIES})", "running"),
    panel("Batches that wait for the encoders", "short", "sum(vitrine_gateway_batches_queued{SERIES})", "queued"),
    panel("Bytes of products", "bytes", "sum by (pod) (vitrine_gateway_ingest_bytes{SERIES})", "{{pod}}"),
    panel("Calls to Milvus, p95", "s", _quantile(0.95, "vitrine_gateway_dependency_seconds", "outcome", where='dependency="index"'), "{{outcome}}"),
    panel("Look-ups, p95", "s", _quantile(0.95, "vitrine_gateway_stage_seconds", "stage", where='stage=~"search|lexical|facets"'), "{{stage}}"),
    panel("Older than the encoders", "short", "max(vitrine_gateway_index_outdated{SERIES})", "outdated"),
    panel("Rebuilds and returns under way", "short", "sum by (kind) (vitrine_gateway_index_lease{SERIES})", "{{kind}}", quiet="nothing was rebuilt or put back"),
    panel("Indexes put in use", "short", "sum by (kind) (increase(vitrine_gateway_index_swaps_total{SERIES}[1h]))", "{{kind}}", quiet="nothing was rebuilt or put back"),
)  # fmt: skip

DASHBOARDS: Mapping[str, tuple[str, Sequence[Panel]]] = {
    "overview": ("Vitrine: overview", _OVERVIEW),
    "gateway": ("Vitrine: gateway", _GATEWAY),
    "triton": ("Vitrine: Triton", _TRITON),
    "index": ("Vitrine: index", _INDEX),
}
"""By name: the title, and the panels in their order."""


def queries() -> list[Query]:
    """Return every query of every dashboard."""
    panels = chain.from_iterable(panels for _, panels in DASHBOARDS.values())
    return [query for each in panels for query in each.queries]


def files() -> dict[str, str]:
    """Return the JSON of every dashboard by the name of its file in FOLDER."""
    return {
        f"{name}.json": json.dumps(_dashboard(name, title, panels), indent=1, ensure_ascii=False) + "\n"
        for name, (title, panels) in DASHBOARDS.items()
    }


def _dashboard(name: str, title: str, panels: Sequence[Panel]) -> dict[str, Any]:
    return {
        "uid": f"vitrine-{name}",
        "title": title,
        "tags": ["vitrine"],
        "schemaVersion": _SCHEMA_VERSION,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus"},
                {
                    "name": "namespace",
                    "type": "query",
                    "datasource": _DATA,
                    "query": "label_values(vitrine_gateway_serving, namespace)",
                    "refresh": 2,
                },
            ]
        },
        "panels": [_drawn(at, each) for at, each in enumerate(panels)],
    }


def _drawn(at: int, drawn: Panel) -> dict[str, Any]:
    row, column = divmod(at, 2)
    return {
        "id": at + 1,
        "type": "timeseries",
        "title": drawn.title,
        "datasource": _DATA,
        "gridPos": {"x": column * _WIDTH, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": drawn.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + i), "expr": query.expr, "legendFormat": query.legend}
            for i, query in enumerate(drawn.queries)
        ],
    }
