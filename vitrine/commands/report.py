"""`vitrine report`: what shoppers did and searched for, in counts."""

import click
from rich.table import Table

from vitrine.commands.connection import Connection, connected
from vitrine.commands.tables import as_json, cell, print_json
from vitrine.domain import limits
from vitrine.terminal import console
from vitrine.v1.feedback_pb2 import Event
from vitrine.v1.report_pb2 import BucketReport, OrdersCompared, Rate, ReportResponse

_LISTS = {
    "popular": "most searched",
    "rising": "searched more than yesterday",
    "without_hits": "mostly without hits",
    "slow": "answered the slowest",
}
_SHOWN = 10
_RATES = ("with a choice", "into the cart", "with a purchase")


@click.command()
@click.option(
    "--days",
    type=click.IntRange(1, limits.MAX_REPORT_DAYS),
    default=limits.DEFAULT_REPORT_DAYS,
    show_default=True,
    help="Up to today, by UTC.",
)
@click.option("--json", "want_json", is_flag=True, help="Write the service's answer as JSON.")
@connected
def report(*, connection: Connection, days: int, want_json: bool) -> None:
    """Show what shoppers did by day, what came of the answers of each bucket, and what was searched for.

    Counts have noise, so that they say nothing of one shopper, and each report spends some of the privacy budget of its days;
    words are told once enough different shoppers have searched for them.
    """
    answer = connection.run(lambda client: client.report(days))
    if want_json:
        print_json(as_json(answer))
        return
    for table in (_days(answer), _buckets(answer), *_comparisons(answer), *_words(answer)):
        console().print(table)
    noise = answer.noise
    console().print(
        cell(
            f"noise of scale {noise.shoppers_scale:g} in counts of shoppers, {noise.answers_scale:g} in those of answers;"
            f" spent {noise.epsilon:g} of each day's {noise.budget:g}"
        )
    )


def _days(answer: ReportResponse) -> Table:
    kinds = [number for number in Event.Kind.values() if number]
    table = _table(
        "shoppers by day", "day", *(Event.Kind.Name(kind).removeprefix("KIND_").lower() for kind in kinds)
    )
    for day in answer.days:
        counts = {count.kind: count.shoppers for count in day.counts}
        table.add_row(cell(day.day), *(cell(f"{counts.get(kind, 0):,}") for kind in kinds))
    return table


def _buckets(answer: ReportResponse) -> Table:
    table = _table("answers by bucket", "bucket", "answers", *_RATES)
    for bucket in answer.buckets:
        figures = (f"{bucket.answers:,}", *map(_rate, _rates(bucket)))
        table.add_row(*map(cell, (bucket.bucket or "no experiment", *figures)))
    return table


def _comparisons(answer: ReportResponse) -> list[Table]:
    tables = []
    for comparison in answer.comparisons:
        table = _table(f"{comparison.experiment}: the learnt order beside the default one", "", *_RATES)
        differences = _rates(comparison)
        table.add_row("difference", *(cell(_rate(each, sign="+")) for each in differences))
        table.add_row("the learnt order is", *map(_verdict, differences))
        tables.append(table)
    return tables


def _rates(message: BucketReport | OrdersCompared) -> tuple[Rate, Rate, Rate]:
    return message.click_through, message.cart, message.conversion


def _verdict(difference: Rate) -> str:
    if difference.lowest > 0:
        return "better"
    return "worse" if difference.highest < 0 else "not shown to differ"


def _words(answer: ReportResponse) -> list[Table]:
    tables = []
    for name, title in _LISTS.items():
        table = _table(title, "words", "today", "yesterday", "without hits", "mean ms")
        for each in getattr(answer.words, name)[:_SHOWN]:
            counts = (
                f"{each.today:,}",
                f"{each.yesterday:,}",
                f"{each.without_hits:,}",
                f"{each.mean_ms:,.1f}",
            )
            table.add_row(*map(cell, (each.words, *counts)))
        if table.row_count:
            tables.append(table)
    return tables


def _rate(rate: Rate, sign: str = "") -> str:
    value, lowest, highest = (f"{100 * each:{sign}.1f}" for each in (rate.value, rate.lowest, rate.highest))
    return f"{value} % ({lowest} to {highest})"


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim")
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, justify="right")
    return table
