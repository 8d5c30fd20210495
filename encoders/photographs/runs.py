"""Figures of several trainings of one family, by their seeds, as one."""

from collections.abc import Mapping, Sequence
from typing import Any

from encoders.photographs.figures import Figure


def merge_runs(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the results of one run as they are; of several, each figure as mean, standard error, lowest and highest.

    The standard error stays that of the queries, its mean over the runs; lowest and highest say what another seed does.
    """
    first = runs[0]
    if len(runs) == 1:
        return dict(first)
    return {
        protocol: {
            "asked": outcome["asked"],
            "ways": {
                way: {name: _merged([run[protocol]["ways"][way][name] for run in runs]) for name in figures}
                for way, figures in outcome["ways"].items()
            },
        }
        for protocol, outcome in first.items()
    }


def _merged(figures: Sequence[Figure | int]) -> Figure | int:
    """Return counts as they are, for all runs are asked the same; of figures without a value the first."""
    first = figures[0]
    if isinstance(first, int):
        return first
    values = [figure[0] for figure in figures if not isinstance(figure, int) and figure[0] is not None]
    errors = [figure[1] for figure in figures if not isinstance(figure, int) and figure[1] is not None]
    if not values:
        return first
    error = round(sum(errors) / len(errors), 2) if errors else None
    return [round(sum(values) / len(values), 2), error, min(values), max(values)]
