"""A checkpoint that a user brings is exported and published with its own dims, and needs no code."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from encoders.testing import EMBEDDING_DIM, FAMILIES, IMAGE_SIZE, TEXT_LENGTH, FamilyName, write_checkpoint
from export.cli import main
from export.errors import ExportError
from export.manifest import identify, open_family
from export.model_config import read_config
from export.parity import check_parity, open_graph
from export.repository import PICTURE
from export.to_onnx import Networks, graph_path, load_family
from vitrine.preprocess import Tokenizer
from vitrine.tensors import IMAGE_ENCODER, MODELS, Dimensions, sized

# The first test of a family also waits for its graphs, which another process of the run may be making.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

DIMENSIONS = Dimensions(image_size=IMAGE_SIZE, text_length=TEXT_LENGTH, embedding_dim=EMBEDDING_DIM)


@pytest.fixture(params=FAMILIES)
def published(request: pytest.FixtureRequest, published_family: Callable[[FamilyName], Path]) -> Path:
    """A folder with a checkpoint and the repository that the command makes of it."""
    return published_family(request.param)


@pytest.fixture
def networks(published: Path) -> Networks:
    return load_family(published / "checkpoint")


def graphs_of(published: Path, folder: Path) -> Path:
    """Give the published graphs as `onnx` writes them."""
    for spec in MODELS:
        graph = published / "repository" / spec.name / "1" / "model.onnx"
        if graph.exists():
            graph_path(folder, spec.name).write_bytes(graph.read_bytes())
    return folder


def test_graphs_agree_with_the_networks(published: Path, networks: Networks, tmp_path: Path) -> None:
    """Each encoder gives what torch gives, alone and in a batch."""
    report = check_parity(networks, partial(open_graph, graphs_of(published, tmp_path)))
    for parity in report.values():
        assert min(parity.minimum_cosine, parity.batch_cosine) > 0.999999


def test_every_configuration_has_the_dims_of_the_family(published: Path) -> None:
    """Inputs, outputs and warm-ups of all ten models; nothing of `small` is left."""
    for model in MODELS:
        config = read_config(published / "repository" / model.name / "config.pbtxt")
        spec = sized(model, DIMENSIONS)
        shapes = {tensor.name: list(tensor.shape) for tensor in (*spec.inputs, *spec.outputs)}
        assert {tensor.name: list(tensor.dims) for tensor in (*config.input, *config.output)} == shapes
        for warmup in config.model_warmup:
            for name, tensor in warmup.inputs.items():
                assert list(tensor.dims) == shapes[name]


def test_the_manifest_names_the_family(published: Path) -> None:
    """Dims and configuration are part of the identity."""
    manifest = json.loads((published / "repository" / "manifest.json").read_text())
    identity = manifest["identity"]
    assert identity["family"] == manifest["card"]["family"] == published.name
    assert (identity["image_size"], identity["text_length"], identity["embedding_dim"]) == (
        IMAGE_SIZE,
        TEXT_LENGTH,
        EMBEDDING_DIM,
    )
    assert identity["sizes"]["pixel_mean"] == [0.48, 0.46, 0.41]


def test_the_published_tokenizer_pads_to_the_familys_length(published: Path) -> None:
    """The server reads the length and the padding from the file."""
    path = published / "repository" / "text_tokenize" / "1" / "tokenizer.json"
    assert Tokenizer.from_file(path)(["red dress"]).shape == (1, TEXT_LENGTH)


def test_an_unchanged_checkpoint_is_published_once(published: Path) -> None:
    """A second call does nothing."""
    options = ["--checkpoint", str(published / "checkpoint"), "--out", str(published / "repository")]
    result = CliRunner().invoke(main, ["publish", *options])
    assert result.output == f"{published / 'repository'} is up to date\n"


def test_a_graph_of_another_family_is_refused(published: Path, tmp_path: Path) -> None:
    """Tensors of other dims or names are said before anything runs."""
    graphs_of(published, tmp_path)
    with pytest.raises(
        ExportError, match=r"image_encoder\.onnx: has the tensors .*32.*, and the encoder's are"
    ):
        open_graph(tmp_path, IMAGE_ENCODER)


def test_a_graph_without_an_input_is_refused(published: Path, tmp_path: Path, networks: Networks) -> None:
    """A fusion graph that lost its reference is no fusion graph."""
    path = graph_path(graphs_of(published, tmp_path), "fusion_encoder")
    graph = onnx.load(path)
    reference = next(value for value in graph.graph.input if value.name == "reference_embedding")
    graph.graph.input.remove(reference)
    constant = onnx.numpy_helper.from_array(np.zeros((1, EMBEDDING_DIM), np.float32), "reference_embedding")
    graph.graph.initializer.append(constant)
    onnx.save(graph, path)
    spec = next(spec for spec in networks.specs() if spec.name == "fusion_encoder")
    with pytest.raises(ExportError, match=r"fusion_encoder\.onnx: has the tensors .*'token_ids'.* and the"):
        open_graph(tmp_path, spec)


def test_a_corrupt_graph_is_named(published: Path, tmp_path: Path, networks: Networks) -> None:
    """Bytes that are no graph end with the file's name."""
    path = graph_path(graphs_of(published, tmp_path), "image_encoder")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ExportError, match=r"image_encoder\.onnx: ONNX Runtime does not open it"):
        open_graph(tmp_path, networks.specs()[0])


def test_a_changed_normalisation_is_another_identity(tmp_path: Path) -> None:
    """Pixels that are normalised otherwise give other embeddings."""
    write_checkpoint(tmp_path, "clip")
    before = identify(open_family(tmp_path), precisions={}, calibration="", picture=PICTURE)
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "image_mean": [0, 0, 0]}))
    after = identify(open_family(tmp_path), precisions={}, calibration="", picture=PICTURE)
    assert before.digest() != after.digest()
