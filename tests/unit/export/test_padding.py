"""Columns of padding are cut off in front of a graph, and the cut can be taken out again."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from encoders.pair.backbone import FEATURES
from encoders.pair.checkpoint import save_pair
from encoders.pair.kept import keep
from encoders.pair.networks import PairTextEncoder, Sizes, new_pair
from export.padding import keep_padding, trim_padding
from export.parity import example_feeds, measure_parity, open_graph, torch_run
from export.to_onnx import export_graph, graph_path, load_family
from vitrine.tensors import MAX_BATCH_SIZE

PADDING = 3
LENGTH = 8


@pytest.fixture
def graph() -> onnx.ModelProto:
    """Gives back the tokens that it is asked to compute, as whatever reads them sees them."""
    tokens = helper.make_tensor_value_info("tokens", TensorProto.INT64, ["batch", LENGTH])
    seen = helper.make_tensor_value_info("seen", TensorProto.INT64, ["batch", None])
    body = helper.make_graph([helper.make_node("Identity", ["tokens"], ["seen"])], "tokens", [tokens], [seen])
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def seen(graph: onnx.ModelProto, *texts: list[int]) -> list[list[int]]:
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    rows = np.array([text + [PADDING] * (LENGTH - len(text)) for text in texts], np.int64)
    rows_seen: list[list[int]] = session.run(["seen"], {"tokens": rows})[0].tolist()
    return rows_seen


@pytest.mark.parametrize(
    ("texts", "longest"),
    [
        ([[5, 6, 7]], 3),
        ([[5], [5, 6, 7, 8], [9, 9]], 4),
        ([[5] * LENGTH, []], LENGTH),
        ([[]], 2),  # as short as the graphs take
        ([[5]], 2),
        ([[5, PADDING, 7]], 3),  # the same id within a text is no end of it
    ],
)
def test_as_many_columns_are_left_as_the_longest_text_has(
    graph: onnx.ModelProto, texts: list[list[int]], longest: int
) -> None:
    """What is left is what the texts are, filled up to the longest of them."""
    trim_padding(graph, "tokens", PADDING)
    onnx.checker.check_model(graph, full_check=True)
    assert seen(graph, *texts) == [text + [PADDING] * (longest - len(text)) for text in texts]


def test_the_cut_is_taken_out_again(graph: onnx.ModelProto, tmp_path: Path) -> None:
    """The copy reads all columns, its nodes are those before; the graph itself stays as it is."""
    nodes = [node.SerializeToString() for node in graph.graph.node]
    trim_padding(graph, "tokens", PADDING)
    written = tmp_path / "graphs" / "encoder.onnx"
    written.parent.mkdir()
    onnx.save(graph, written)
    kept = keep_padding(written, tmp_path)
    assert kept == tmp_path / "encoder.onnx"
    copied = onnx.load(kept)
    assert [node.SerializeToString() for node in copied.graph.node] == nodes
    assert seen(copied, [5]) == [[5] + [PADDING] * (LENGTH - 1)]
    assert seen(onnx.load(written), [5]) == [[5, PADDING]]


def test_a_graph_without_a_cut_is_no_copy(graph: onnx.ModelProto, tmp_path: Path) -> None:
    """Nothing is written for it."""
    written = tmp_path / "encoder.onnx"
    onnx.save(graph, written)
    (tmp_path / "scratch").mkdir()
    assert keep_padding(written, tmp_path / "scratch") == written
    assert not list((tmp_path / "scratch").iterdir())


@pytest.mark.slow
def test_the_texts_of_a_pair_are_cut_and_embedded_as_before(tmp_path: Path) -> None:
    """The table of words is asked for what is left of texts of every length, alone and in a batch; pictures come as in torch."""
    torch.manual_seed(1)
    features = torch.rand(300, 1, FEATURES).half().numpy()
    made = keep(new_pair(Sizes(head_width=32, fusion_width=16)), features, torch.randn(300, 512))
    save_pair(tmp_path, made, card={})
    networks = load_family(tmp_path)
    text = networks.parts["text_encoder"]
    assert isinstance(text, PairTextEncoder)
    specs = {spec.name: spec for spec in networks.specs()}
    # Of pictures, which nothing is cut from, a few say it: torch computes them slowly.
    for name, least, rows in (("text_encoder", 0.999999, MAX_BATCH_SIZE), ("image_encoder", 0.9999, 4)):
        encoder, spec = networks.parts[name], specs[name]
        onnx.save(export_graph(encoder, spec), graph_path(tmp_path, name))
        feeds = example_feeds(spec, rows=rows, vocabulary=text.vocabulary, padding=text.padding)
        parity = measure_parity(torch_run(encoder), open_graph(tmp_path, spec), feeds)
        assert min(parity.minimum_cosine, parity.batch_cosine) > least
    nodes = onnx.load(graph_path(tmp_path, "text_encoder")).graph.node
    assert [node.op_type for node in nodes if "token_ids" in node.input] == ["Equal", "Slice"]
