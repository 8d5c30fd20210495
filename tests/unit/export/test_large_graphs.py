"""An encoder that is too large for one ONNX file is written in fp16, with its weights beside the graph if need be."""

from pathlib import Path

import onnx
import pytest
import torch

from encoders.families import read_family
from encoders.paper.loading import load_paper
from encoders.testing import WORDS, FamilyName, write_checkpoint
from export.choice import uniform
from export.errors import ExportError
from export.folders import copy_graph, data_path
from export.graphs import _convert, make_graphs
from export.large import HalvedNetwork, is_halved, weights_bytes
from export.parity import example_feeds
from export.repository import Graphs, Publication, publish
from export.to_onnx import Networks, graph_path, load_family
from vitrine.repository import verified_digest
from vitrine.tensors import ModelSpec

pytestmark = pytest.mark.slow

LARGEST = 2_000
"""Bytes: less than any encoder of the tests has."""


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Networks:
    """A tiny family, large by the limit above."""
    folder = tmp_path_factory.mktemp("checkpoint")
    write_checkpoint(folder, "paper")
    return load_family(folder)


class OneNetwork(Networks):
    """A family whose encoder of texts alone is exported: each export takes seconds."""

    def specs(self) -> tuple[ModelSpec, ...]:
        """Return that one."""
        return tuple(spec for spec in super().specs() if spec.name == "text_encoder")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> OneNetwork:
    """An encoder that is exported in less time."""
    folder = tmp_path_factory.mktemp("plain")
    write_checkpoint(folder, "clip")
    loaded = load_family(folder)
    return OneNetwork(family=loaded.family, parts=loaded.parts)


@pytest.fixture(scope="module")
def made(networks: Networks, tmp_path_factory: pytest.TempPathFactory) -> Graphs:
    """Its graphs."""
    return make_graphs(networks, tmp_path_factory.mktemp("graphs"), largest=LARGEST)


def test_a_large_encoder_is_fp16_with_its_weights_beside_it(made: Graphs) -> None:
    """Its graph holds next to nothing, and agrees with torch in fp32 as every fp16 graph must."""
    assert made.choice == uniform("fp16")
    for name, parity in made.parity.items():
        path = graph_path(made.folder, name)
        assert is_halved(path)
        assert data_path(path).stat().st_size > LARGEST
        assert 0.999 < parity["minimum_cosine"] <= 1.000001


def test_fp32_is_written_where_it_is_asked_for(plain: Networks, tmp_path: Path) -> None:
    """Large or not, with the weights beside the graph, and as near to torch as any fp32 graph."""
    made = make_graphs(plain, tmp_path, large="fp32", largest=LARGEST)
    assert made.choice.precisions == {"text_encoder": "fp32"}
    assert data_path(graph_path(tmp_path, "text_encoder")).exists()
    assert made.parity["text_encoder"]["minimum_cosine"] > 0.999999


def test_what_fits_in_fp16_is_one_file(plain: Networks, tmp_path: Path) -> None:
    """Weights go beside a graph only where fp16 alone does not help."""
    text = plain.parts["text_encoder"]
    most = weights_bytes(HalvedNetwork(text))
    assert most < weights_bytes(text)
    made = make_graphs(plain, tmp_path, largest=most)
    assert made.choice.precisions == {"text_encoder": "fp16"}
    assert not list(tmp_path.glob("*.data"))


def test_notes_of_the_exporter_are_stripped(made: Graphs) -> None:
    """A graph with its weights beside it tells no more of the machine than another."""
    for name in made.choice.precisions:
        graph = onnx.load(graph_path(made.folder, name), load_external_data=False).graph
        assert not any(node.metadata_props or node.doc_string for node in graph.node)


def test_a_large_graph_is_copied_with_its_weights(made: Graphs, tmp_path: Path) -> None:
    """Under another name the graph still finds them."""
    copy_graph(graph_path(made.folder, "text_encoder"), tmp_path / "model.onnx")
    onnx.checker.check_model(str(tmp_path / "model.onnx"))
    assert (tmp_path / "text_encoder.onnx.data").exists()


def test_int8_of_a_large_graph_is_refused(made: Graphs, tmp_path: Path) -> None:
    """What cannot be calibrated is said with the precision that can be had."""
    path = graph_path(made.folder, "text_encoder")
    with pytest.raises(
        ExportError, match=r"text_encoder\.onnx: too large for one file .* publish it in fp16"
    ):
        _convert(path, tmp_path / "model.onnx", "int8", {})
    _convert(path, tmp_path / "model.onnx", "fp16", None)
    assert is_halved(tmp_path / "model.onnx")


def test_large_graphs_are_published(networks: Networks, made: Graphs, tmp_path: Path) -> None:
    """The repository holds the weights beside each graph, and its manifest proves them."""
    publication = Publication(target="local", weights=networks.family.folder, out=tmp_path / "repository")
    publish(publication, lambda _: made)
    encoder = tmp_path / "repository" / "image_encoder"
    assert (encoder / "1" / "image_encoder.onnx.data").exists()
    config = (encoder / "config.pbtxt").read_text()
    digest = next(line.split('"')[1] for line in config.splitlines() if "string_value" in line)
    assert verified_digest(encoder, digest) == digest


@pytest.mark.parametrize("name", ["clip", "siglip"])
@torch.inference_mode()
def test_towers_of_other_families_can_be_halved(tmp_path: Path, name: FamilyName) -> None:
    """Each network answers in float32 what it answered before, nearly."""
    write_checkpoint(tmp_path, name)
    networks = load_family(tmp_path)
    for spec in networks.specs():
        network = networks.parts[spec.name]
        feeds = example_feeds(spec, rows=4, vocabulary=len(WORDS)).values()
        inputs = [torch.from_numpy(feed) for feed in feeds]
        given = HalvedNetwork(network)(*inputs)
        assert given.dtype == torch.float32
        assert (given * network(*inputs)).sum(1).min() > 0.999


@torch.inference_mode()
def test_a_t5_keeps_in_fp32_what_overflows(tmp_path: Path) -> None:
    """Sums above what fp16 holds run through its layers, and its answer is finite."""
    write_checkpoint(tmp_path, "paper")
    text = load_paper(read_family(tmp_path))["text_encoder"]
    for name, weight in text.named_parameters():
        if name.endswith("wo.weight"):
            weight.mul_(3e5)
    ids = torch.tensor([[3, 5, 6] + [0] * 13])
    halved = HalvedNetwork(text)
    assert torch.isfinite(halved(ids)).all()
    assert (halved(ids) * text(ids)).sum() > 0.999
    assert {weight.dtype for weight in halved.parameters()} == {torch.float16, torch.float32}
