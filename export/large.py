"""Graphs of more than one ONNX file holds: in fp16 first, and with their weights in a file beside them.

A T5 overflows in fp16 where its feed-forward layers end (transformers keeps those weights in fp32, and so does this
room); the sum that runs through its layers is then fp32 as well.
"""

import copy
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto
from torch import Tensor, nn


class HalvedNetwork(nn.Module):
    """A network with fp16 weights and arithmetic; inputs and outputs keep their dtypes."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = _halved(network)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Embed as the network does, in float32."""
        embeddings: Tensor = self.network(*inputs)
        return embeddings.float()


def weights_bytes(network: nn.Module) -> int:
    """Return the bytes of a network's parameters as they are."""
    return sum(weight.numel() * weight.element_size() for weight in network.parameters())


def is_halved(graph: Path) -> bool:
    """Return whether a graph was written in fp16: it has weights of that type."""
    model = onnx.load(graph, load_external_data=False)
    return any(tensor.data_type == TensorProto.FLOAT16 for tensor in model.graph.initializer)


def _halved(network: nn.Module) -> nn.Module:
    """Copy a network with its floating weights in fp16; the weights themselves are never copied in fp32."""
    kept = {id(weight) for weight in _kept_in_fp32(network)}
    memo: dict[int, Any] = {
        id(weight): nn.Parameter(
            weight.detach().clone() if id(weight) in kept else weight.detach().half(), requires_grad=False
        )
        for weight in network.parameters()
        if weight.is_floating_point()
    }
    return copy.deepcopy(network, memo).eval()


def _kept_in_fp32(network: nn.Module) -> list[nn.Parameter]:
    """Return the weights that would overflow: those at the end of a T5's feed-forward layers."""
    parts = [module for name, module in network.named_modules() if name.rpartition(".")[2] == "wo"]
    return [weight for part in parts for weight in part.parameters()]
