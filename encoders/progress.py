"""What a training run leaves to look at: a line now and then, the history of its losses, and their plot."""

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure
from torch import Tensor

History = dict[str, list[tuple[int, float]]]
"""Name of a loss to its (step, mean since the last point)."""


@dataclass(slots=True, kw_only=True)
class Progress:
    """Gathers losses and prints their means every few steps with the time that is left."""

    stage: str
    steps: int
    every: int
    history: History = field(default_factory=dict)
    _sums: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    _count: int = 0
    _since: float = field(default_factory=time.monotonic)

    def add(self, step: int, losses: Mapping[str, Tensor]) -> None:
        """Take the losses of a step, counted from 0."""
        for name, loss in losses.items():
            self._sums[name] += loss.item()
        self._count += 1
        if (step + 1) % self.every == 0 or step + 1 == self.steps:
            self._report(step + 1)

    def _report(self, done: int) -> None:
        pace = (time.monotonic() - self._since) / self._count
        means = {name: total / self._count for name, total in self._sums.items()}
        for name, mean in means.items():
            self.history.setdefault(f"{self.stage}: {name}", []).append((done, mean))
        said = "  ".join(f"{name} {mean:.3f}" for name, mean in means.items())
        left = pace * (self.steps - done) / 60
        print(f"{self.stage} {done}/{self.steps}  {said}  {pace:.2f} s/step, {left:.0f} min left", flush=True)
        self._sums.clear()
        self._count = 0
        self._since = time.monotonic()


def plot_history(history: History, path: Path) -> None:
    """Draw one panel a stage, one line a loss, into a PNG."""
    stages = list(dict.fromkeys(name.split(": ")[0] for name in history))
    figure = Figure(figsize=(6 * len(stages), 4), layout="tight")
    for panel, stage in zip(figure.subplots(1, len(stages), squeeze=False)[0], stages, strict=True):
        for name, points in history.items():
            if name.startswith(f"{stage}: "):
                panel.plot(*zip(*points, strict=True), label=name.split(": ")[1])
        panel.set(title=stage, xlabel="step", ylabel="loss", yscale="log")
        panel.legend()
    figure.savefig(path, dpi=100)
