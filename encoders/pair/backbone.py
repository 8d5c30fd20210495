"""EfficientNet-Lite0, the image backbone: a ConvNet without squeeze-and-excitation or swish, made for fixed-point hardware.

Tan and Le (2019, "EfficientNet: Rethinking model scaling for convolutional neural networks") and Google's release of the Lite
variants. The weights come from TensorFlow, whose SAME padding puts the odd row at the end; the layers keep to it.
"""

from collections.abc import Mapping
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from encoders.errors import CheckpointError
from encoders.pair.packages import BACKBONE, packaged

FEATURES = 1_280

TUNED_BLOCKS = 5
"""Blocks at the end that training tunes. What the blocks before them give is small enough to be kept on disk."""
MAPS = (112, 14, 14)
"""Channels, rows and columns of what the tuned blocks read."""

_STEM = 32
_EPSILON = 1e-3
_STAGES = (
    # repeats, kernel, stride, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_QUANTILES = 1_000
_MEAN, _DEVIATION = 127.0, 128.0
"""Of the bytes of a channel, as Google's release normalises them."""


class SamePadding(nn.Module):
    """Zeros around a map of even height and width, so that a strided convolution halves it as TensorFlow does."""

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        total = kernel - stride
        self.sides = (total // 2, total - total // 2)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the padded maps."""
        return functional.pad(maps, (*self.sides, *self.sides))


def _convolution(
    channels_in: int, channels_out: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    layers: list[nn.Module] = [] if kernel == 1 else [SamePadding(kernel, stride)]
    return nn.Sequential(
        *layers,
        nn.Conv2d(channels_in, channels_out, kernel, stride, groups=groups, bias=False),
        nn.BatchNorm2d(channels_out, eps=_EPSILON),
    )


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution and projection, with a shortcut where the shape allows one (MobileNetV2)."""

    def __init__(
        self, channels_in: int, channels_out: int, *, kernel: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        width = channels_in * expansion
        self.expand: nn.Module = nn.Identity()
        if expansion != 1:
            self.expand = nn.Sequential(*_convolution(channels_in, width, 1), nn.ReLU6())
        self.depthwise = nn.Sequential(
            *_convolution(width, width, kernel, stride=stride, groups=width), nn.ReLU6()
        )
        self.project = _convolution(width, channels_out, 1)
        self.is_residual = stride == 1 and channels_in == channels_out

    def forward(self, maps: Tensor) -> Tensor:
        """Return the block's maps."""
        out: Tensor = self.project(self.depthwise(self.expand(maps)))
        return out + maps if self.is_residual else out


class Backbone(nn.Module):
    """Bytes to the 1,280 features before the classes of ImageNet."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_convolution(3, _STEM, 3, stride=2), nn.ReLU6())
        blocks: list[nn.Module] = []
        width = _STEM
        for repeats, kernel, stride, expansion, channels in _STAGES:
            for repeat in range(repeats):
                blocks.append(
                    InvertedResidual(
                        width, channels, kernel=kernel, stride=1 if repeat else stride, expansion=expansion
                    )
                )
                width = channels
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(*_convolution(width, FEATURES, 1), nn.ReLU6())

    def forward(self, pixels: Tensor) -> Tensor:
        """Return float32 features (n, FEATURES) of uint8 pixels (n, IMAGE_SIZE, IMAGE_SIZE, 3), RGB."""
        features: Tensor = self.head(self.blocks(self.stem(_normalised(pixels)))).mean((2, 3))
        return features


class Lower(nn.Module):
    """What training leaves as it is: the stem and all blocks but the last TUNED_BLOCKS. It shares the backbone's weights."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.stem = backbone.stem
        self.blocks = backbone.blocks[:-TUNED_BLOCKS]

    def forward(self, pixels: Tensor) -> Tensor:
        """Return float32 maps (n, *MAPS) of uint8 pixels (n, IMAGE_SIZE, IMAGE_SIZE, 3), RGB."""
        maps: Tensor = self.blocks(self.stem(_normalised(pixels)))
        return maps


class Upper(nn.Module):
    """What training tunes: the last TUNED_BLOCKS blocks and the convolution behind them.

    It shares the backbone's weights, and lays them out channels last, with which a CPU trains twice as fast.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.blocks = backbone.blocks[-TUNED_BLOCKS:]
        self.head = backbone.head
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002, FBT001, FBT002 - torch's signature
        """Stay in evaluation mode: a batch says less of the means and variances than ImageNet did."""
        return super().train(False)

    def forward(self, maps: Tensor) -> Tensor:
        """Return float32 features (n, FEATURES) of maps."""
        features: Tensor = self.head(self.blocks(maps)).mean((2, 3))
        return features


def _normalised(pixels: Tensor) -> Tensor:
    return (pixels.float().permute(0, 3, 1, 2) - _MEAN) / _DEVIATION


def load_backbone() -> Backbone:
    """Read the pretrained backbone, in evaluation mode.

    Raises:
        CheckpointError: the package is missing, or not the one that is meant, or its tensors are others.
    """
    path = packaged(BACKBONE)
    backbone = Backbone()
    try:
        given = torch.load(path, weights_only=True, map_location="cpu")
        backbone.load_state_dict(_renamed(given, backbone))
    except (RuntimeError, KeyError, StopIteration, ValueError) as error:
        raise CheckpointError(f"{path}: not the tensors of EfficientNet-Lite0: {error}") from None
    return backbone.eval()


def usual_features(backbone: Backbone) -> Tensor:
    """Return the mean features of the pictures that the backbone learnt from, ImageNet's, (FEATURES,).

    Behind the last batch normalisation a channel was normal, with the layer's own scale and shift; the mean of its ReLU6 is
    taken over quantiles.
    """
    norm = backbone.head[1]
    assert isinstance(norm, nn.BatchNorm2d)
    quantiles = torch.special.ndtri((torch.arange(_QUANTILES) + 0.5) / _QUANTILES)
    scale, shift = norm.weight.detach().cpu(), norm.bias.detach().cpu()
    return functional.relu6(shift + scale * quantiles[:, None]).mean(0)


def _renamed(given: Mapping[str, Tensor], backbone: Backbone) -> dict[str, Tensor]:
    """Give the tensors our names: both list the same layers in the order in which they are passed.

    Raises:
        ValueError: there are more or fewer of them.
    """
    theirs = [(name, tensor) for name, tensor in given.items() if not name.startswith("_fc")]
    theirs.sort(key=lambda each: _place(each[0]))
    names = list(backbone.state_dict())
    return dict(zip(names, (tensor for _, tensor in theirs), strict=True))


_ORDER = ("_expand_conv", "_bn0", "_depthwise_conv", "_bn1", "_project_conv", "_bn2")


def _place(name: str) -> tuple[int, int]:
    """Return where a layer stands: stem, blocks by number, head; the tensors of one keep their order."""
    if not name.startswith("_blocks"):
        layer = name.split(".", maxsplit=1)[0]
        return {"_conv_stem": (-2, 0), "_bn0": (-1, 0), "_conv_head": (1_000, 0), "_bn1": (1_001, 0)}[layer]
    _, number, layer, _ = name.split(".")
    return int(number), _ORDER.index(layer)
