import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import click

from rewriter.engines.chat.completions import open_chat_completions
from rewriter.engines.fallback import Fallback
from rewriter.engines.model.engine import WEIGHTS, open_language_model
from rewriter.engines.port import Engine
from rewriter.engines.rules.engine import Router
from rewriter.environment import describe_environment
from rewriter.linking.linker import Linker, open_tower
from rewriter.quality.conversations import CONVERSATIONS, UNREAD, read_conversations
from rewriter.quality.hits import Fit, Judge
from rewriter.quality.links import measure_links
from rewriter.quality.measure import Reading, embedded, read_cases, score, shares_of, time_engine
from rewriter.quality.trades import trade_of
from rewriter.quality.turns import Case, slices
from rewriter.quality.vocabularies import measure_vocabularies
from rewriter.settings import Settings

RESULT = Path("benchmarks/results/rewrite-quality.json")
LINKS_RESULT = Path("benchmarks/results/rewrite-links.json")
VOCABULARY_RESULT = Path("benchmarks/results/rewrite-vocabulary.json")
_AT_ONCE = 8
_ROWS = 16
_WAITING = 64


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=RESULT, show_default=True)
@click.option("--weights", type=click.Path(path_type=Path), default=WEIGHTS, show_default=True)
@click.option("--count", default=300, show_default=True, help="Turns drawn for each slice.")
@click.option("--requests", default=400, show_default=True, help="For each of the timings.")
@click.option(
    "--links", is_flag=True, help=f"Measure how words are linked to values alone, into {LINKS_RESULT}."
)
@click.option(
    "--vocabularies",
    is_flag=True,
    help=f"Measure what catalogues of many values cost alone, into {VOCABULARY_RESULT}.",
)
@click.option("--openai-url", default="", help="An OpenAI-compatible endpoint to measure too.")
@click.option("--openai-model", default="")
@click.option("--show", is_flag=True, help="Print the turns written by hand that the hybrid gets wrong.")
def main(**options: Any) -> None:
    """Measure the router, the embedded model, the two together, and any endpoint given; or how words are linked."""
    if options["links"]:
        _measure_links()
        return
    if options["vocabularies"]:
        _measure_vocabularies()
        return
    report = asyncio.run(_measure(options))
    _write(report, options["out"])
    for name, result in report["results"].items():
        print(name)
        for part, scored in result["slices"].items():
            opinions = "".join(f"  {name} {share:.3f}" for name, share in scored["opinions"].items())
            fit = scored["hits_fit"]
            fits = f"  hits fit {fit['conditions']:.3f}, {fit['styles']:.3f} of {fit['turns']}" if fit else ""
            shares = f"route {scored['route']:.3f}  exact {scored['exact']:.3f}{fits}{opinions}"
            print(f"  {part:<19} {shares}  of {scored['cases']}  {scored['decided']}")
        for timing in result.get("latency", ()):
            print("  " + "  ".join(f"{key} {value}" for key, value in timing.items()))


def _measure_links() -> None:
    """Measure how words are linked to values, and print it by kind."""
    begun = _now()
    measured = asyncio.run(measure_links())
    environment = describe_environment() | {"begun": begun}
    _write({"environment": environment, "params": {"benchmark": "links"}, "results": measured}, LINKS_RESULT)
    print(f"least similarity {measured['least']}")
    for kind, shares in measured["links"].items():
        print(f"  {kind:<28}", *(f"{name} {share}" for name, share in shares.items()), sep="  ")
    print(measured["cost"])


def _measure_vocabularies() -> None:
    """Measure what catalogues of many values cost, and print it by kind and number of values."""
    begun = _now()
    measured = asyncio.run(measure_vocabularies())
    environment = describe_environment() | {"begun": begun}
    params = {"benchmark": "vocabularies"}
    _write({"environment": environment, "params": params, "results": measured}, VOCABULARY_RESULT)
    for row in measured["vocabularies"]:
        print("  ".join(f"{name} {value}" for name, value in row.items()))


def _write(report: Mapping[str, Any], out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


async def _measure(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report: environment, params, results."""
    begun = _now()
    cases = slices(options["count"])
    async with AsyncExitStack() as stack:
        tower = open_tower()
        linker = stack.enter_context(closing(Linker(tower=tower)))
        judge = Judge.of(tower) if tower is not None else None
        deciders = await _open(options, stack, linker)
        results = {
            name: await _measured(
                name, engine, cases, linker, judge=judge, requests=options["requests"], show=options["show"]
            )
            for name, engine in deciders.items()
        }
    environment = describe_environment() | {"begun": begun}
    params = {"benchmark": "rewrite", "count": options["count"], "requests": options["requests"]}
    return {"environment": environment, "params": params, "results": results}


async def _open(options: Mapping[str, Any], stack: AsyncExitStack, linker: Linker) -> dict[str, Engine]:
    """Open every decider; the hybrid is what `REWRITER_ENGINE=model` serves."""
    router = Router(linker)
    deciders: dict[str, Engine] = {"router": router}
    for name, least in (("model", 0.0), ("hybrid", Settings().model_least_certainty)):
        model = await stack.enter_async_context(
            open_language_model(
                weights=options["weights"],
                rows=_ROWS,
                waiting=_WAITING,
                least_certainty=least,
                linker=linker,
            )
        )
        behind = Fallback(model, router, name="model", reserve_s=0.01, on_failure=lambda _: None)
        deciders[name] = model if name == "model" else behind
    if options["openai_url"]:
        deciders["openai"] = await stack.enter_async_context(
            open_chat_completions(
                url=options["openai_url"],
                api_key=lambda: "",
                model=options["openai_model"],
                max_tokens=Settings().openai_max_tokens,
                connections=_AT_ONCE,
            )
        )
    return deciders


async def _measured(
    name: str,
    engine: Engine,
    cases: Mapping[str, Sequence[Case]],
    linker: Linker,
    *,
    judge: Judge | None,
    requests: int,
    show: bool,
) -> dict[str, Any]:
    """Score a decider on every slice, and time it on turns that it can answer."""
    scored, answered = {}, []
    for part, turns in cases.items():
        readings = []
        for own in _by_catalogue(turns):  # a linker keeps the vectors of four catalogues
            await embedded(linker, [case.request for case in own])
            readings += await read_cases(engine, own, title=f"{name}: {part}", at_once=_AT_ONCE)
        fits = (
            [judge.fit(each.case.kind, each.case.expected, each.rewrite) for each in readings]
            if judge
            else []
        )
        scored[part] = score(readings) | await _beside(readings, fits, linker)
        answered += [reading.case for reading in readings if reading.rewrite is not None]
        if show and part in {"written", "trades"} and name == "hybrid":
            for reading in readings:
                if not reading.exact:
                    print(reading.case.request.text, "|", reading.case.expected, "|", reading.rewrite)
    if judge is not None:
        for part, path in CONVERSATIONS.items():
            told, shares = await read_conversations(path, engine, linker, judge)
            scored[part] = score(told, unread=part in UNREAD) | await _beside(told, shares, linker)
    timing = await time_engine(engine, answered, requests=requests) if answered else []
    return {"slices": scored, "latency": timing}


def _by_catalogue(cases: Sequence[Case]) -> list[list[Case]]:
    """Return the cases of each catalogue, in their order."""
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(trade_of(case.kind), []).append(case)
    return list(groups.values())


async def _beside(readings: Sequence[Reading], fits: Sequence[Fit | None], linker: Linker) -> dict[str, Any]:
    """Return what decided the turns, and how many of their first hits fit."""
    judged = [fit for fit in fits if fit is not None]
    shares = {"conditions": [each.conditions for each in judged], "styles": [each.styles for each in judged]}
    means = {name: round(sum(each) / len(each), 4) for name, each in shares.items() if each}
    fit = {"turns": len(judged), **means} if judged else {}
    return {"decided": await shares_of(readings, linker), "hits_fit": fit}


if __name__ == "__main__":
    main()
