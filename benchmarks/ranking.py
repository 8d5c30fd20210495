"""Learnt ranking by simulated shoppers, and what it costs, as tables."""

import statistics
from collections.abc import Mapping

from benchmarks.tables import Document, origin, table

_OUTCOMES = {"click_through": "choice", "cart": "cart", "conversion": "purchase"}


def ranking_section(documents: Mapping[str, Document]) -> list[str]:
    """Return the NDCG@10 of every order over the seeds, what training found, and the cost of an evaluation."""
    lines: list[str] = []
    for name, document in documents.items():
        simulated = document["params"]["benchmark"] == "ranking"
        lines += [*origin(name, document), "", *(_simulated(document) if simulated else _cost(document)), ""]
    return lines[:-1]


def experiment_section(documents: Mapping[str, Document]) -> list[str]:
    """Return how often reports found two orders to differ, and what one of a gateway told."""
    lines: list[str] = []
    for name, document in documents.items():
        params, results = document["params"], document["results"]
        rows = [
            [each["orders"], f"{each['shoppers']:,}", *(_found(each[outcome]) for outcome in _OUTCOMES)]
            for each in results["found"]
        ]
        value, lowest, highest = (100 * each for each in results["gateway"]["difference"]["click_through"])
        lines += [
            *origin(name, document),
            (
                f"{params['repeats']} experiments of each kind, {params['searches_each']:g} searches a shopper on average, epsilon {params['epsilon']:g}."
                f" The ranker learnt from {params['taught_by']:,} searches."
            ),
            "",
            *table(
                ["orders", "shoppers", *(f"{each}: better, worse, %" for each in _OUTCOMES.values())], rows
            ),
            "",
            (
                f"A gateway's own report of {params['searches']:,} searches, with epsilon {params['gateway_epsilon']:g}: the learnt order has"
                f" {value:+.1f} % of answers with a choice more ({lowest:+.1f} to {highest:+.1f})."
            ),
            "",
        ]
    return lines[:-1]


def _simulated(document: Document) -> list[str]:
    params, runs = document["params"], document["results"]
    names = sorted(runs[0]["ndcg"], key=lambda name: statistics.fmean(run["ndcg"][name] for run in runs))
    rows = [[name, *_spread([run["ndcg"][name] for run in runs])] for name in names]
    found = {
        f"weight of {name}": [run["weights"].get(name, 0.0) for run in runs]
        for name in dict.fromkeys(name for run in runs for name in run["weights"])
    }
    found |= {
        f"position bias, eta (true: {params['eta']:g})": [run["position_bias"]["eta"] for run in runs],
        "weight of the image half, alone": [run["image_weight"].get("text", 0.5) for run in runs],
        "NDCG@10 gained on held-out answers, by inverse propensities": [
            run["held_out"]["ndcg"] - run["held_out"]["default"] for run in runs
        ],
    }
    refused = sum(run["refused"] for run in runs)
    how = (
        f"{len(runs)} seeds of {params['products']:,} products ({params.get('data', 'drawn')}), {params['searches']:,} searches that show {params['shown']} hits and"
        f" {statistics.fmean(run['chosen'] for run in runs):,.0f} clicks on average; {params['queries']:,} unseen queries judge."
        f" {refused} rankers of {len(runs)} were refused. In the last columns the lowest and the highest seed."
    )
    return [
        how,
        "",
        *table(["order", "NDCG@10", "lowest", "highest"], rows),
        "",
        *table(
            ["what was found", "mean", "lowest", "highest"],
            [[name, *_spread(each)] for name, each in found.items()],
        ),
    ]


def _cost(document: Document) -> list[str]:
    params = document["params"]
    how = f"{params['products']} products with {params['features']} features: microseconds of CPU, the least of the repeats."
    how += f" An answer of {params['answer_hits']} hits is kept in {params['answer_bytes']:,} bytes."
    rows = [[name, f"{microseconds:.1f}"] for name, microseconds in document["results"].items()]
    return [how, "", *table(["step", "us"], rows)]


def _found(shares: Mapping[str, float]) -> str:
    return f"{100 * shares['better']:.1f}, {100 * shares['worse']:.1f}"


def _spread(values: list[float]) -> list[str]:
    return [f"{value:.3f}" for value in (statistics.fmean(values), min(values), max(values))]
