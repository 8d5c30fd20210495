"""A family of the smallest networks, with random weights, shared by the tests of the export room."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from encoders.checkpoint import new_encoders, save_encoders
from encoders.networks import Sizes
from export.choice import uniform
from export.cli import main
from export.errors import ExportError
from export.repository import Graphs
from vitrine.tensors import ENCODERS

SIZES = Sizes(
    vocabulary=12,
    image_widths=(8, 8, 16),
    image_blocks=(1, 1, 1),
    text_width=16,
    text_layers=1,
    text_heads=2,
    fusion_width=16,
)


WriteWeights = Callable[[int], Path]


@pytest.fixture(scope="session")
def write_weights(tmp_path_factory: pytest.TempPathFactory) -> WriteWeights:
    """Writes a family as training does, in a folder of its own: three encoders, tokenizer and card."""

    def write(seed: int) -> Path:
        folder = tmp_path_factory.mktemp("weights")
        torch.manual_seed(seed)
        save_encoders(folder, new_encoders(SIZES), card={"seed": seed})
        tokenizer = Tokenizer(WordLevel({"[PAD]": 0, "[UNK]": 1, "red": 2}, unk_token="[UNK]"))
        tokenizer.pre_tokenizer = Whitespace()
        tokenizer.save(str(folder / "tokenizer.json"))
        return folder

    return write


@pytest.fixture(scope="session")
def weights(write_weights: WriteWeights) -> Path:
    """Weights that no test may change."""
    return write_weights(1)


@pytest.fixture(scope="session")
def graphs(weights: Path, once: Callable[..., Path]) -> Path:
    """The graphs of the weights, exported once, by the command."""

    def export(folder: Path) -> None:
        result = CliRunner().invoke(main, ["onnx", "--weights", str(weights), "--graphs", str(folder)])
        assert result.output == f"wrote 3 graphs to {folder}\n"

    return once("graphs", export)


class FakeExporter:
    """Writes files in place of graphs, and counts how often it is asked to."""

    def __init__(self, *, fails: bool = False) -> None:
        self.calls = 0
        self.fails = fails

    def __call__(self, folder: Path) -> Graphs:
        """Write the files; fail afterwards where told to."""
        self.calls += 1
        folder.mkdir()
        for spec in ENCODERS:
            (folder / f"{spec.name}.onnx").write_bytes(spec.name.encode())
        if self.fails:
            raise ExportError("image_encoder: cosine to torch is 0.5")
        return Graphs(
            folder=folder, choice=uniform("fp32"), parity={"image_encoder": {"minimum_cosine": 1.0}}
        )


@pytest.fixture
def exporter() -> FakeExporter:
    """An exporter that works."""
    return FakeExporter()


@pytest.fixture
def failing_exporter() -> FakeExporter:
    """An exporter whose graphs do not agree with torch."""
    return FakeExporter(fails=True)
