"""ONNX graphs to TensorRT plans, by whichever TensorRT this process has.

The GPU that serves builds them with TensorRT itself (export.to_tensorrt). What has no GPU builds them with TensorRT-RTX,
whose calls are the same (export.tensorrt_rtx): so these lines run in every test, and not on a GPU alone.
Importing this module needs one of the two; elsewhere mypy holds it against TensorRT's types (export.tensorrt_stubs).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, cast

import tensorrt

from export.errors import ExportError
from vitrine.tensors import MAX_BATCH_SIZE

BATCHES = (1, MAX_BATCH_SIZE // 2, MAX_BATCH_SIZE)
"""The fewest rows, those that kernels are chosen for, and the most; a busy server sees half-full batches most."""

# Said along with every error where there is no GPU, and the cause of none.
_NO_GPU = "CUDA driver version is insufficient"

# Said of every input of int64, and ours are.
_INT64 = "has Int64 binding"


class RefusedError(ExportError):
    """TensorRT takes a graph to no plan."""

    def __init__(self, graph: Path, by: Literal["parser", "builder"], words: str) -> None:
        super().__init__(f"{graph}: TensorRT's {by} refuses it: {words}")
        self.by = by
        self.words = words
        """TensorRT's own, without those that only say that there is no GPU."""


class Log(tensorrt.ILogger):
    """Keeps what TensorRT says."""

    def __init__(self) -> None:
        tensorrt.ILogger.__init__(self)
        self.errors: list[str] = []
        self.warnings: list[str] = []

    def log(self, severity: Any, message: str) -> None:
        """Keep an error or a warning; what else it says is of no use here."""
        if severity in {self.Severity.ERROR, self.Severity.INTERNAL_ERROR}:
            self.errors.append(message)
        elif severity == self.Severity.WARNING and _INT64 not in message:
            self.warnings.append(message)


class Network:
    """A graph that the parser has taken, from which plans are built.

    Networks are strongly typed, which TensorRT 11 does always and 10 when asked, so precision is a matter of the ONNX
    graph alone.
    """

    def __init__(self, graph: Path) -> None:
        """Parse a graph, with the files beside it that hold its weights.

        Raises:
            RefusedError: the parser does not take it, or it is no graph.
        """
        self.log = Log()
        self._graph = graph
        self._builder = tensorrt.Builder(self.log)
        strongly_typed = 1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        self._network = self._builder.create_network(strongly_typed)
        self._parser = tensorrt.OnnxParser(self._network, self.log)
        if not self._parser.parse_from_file(str(graph)):
            errors = [str(self._parser.get_error(number)) for number in range(self._parser.num_errors)]
            raise RefusedError(graph, "parser", _words(errors))
        if not self._network.num_outputs:
            # To the parser an empty file is a graph of nothing.
            raise RefusedError(graph, "parser", "it has no output")

    def new_config(self) -> tensorrt.IBuilderConfig:
        """Return a configuration for batches of 1 to MAX_BATCH_SIZE."""
        config = self._builder.create_builder_config()
        profile = self._builder.create_optimization_profile()
        for number in range(self._network.num_inputs):
            tensor = self._network.get_input(number)
            _, *shape = tuple(cast("Iterable[int]", tensor.shape))
            profile.set_shape(tensor.name, *(tensorrt.Dims((rows, *shape)) for rows in BATCHES))
        config.add_optimization_profile(profile)
        return config

    def build(self, config: tensorrt.IBuilderConfig) -> bytes:
        """Return the plan.

        Raises:
            RefusedError: TensorRT builds none.
        """
        before = len(self.log.errors)
        # Its signature leaves out that it gives None where it fails.
        plan = cast(
            "tensorrt.IHostMemory | None", self._builder.build_serialized_network(self._network, config)
        )
        if plan is None:
            raise RefusedError(self._graph, "builder", _words(self.log.errors[before:]))
        return bytes(plan)


def _words(said: Iterable[str]) -> str:
    lines = (line.strip() for each in said for line in each.splitlines())
    return "; ".join(dict.fromkeys(line for line in lines if line and _NO_GPU not in line)) or "no reason"
