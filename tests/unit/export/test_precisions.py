"""Graphs in other precisions: how they are made, what they may lose, and which one is served."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto

from catalogue.grammar import caption
from catalogue.splits import CLUSTER_SIZE, Splits, make_splits
from export.choice import Choice, fastest, read_choice, uniform, write_choice
from export.cli import main
from export.errors import ExportError
from export.graphs import convert_graphs, make_published_graphs, reduce_graphs
from export.manifest import open_family
from export.parity import Feeds, open_graph, torch_run
from export.quality import HeldOut, check_loss, held_out, measure_recalls
from export.quantise import calibrate, quantise
from export.report import chosen, parity_of, report_precisions
from export.repository import Graphs
from export.samples import draw_samples
from export.timing import BATCHES, time_run
from export.to_onnx import Networks, graph_path, load_family
from vitrine.tensors import EMBEDDING_DIM, ENCODERS, IMAGE_ENCODER, IMAGE_SIZE

pytestmark = pytest.mark.slow

ROWS = 32


@pytest.fixture(scope="module")
def splits() -> Splits:
    """A catalogue whose every split has ROWS products or fewer."""
    return make_splits(train_clusters=8, test_clusters=8, seen_clusters=1)


@pytest.fixture(scope="module")
def few() -> Splits:
    """A catalogue that is drawn in a second."""
    return make_splits(train_clusters=2, test_clusters=1, seen_clusters=1)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keeps the pictures of the few."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def networks(weights: Path) -> Networks:
    return load_family(weights)


@pytest.fixture(scope="module")
def samples(networks: Networks, graphs: Path, splits: Splits) -> Mapping[str, Feeds]:
    return draw_samples(
        splits.train, networks.family, {"image_encoder": open_graph(graphs, IMAGE_ENCODER)}, rows=ROWS
    )


@pytest.fixture(scope="module")
def ranges(graphs: Path, samples: Mapping[str, Feeds]) -> Mapping[str, Any]:
    return {spec.name: calibrate(graph_path(graphs, spec.name), samples[spec.name]) for spec in ENCODERS}


def weight_types(path: Path) -> set[int]:
    return {tensor.data_type for tensor in onnx.load(path).graph.initializer if len(tensor.dims) > 1}


def test_samples_are_products_of_the_split(samples: Mapping[str, Feeds], splits: Splits) -> None:
    """Pictures and captions of the same products, and a reference for every change."""
    assert samples["image_encoder"]["pixels"].shape == (ROWS, IMAGE_SIZE, IMAGE_SIZE, 3)
    assert len(np.unique(samples["image_encoder"]["pixels"], axis=0)) == ROWS
    assert len(samples["text_encoder"]["token_ids"]) == ROWS
    fusion = samples["fusion_encoder"]
    assert len(fusion["reference_embedding"]) == len(fusion["token_ids"]) == ROWS
    assert CLUSTER_SIZE * len(splits.train.clusters) == ROWS


def test_int8_graphs_hold_int8_weights_of_seven_bits(
    networks: Networks, graphs: Path, splits: Splits, ranges: Mapping[str, Any], tmp_path: Path
) -> None:
    """No product of two bytes overflows the sixteen bits of processors without VNNI; embeddings stay close."""
    made = convert_graphs(networks, graphs, tmp_path, choice=uniform("int8", ranges=ranges), splits=splits)
    for spec in ENCODERS:
        body = onnx.load(graph_path(tmp_path, spec.name)).graph
        quantised = [
            onnx.numpy_helper.to_array(t) for t in body.initializer if t.data_type == TensorProto.INT8
        ]
        weights = [tensor for tensor in quantised if tensor.ndim > 1]
        assert weights
        assert max(np.abs(tensor.astype(int)).max() for tensor in weights) <= 64
        assert 0.99 < made.parity[spec.name]["minimum_cosine"] < 0.9999999
        assert made.parity[spec.name]["batch_cosine"] > 0.999999


def test_equal_ranges_give_equal_graphs(graphs: Path, ranges: Mapping[str, Any], tmp_path: Path) -> None:
    """Wherever an int8 graph is made, it is the same, so its vectors may meet in one index."""
    for name in ("first", "second"):
        quantise(graph_path(graphs, "text_encoder"), tmp_path / name, ranges["text_encoder"])
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_ranges_of_another_graph_are_refused(graphs: Path, ranges: Mapping[str, Any], tmp_path: Path) -> None:
    """Scales for tensors that the graph does not have are of no use."""
    with pytest.raises(ExportError, match=r"text_encoder\.onnx: calibrated as another graph"):
        quantise(graph_path(graphs, "text_encoder"), tmp_path / "out", ranges["image_encoder"])


def test_fp16_graphs_hold_fp16_weights_and_keep_their_tensors(
    networks: Networks, graphs: Path, splits: Splits, tmp_path: Path
) -> None:
    """Clients of an fp16 encoder send and get what they always do."""
    made = convert_graphs(networks, graphs, tmp_path, choice=uniform("fp16"), splits=splits)
    for spec in ENCODERS:
        assert TensorProto.FLOAT16 in weight_types(graph_path(tmp_path, spec.name))
        assert TensorProto.FLOAT not in weight_types(graph_path(tmp_path, spec.name))
        open_graph(tmp_path, spec)
        assert made.parity[spec.name]["minimum_cosine"] > 0.999


def test_encoders_may_be_of_different_precisions(
    networks: Networks, graphs: Path, splits: Splits, ranges: Mapping[str, Any], tmp_path: Path
) -> None:
    """Each is made as the choice says, and the choice is named in full."""
    choice = Choice(
        precisions={"image_encoder": "int8", "text_encoder": "fp32", "fusion_encoder": "fp32"},
        ranges={"image_encoder": ranges["image_encoder"]},
    )
    convert_graphs(networks, graphs, tmp_path, choice=choice, splits=splits)
    assert TensorProto.INT8 in weight_types(graph_path(tmp_path, "image_encoder"))
    for name in ("text_encoder", "fusion_encoder"):
        assert graph_path(tmp_path, name).read_bytes() == graph_path(graphs, name).read_bytes()
    assert choice.label() == "image_encoder int8, text_encoder fp32, fusion_encoder fp32"


def test_a_graph_without_an_input_ends_a_conversion(
    networks: Networks, graphs: Path, splits: Splits, tmp_path: Path
) -> None:
    """What is broken is named before anything is drawn or calibrated."""
    for spec in ENCODERS:
        graph_path(tmp_path, spec.name).write_bytes(graph_path(graphs, spec.name).read_bytes())
    broken = onnx.load(graph_path(tmp_path, "fusion_encoder"))
    (reference,) = (value for value in broken.graph.input if value.name == "reference_embedding")
    broken.graph.input.remove(reference)
    zeros = onnx.numpy_helper.from_array(np.zeros((1, EMBEDDING_DIM), np.float32), reference.name)
    broken.graph.initializer.append(zeros)
    onnx.save(broken, graph_path(tmp_path, "fusion_encoder"))
    with pytest.raises(ExportError, match=r"fusion_encoder\.onnx: has the tensors"):
        reduce_graphs(
            networks, tmp_path, tmp_path / "out", precision="int8", work=tmp_path / "work", splits=splits
        )
    assert not (tmp_path / "out").exists()


def questions() -> HeldOut:
    """Six pictures of three captions, of which two are asked for; each picture's first pixel is its caption."""
    captions = np.array([0, 0, 1, 1, 2, 2])
    pixels = np.zeros((6, 1, 1, 3), np.uint8)
    pixels[:, 0, 0, 0] = captions
    ids = np.arange(3)[:, None]
    sources, targets = np.array([0, 2]), np.array([1, 0])
    return HeldOut(
        pixels=pixels,
        captions=captions,
        caption_ids=ids[:2],
        change_ids=ids[targets],
        sources=sources,
        targets=targets,
    )


def test_recall_counts_what_has_the_wanted_caption_first() -> None:
    """Encoders that know find all; a text encoder that mixes two captions up finds none at the first place."""
    space = np.eye(3, dtype=np.float32)
    runs = {
        "image_encoder": lambda feeds: space[feeds["pixels"][:, 0, 0, 0]],
        "text_encoder": lambda feeds: space[feeds["token_ids"][:, 0]],
        "fusion_encoder": lambda feeds: space[feeds["token_ids"][:, 0]],
    }
    found = measure_recalls(runs, questions())
    assert {task: figures["R@1"] for task, figures in found.items()} == {
        "text": 100,
        "image": 100,
        "composed": 100,
    }
    mixed = runs | {"text_encoder": lambda feeds: space[1 - feeds["token_ids"][:, 0]]}
    found = measure_recalls(mixed, questions())
    assert (found["text"]["R@1"], found["image"]["R@1"]) == (0, 100)


def test_questions_are_of_held_out_products(networks: Networks, few: Splits, work: Path) -> None:
    """Every split is in the gallery; captions that are asked for are those that training has not seen."""
    asked = held_out(networks.family, work, few)
    pictures = [len(list(split.pictures())) for split in (few.iid, few.ood, few.seen)]
    assert len(asked.pixels) == len(asked.captions) == sum(pictures)
    unseen = {caption(spec) for split in (few.iid, few.ood) for spec in split.specs()}
    assert len(asked.caption_ids) == len(unseen)
    assert len(asked.change_ids) == len(asked.sources) == len(asked.targets) > 0
    assert (asked.captions[asked.sources] != asked.targets).all()


def test_half_a_point_may_be_lost_and_no_more() -> None:
    """What R@10 loses decides; R@1 is reported."""
    before = {"text": {"R@1": 50.0, "R@10": 90.0, "R@50": 99.0}}
    after = {"text": {"R@1": 40.0, "R@10": 89.5, "R@50": 80.0}}
    assert check_loss(before, after, precision="int8") == {"text": {"R@1": 10.0, "R@10": 0.5}}
    after["text"]["R@10"] = 89.49
    with pytest.raises(ExportError, match=r"int8 loses 0\.51 points of R@10 by text; at most 0\.5"):
        check_loss(before, after, precision="int8")


def test_the_fastest_is_chosen_where_it_is_worth_it() -> None:
    """Five percent decide; less is noise."""
    rates = {
        "image_encoder": {"fp32": 100.0, "int8": 280.0, "fp16": 90.0},
        "text_encoder": {"fp32": 100.0, "int8": 104.0, "fp16": 90.0},
        "fusion_encoder": {"fp32": 100.0, "int8": 80.0, "fp16": 90.0},
    }
    assert fastest(rates) == {"image_encoder": "int8", "text_encoder": "fp32", "fusion_encoder": "fp32"}


def test_timing_measures_every_batch(networks: Networks, samples: Mapping[str, Feeds]) -> None:
    """Each case says its batch, its runs and its rate; the best run is no slower than the median one."""
    cases = time_run(torch_run(networks.parts["text_encoder"]), samples["text_encoder"])
    assert [case["batch"] for case in cases] == list(BATCHES)
    for case in cases:
        assert case["runs"] >= 3
        assert 0 < case["best_ms"] <= case["median_ms"]
        assert case["rows_per_cpu_s"] > 0


def test_a_report_has_all_and_speaks_for_a_choice(
    networks: Networks, graphs: Path, few: Splits, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recall, parity, size and speed of what was given, and the choice that follows."""
    monkeypatch.setattr("export.report.compiled_run", torch_run)  # compiling takes half a minute
    report = report_precisions(networks, [graphs], work=work, splits=few)
    results = report["results"]
    assert results["recall"]["fp32"]["lost"]["text"] == {"R@1": 0, "R@10": 0}
    assert results["encoders"]["text_encoder"]["fp32"]["minimum_cosine"] > 0.999999
    assert len(results["timing"]) == 3 * 3 * len(BATCHES)
    choice = chosen([graphs], report)
    assert choice.precisions == uniform("fp32").precisions
    assert choice.quality["faster"] == {"image_encoder": 1.0, "text_encoder": 1.0, "fusion_encoder": 1.0}


def test_two_folders_of_one_precision_are_refused(
    networks: Networks, graphs: Path, few: Splits, work: Path
) -> None:
    """A table has one row for each."""
    with pytest.raises(ExportError, match="are of one precision; name one of each"):
        report_precisions(networks, [graphs, graphs], work=work, splits=few)


def test_a_choice_is_of_its_weights_alone(write_weights: Any, ranges: Mapping[str, Any]) -> None:
    """It is read as it was written, and not at all beside other weights."""
    family = open_family(write_weights(3))
    choice = uniform("int8", ranges=ranges, quality={"lost": {"text": {"R@10": 0.0}}})
    assert read_choice(family) is None
    write_choice(family, choice)
    assert read_choice(family) == choice
    with family.weights["text_encoder"].open("ab") as file:
        file.write(b"\0")
    assert read_choice(family) is None


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"export_version": 1, "weights": {}, "ranges": {"x": 3}}']
)
def test_a_damaged_choice_is_named(write_weights: Any, content: str) -> None:
    """A file that is not as it was written is an error, never fp32 in silence."""
    family = open_family(write_weights(3))
    (family.folder / "precisions.json").write_text(content)
    with pytest.raises(ExportError, match=r"precisions\.json: "):
        read_choice(family)


def test_what_was_adopted_is_published(
    write_weights: Any,
    graphs: Path,
    ranges: Mapping[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Auto takes the choice with its ranges, and calibrates and judges nothing; without a choice it is fp32."""
    exported = Graphs(folder=graphs, choice=uniform("fp32"), parity={})
    monkeypatch.setattr(
        "export.graphs.make_graphs", lambda *_, **__: exported
    )  # of equal weights, and in seconds
    networks, work = load_family(write_weights(1)), tmp_path / "work"
    assert make_published_graphs(networks, tmp_path / "a", precision="auto", work=work) is exported
    write_choice(networks.family, uniform("int8", ranges=ranges))
    made = make_published_graphs(networks, tmp_path / "a", precision="auto", work=work)
    assert made.choice == uniform("int8", ranges=ranges)
    assert TensorProto.INT8 in weight_types(graph_path(made.folder, "fusion_encoder"))
    assert not work.exists()
    assert make_published_graphs(networks, tmp_path / "b", precision="fp32", work=work) is exported


def test_adopting_without_a_report_is_refused(weights: Path) -> None:
    """A choice is kept with its figures."""
    result = CliRunner().invoke(main, ["verify", "--weights", str(weights), "--adopt"])
    assert result.exit_code == 2
    assert "--adopt needs --report" in result.output


def test_graphs_of_other_weights_are_not_compared(write_weights: Any, graphs: Path) -> None:
    """A report.json tells which weights its graphs are of."""
    others = load_family(write_weights(2))
    with pytest.raises(ExportError, match=r"made of other weights than .*; export anew"):
        parity_of(others, graphs)
    assert json.loads((graphs / "report.json").read_text())["precision"] == "fp32"
