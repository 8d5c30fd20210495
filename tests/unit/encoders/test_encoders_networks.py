"""The networks keep the contract of vitrine.tensors and give rows that do not depend on their batch."""

from pathlib import Path

import onnxruntime
import pytest
import torch

from encoders.checkpoint import Encoders, new_encoders
from encoders.networks import Sizes
from vitrine.tensors import EMBEDDING_DIM, ENCODERS, IMAGE_SIZE, TEXT_LENGTH, ModelSpec


@pytest.fixture(scope="module")
def encoders() -> Encoders:
    torch.manual_seed(0)
    made = new_encoders(Sizes(vocabulary=50, image_widths=(8, 16), image_blocks=(1, 1), text_width=16))
    for network in made.parts().values():
        network.eval()
    return made


def inputs_of(spec: ModelSpec, rows: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(rows)
    draw = {
        "UINT8": lambda shape: torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8),
        "INT64": lambda shape: torch.randint(0, 50, shape, generator=generator),
        "FP32": lambda shape: torch.randn(shape, generator=generator),
    }
    return [draw[tensor.dtype]((rows, *tensor.shape)) for tensor in spec.inputs]


@pytest.mark.parametrize("spec", ENCODERS, ids=lambda spec: spec.name)
def test_every_encoder_takes_and_gives_what_the_contract_says(encoders: Encoders, spec: ModelSpec) -> None:
    """An encoder turns its contract's inputs into L2-normalised float32 rows."""
    embedding = encoders.parts()[spec.name](*inputs_of(spec, 3))
    assert embedding.shape == (3, EMBEDDING_DIM)
    assert embedding.dtype == torch.float32
    torch.testing.assert_close(embedding.norm(dim=-1), torch.ones(3))


@pytest.mark.parametrize("spec", ENCODERS, ids=lambda spec: spec.name)
def test_a_row_is_the_same_alone_and_in_a_batch(encoders: Encoders, spec: ModelSpec) -> None:
    """Batching changes no embedding."""
    network = encoders.parts()[spec.name]
    rows = inputs_of(spec, 5)
    torch.testing.assert_close(network(*rows)[2:3], network(*(row[2:3] for row in rows)), atol=1e-5, rtol=0)


def test_an_empty_text_has_a_finite_embedding(encoders: Encoders) -> None:
    """A text of padding alone gives numbers, not NaN."""
    embedding = encoders.text(torch.zeros((1, TEXT_LENGTH), dtype=torch.int64))
    assert torch.isfinite(embedding).all()


def test_cutting_the_padding_changes_nothing(encoders: Encoders) -> None:
    """A batch of short texts may be cut to its longest text."""
    token_ids = torch.zeros((2, TEXT_LENGTH), dtype=torch.int64)
    token_ids[:, :4] = torch.tensor([[5, 6, 7, 8], [9, 3, 0, 0]])
    torch.testing.assert_close(encoders.text(token_ids), encoders.text(token_ids[:, :4]), atol=1e-6, rtol=0)


def test_padding_does_not_reach_the_embedding(encoders: Encoders) -> None:
    """What the padding token's own embedding holds does not matter."""
    token_ids = torch.zeros((1, TEXT_LENGTH), dtype=torch.int64)
    token_ids[0, :3] = torch.tensor([5, 6, 7])
    before = encoders.text(token_ids)
    with torch.no_grad():
        saved = encoders.text.tokens.weight[0].clone()
        encoders.text.tokens.weight[0] = 3.0
        after = encoders.text(token_ids)
        encoders.text.tokens.weight[0] = saved
    torch.testing.assert_close(before, after, atol=1e-6, rtol=0)


def test_the_image_encoder_tells_rows_from_channels(encoders: Encoders) -> None:
    """Pixels are read as (height, width, RGB): a red picture is not a blue one."""
    red = torch.zeros((1, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=torch.uint8)
    red[..., 0] = 255
    blue = red.flip(-1)
    assert (encoders.image(red) - encoders.image(blue)).abs().max() > 1e-3


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:.*LeafSpec.*:FutureWarning"
)  # torch's exporter warns of torch's own types
def test_the_fusion_encoder_exports_with_a_dynamic_batch(encoders: Encoders, tmp_path: Path) -> None:
    """One ONNX graph of the fusion encoder gives torch's rows at batch 1 and at batch 7."""
    spec = ENCODERS[2]
    path = tmp_path / "fusion.onnx"
    batch = torch.export.Dim.DYNAMIC
    torch.onnx.export(
        encoders.fusion,
        tuple(inputs_of(spec, 2)),
        str(path),
        dynamo=True,
        verbose=False,
        input_names=[tensor.name for tensor in spec.inputs],
        output_names=[spec.outputs[0].name],
        dynamic_shapes={tensor.name: {0: batch} for tensor in spec.inputs},
    )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for rows in (1, 7):
        values = inputs_of(spec, rows)
        feeds = {tensor.name: value.numpy() for tensor, value in zip(spec.inputs, values, strict=True)}
        (given,) = session.run(None, feeds)
        torch.testing.assert_close(torch.from_numpy(given), encoders.fusion(*values), atol=1e-5, rtol=0)
