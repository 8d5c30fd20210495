"""A stage of training: what it optimises, how it resumes, and the loop."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from encoders.progress import History, Progress

_INVERSE_TEMPERATURE = 12.0
"""Where the learned scales start."""

_REPORT_EVERY = 20
_SAVE_EVERY = 100

Losses = Mapping[str, Tensor]
"""Scalars by name; a step goes down their sum."""


@dataclass(slots=True, kw_only=True)
class Stage:
    """What one stage optimises and how far it is."""

    name: str
    steps: int
    modules: nn.ModuleDict
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    path: Path
    done: int = 0
    history: History = field(default_factory=dict)

    def resume(self) -> None:
        """Go on where the file of an earlier run of this stage stopped; start where there is none."""
        if not self.path.exists():
            return
        state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        self.modules.load_state_dict(state["modules"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.done = state["done"]
        self.history.update(state["history"])
        print(f"{self.name}: resumes at step {self.done}", flush=True)

    def save(self) -> None:
        """Write the state, so that a run that is killed loses no more than the steps since."""
        state = {
            "modules": self.modules.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "done": self.done,
            "history": self.history,
        }
        partial = self.path.with_suffix(".partial")
        torch.save(state, partial)
        partial.rename(self.path)

    def step(self, loss: Tensor) -> None:
        """Take one step down the loss."""
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.modules.parameters(), 2.0)
        self.optimiser.step()
        self.schedule.step()


def device() -> torch.device:
    """Return the GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def run_stage(stage: Stage, losses_of_steps: Callable[[range], Iterator[Losses]]) -> History:
    """Train the stage to its end, from where an earlier run of it stopped, and return its losses."""
    stage.resume()
    stage.modules.train()
    progress = Progress(stage=stage.name, steps=stage.steps, every=_REPORT_EVERY, history=stage.history)
    steps = range(stage.done, stage.steps)
    for losses in losses_of_steps(steps) if steps else ():
        stage.step(torch.stack(list(losses.values())).sum())
        progress.add(stage.done, losses)
        stage.done += 1
        if stage.done % _SAVE_EVERY == 0 or stage.done == stage.steps:
            stage.save()
    stage.modules.eval()
    return stage.history


def new_stage(name: str, modules: nn.ModuleDict, *, rate: float, steps: int, work: Path) -> Stage:
    """Prepare a stage of AdamW under one cycle of the learning rate, with its state in the work folder."""
    modules.to(device())
    matrices = [parameter for parameter in modules.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in modules.parameters() if parameter.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0.0}],
        lr=rate,
        betas=(0.9, 0.98),
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps + 1, pct_start=0.08)
    return Stage(
        name=name,
        steps=steps,
        modules=modules,
        optimiser=optimiser,
        schedule=schedule,
        path=work / f"{name}.pt",
    )


def new_scale() -> nn.Parameter:
    """Return the logarithm of an inverse temperature, to be learned."""
    return nn.Parameter(torch.tensor(_INVERSE_TEMPERATURE).log())


def autocast() -> AbstractContextManager[None]:
    """Compute in bfloat16 where that loses nothing."""
    return torch.autocast(device().type, torch.bfloat16)
