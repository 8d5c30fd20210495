"""The exported graphs give what the networks give, and a graph that does not is refused."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from export.errors import ExportError
from export.parity import check_parity, example_feeds, open_graph
from export.to_onnx import Networks, graph_path, load_family
from vitrine.preprocess import PAD_ID
from vitrine.tensors import EMBEDDING_DIM, ENCODERS, IMAGE_ENCODER, MAX_BATCH_SIZE, TEXT_ENCODER, ModelSpec

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def networks(weights: Path) -> Networks:
    return load_family(weights)


@pytest.mark.parametrize("spec", ENCODERS, ids=lambda spec: spec.name)
def test_graph_has_the_tensors_of_the_contract(graphs: Path, spec: ModelSpec) -> None:
    """Inputs and outputs bear the names and dims of vitrine.tensors behind a dynamic batch."""
    graph = onnx.load(graph_path(graphs, spec.name)).graph
    for values, tensors in ((graph.input, spec.inputs), (graph.output, spec.outputs)):
        assert [value.name for value in values] == [tensor.name for tensor in tensors]
        for value, tensor in zip(values, tensors, strict=True):
            batch, *dims = value.type.tensor_type.shape.dim
            assert batch.dim_param
            assert tuple(dim.dim_value for dim in dims) == tensor.shape


@pytest.mark.parametrize("spec", ENCODERS, ids=lambda spec: spec.name)
def test_graph_is_lean(graphs: Path, spec: ModelSpec) -> None:
    """Batch normalisation is folded away, and no node tells of the machine that exported it."""
    model = onnx.load(graph_path(graphs, spec.name))
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    assert str(Path(__file__).parents[3]).encode() not in model.SerializeToString()


@pytest.mark.parametrize("spec", ENCODERS, ids=lambda spec: spec.name)
@pytest.mark.parametrize("rows", [1, 5, MAX_BATCH_SIZE])
def test_embeddings_are_normalised_float32(graphs: Path, spec: ModelSpec, rows: int) -> None:
    """Any batch gives one L2-normalised row for each, the one of an empty text included."""
    embeddings = open_graph(graphs, spec)(example_feeds(spec, rows=rows, vocabulary=12))
    assert embeddings.shape == (rows, EMBEDDING_DIM)
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)


def test_examples_cover_the_range_of_the_inputs() -> None:
    """Pictures from dark to bright, texts from empty to full."""
    pixels = example_feeds(IMAGE_ENCODER, rows=32, vocabulary=12)["pixels"]
    assert pixels[0].max() == 0
    assert pixels[-1].max() == 255
    ids = example_feeds(TEXT_ENCODER, rows=32, vocabulary=12)["token_ids"]
    assert (ids[0] == PAD_ID).all()
    assert (ids[-1] != PAD_ID).all()
    assert ids.max() == 11


def test_parity_holds_for_what_was_exported(networks: Networks, graphs: Path) -> None:
    """Each encoder agrees with torch to float precision, alone and in a batch."""
    report = check_parity(networks, partial(open_graph, graphs))
    assert set(report) == {spec.name for spec in ENCODERS}
    for parity in report.values():
        assert parity.rows == 3 * MAX_BATCH_SIZE
        assert parity.minimum_cosine > 0.999999
        assert parity.batch_cosine > 0.999999
        assert parity.largest_difference < 1e-5


def test_graphs_of_other_weights_are_refused(write_weights: Any, graphs: Path) -> None:
    """A graph that gives other embeddings than the network fails, by name and cosine."""
    others = load_family(write_weights(2))
    with pytest.raises(ExportError, match=r"image_encoder: cosine to torch is .*; at least 0.9999"):
        check_parity(others, partial(open_graph, graphs))


def test_nan_is_no_parity(networks: Networks) -> None:
    """An embedding that is no number fails, whatever it is compared with."""

    def broken(feeds: Mapping[str, np.ndarray]) -> np.ndarray:
        rows = len(next(iter(feeds.values())))
        return np.full((rows, EMBEDDING_DIM), np.nan, dtype=np.float32)

    with pytest.raises(ExportError, match="cosine to torch is nan"):
        check_parity(networks, lambda _: broken)


def test_a_missing_graph_names_its_file_and_the_way_out(tmp_path: Path) -> None:
    """Verification without an export says what to run."""
    with pytest.raises(ExportError, match=r"image_encoder.onnx: missing; `python -m export onnx`"):
        open_graph(tmp_path, IMAGE_ENCODER)


def test_missing_weights_are_said_plainly(tmp_path: Path) -> None:
    """A folder that holds no family is named."""
    with pytest.raises(ExportError, match=r"card.json: missing"):
        load_family(tmp_path)
