"""A repository is published whole or not at all, and only when something has changed."""

import json
import shutil
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from export.choice import uniform
from export.errors import ExportError
from export.manifest import EXPORT_VERSION, file_digest, open_family, read_manifest, weights_digests
from export.model_config import read_config
from export.repository import PICTURE, PLANS_FILE, Graphs, Publication, publish
from vitrine.tensors import ENCODERS, ENSEMBLES, MANIFEST_PARAMETER, MODELS


@pytest.fixture
def own_weights(weights: Path, tmp_path: Path) -> Path:
    """Weights that a test may change."""
    return Path(shutil.copytree(weights, tmp_path / "weights"))


def local(weights: Path, out: Path) -> Publication:
    return Publication(target="local", weights=weights, out=out)


def plans_of(weights: Path, folder: Path) -> Path:
    folder.mkdir()
    for spec in ENCODERS:
        (folder / f"{spec.name}.plan").write_bytes(spec.name.encode())
    digests = {spec.name: file_digest(folder / f"{spec.name}.plan") for spec in ENCODERS}
    stamp = {
        "precision": "fp32",
        "weights": weights_digests(open_family(weights)),
        "plans": digests,
        "parity": {},
    }
    (folder / PLANS_FILE).write_text(json.dumps(stamp))
    return folder


def manifest_of(out: Path) -> dict[str, object]:
    manifest = read_manifest(out)
    assert manifest is not None
    return manifest


def test_every_model_has_its_folder_and_version(weights: Path, tmp_path: Path, exporter: Any) -> None:
    """Ten models, each with a configuration and a version that holds what it runs."""
    out = tmp_path / "repository"
    assert publish(local(weights, out), exporter)
    assert {path.name for path in out.iterdir() if path.is_dir()} == {spec.name for spec in MODELS}
    for spec in MODELS:
        assert read_config(out / spec.name / "config.pbtxt").name == spec.name
        assert (out / spec.name / "1").is_dir()
    for spec in ENCODERS:
        assert (out / spec.name / "1" / "model.onnx").read_bytes() == spec.name.encode()
        assert (out / spec.name / "1" / "model.py").exists()
    for name in ("text_tokenize", "query_prepare"):
        tokenizer = out / name / "1" / "tokenizer.json"
        assert tokenizer.read_bytes() == (weights / "tokenizer.json").read_bytes()


@pytest.mark.parametrize("model", ["image_decode", "query_prepare"])
def test_warm_up_picture_is_in_tritons_raw_form(
    weights: Path, tmp_path: Path, exporter: Any, model: str
) -> None:
    """The picture is preceded by its length, and the configuration names its file."""
    out = tmp_path / "repository"
    publish(local(weights, out), exporter)
    config = read_config(out / model / "config.pbtxt")
    name = config.model_warmup[0].inputs["image"].input_data_file
    raw = (out / model / "warmup" / name).read_bytes()
    assert struct.unpack("<I", raw[:4]) == (len(raw) - 4,)
    assert raw[4:] == PICTURE.read_bytes()


def test_every_ensemble_carries_the_manifests_digest(weights: Path, tmp_path: Path, exporter: Any) -> None:
    """Clients read from any ensemble which embeddings they get."""
    out = tmp_path / "repository"
    publish(local(weights, out), exporter)
    digest = manifest_of(out)["digest"]
    for spec in ENSEMBLES:
        config = read_config(out / spec.name / "config.pbtxt")
        assert config.parameters[MANIFEST_PARAMETER].string_value == digest


def test_manifest_says_what_the_repository_is_made_of(weights: Path, tmp_path: Path, exporter: Any) -> None:
    """Identity, target, parity, card, environment and every file are in the manifest."""
    out = tmp_path / "repository"
    publish(local(weights, out), exporter)
    manifest = manifest_of(out)
    assert manifest["target"] == "local"
    assert manifest["parity"] == {"image_encoder": {"minimum_cosine": 1.0}}
    assert manifest["card"] == json.loads((weights / "card.json").read_text())
    files = manifest["files"]
    assert isinstance(files, dict)
    assert files == {
        str(path.relative_to(out)): file_digest(path)
        for path in out.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }


def test_manifest_tells_what_the_embeddings_are_and_what_they_are_worth(
    weights: Path, tmp_path: Path, exporter: Any
) -> None:
    """Family, weights, precisions, dims and export version are the identity; quality figures stand beside it."""
    out = tmp_path / "repository"
    quality = {"lost": {"text": {"R@1": 0.25, "R@10": 0.0}}, "faster": {"text_encoder": 1.5}}
    ranges = {"text_encoder": {"tensor": (-1.0, 2.0)}}

    def reduced(folder: Path) -> Graphs:
        return replace(exporter(folder), choice=uniform("int8", ranges=ranges, quality=quality))

    publish(local(weights, out), reduced)
    manifest = manifest_of(out)
    identity = manifest["identity"]
    assert isinstance(identity, dict)
    assert identity["family"] == "vitrine-small"
    assert identity["weights"] == {s.name: file_digest(weights / f"{s.name}.safetensors") for s in ENCODERS}
    assert identity["precisions"] == {spec.name: "int8" for spec in ENCODERS}
    assert (identity["embedding_dim"], identity["image_size"], identity["text_length"]) == (256, 64, 32)
    assert identity["export_version"] == EXPORT_VERSION
    assert manifest["quality"] == quality


def test_every_precision_and_calibration_is_an_identity_of_its_own(
    weights: Path, tmp_path: Path, exporter: Any
) -> None:
    """Vectors of fp32, of int8 and of int8 that was calibrated otherwise never meet in one index."""
    choices = [
        uniform("fp32"),
        uniform("int8", ranges={"text_encoder": {"tensor": (-1.0, 2.0)}}),
        uniform("int8", ranges={"text_encoder": {"tensor": (-1.0, 3.0)}}),
    ]
    digests = set()
    for number, choice in enumerate(choices):
        out = tmp_path / str(number)
        publish(local(weights, out), lambda folder, choice=choice: replace(exporter(folder), choice=choice))
        digests.add(manifest_of(out)["digest"])
    assert len(digests) == len(choices)


@pytest.mark.parametrize(
    ("target", "wanted", "made"),
    [
        ("local", "auto", "auto"),
        ("onnxruntime", "auto", "fp32"),
        ("onnxruntime", "int8", "int8"),
        ("local", "fp32", "fp32"),
    ],
)
def test_what_is_fastest_on_a_cpu_is_the_default_of_local_alone(target: Any, wanted: Any, made: str) -> None:
    """Other targets stay fp32 unless they are told."""
    publication = Publication(target=target, weights=Path(), out=Path(), precision=wanted)
    assert publication.precision_of_graphs == made


def test_unchanged_inputs_are_published_once(weights: Path, tmp_path: Path, exporter: Any) -> None:
    """The second call exports nothing and touches nothing."""
    out = tmp_path / "repository"
    assert publish(local(weights, out), exporter)
    written = (out / "manifest.json").stat().st_mtime_ns
    assert not publish(local(weights, out), exporter)
    assert exporter.calls == 1
    assert (out / "manifest.json").stat().st_mtime_ns == written


def test_new_weights_are_published_with_a_new_digest(
    own_weights: Path, tmp_path: Path, exporter: Any
) -> None:
    """Changed weights change the identity; nothing of the old repository and no scratch is left."""
    out = tmp_path / "repository"
    publish(local(own_weights, out), exporter)
    before = manifest_of(out)["digest"]
    (out / "stray").mkdir()
    with (own_weights / "image_encoder.safetensors").open("ab") as file:
        file.write(b"\0")
    assert publish(local(own_weights, out), exporter)
    assert manifest_of(out)["digest"] != before
    assert not (out / "stray").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["repository", "weights"]


def test_new_figures_keep_the_identity(own_weights: Path, tmp_path: Path, exporter: Any) -> None:
    """A card with other figures is published anew, but an index made before stays good."""
    out = tmp_path / "repository"
    publish(local(own_weights, out), exporter)
    before = manifest_of(out)["digest"]
    card = json.loads((own_weights / "card.json").read_text())
    (own_weights / "card.json").write_text(json.dumps({**card, "recall": 0.9}))
    assert publish(local(own_weights, out), exporter)
    assert manifest_of(out)["digest"] == before


@pytest.mark.parametrize("damage", ["change", "delete", "add"])
def test_damaged_repository_is_published_anew(
    weights: Path, tmp_path: Path, damage: str, exporter: Any
) -> None:
    """Files that are not those of the manifest are noticed."""
    out = tmp_path / "repository"
    publish(local(weights, out), exporter)
    graph = out / "text_encoder" / "1" / "model.onnx"
    if damage == "delete":
        graph.unlink()
    else:
        (graph if damage == "change" else graph.with_name("other")).write_bytes(b"damaged")
    assert publish(local(weights, out), exporter)
    assert graph.read_bytes() == b"text_encoder"


def test_failed_export_leaves_the_old_repository_whole(
    own_weights: Path, tmp_path: Path, exporter: Any, failing_exporter: Any
) -> None:
    """What is served stays, and no scratch stays behind."""
    out = tmp_path / "repository"
    publish(local(own_weights, out), exporter)
    before = (out / "manifest.json").read_bytes()
    with (own_weights / "text_encoder.safetensors").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ExportError, match="cosine"):
        publish(local(own_weights, out), failing_exporter)
    assert (out / "manifest.json").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["repository", "weights"]


def test_a_folder_of_somebody_else_is_refused(weights: Path, tmp_path: Path, exporter: Any) -> None:
    """A folder that is not empty and not ours is never replaced."""
    (tmp_path / "holiday.jpg").write_bytes(b"precious")
    with pytest.raises(ExportError, match=r"is not empty and holds no manifest\.json of ours"):
        publish(local(weights, tmp_path), exporter)
    assert (tmp_path / "holiday.jpg").read_bytes() == b"precious"


def test_missing_weights_are_named(tmp_path: Path, exporter: Any) -> None:
    """The first file that is missing is named, before anything is exported."""
    with pytest.raises(ExportError, match=r"card.json: missing"):
        publish(local(tmp_path / "nowhere", tmp_path / "repository"), exporter)
    assert exporter.calls == 0


def test_onnxruntime_serves_the_same_identity(weights: Path, tmp_path: Path, exporter: Any) -> None:
    """Another target of the same graphs gives the same embeddings, so the index is shared."""
    publish(local(weights, tmp_path / "local"), exporter)
    publication = Publication(target="onnxruntime", weights=weights, out=tmp_path / "container")
    publish(publication, exporter)
    assert manifest_of(tmp_path / "container")["digest"] == manifest_of(tmp_path / "local")["digest"]
    folder = tmp_path / "container" / "image_encoder"
    assert read_config(folder / "config.pbtxt").backend == "onnxruntime"
    assert [path.name for path in (folder / "1").iterdir()] == ["model.onnx"]


def test_tensorrt_takes_plans_and_exports_nothing(weights: Path, tmp_path: Path, exporter: Any) -> None:
    """Plans that were built of these weights are published as they are."""
    plans = plans_of(weights, tmp_path / "plans")
    out = tmp_path / "repository"
    publication = Publication(target="tensorrt", weights=weights, out=out, plans=plans)
    assert publish(publication, exporter)
    assert not publish(publication, exporter)
    assert exporter.calls == 0
    assert (out / "fusion_encoder" / "1" / "model.plan").read_bytes() == b"fusion_encoder"
    assert read_config(out / "fusion_encoder" / "config.pbtxt").platform == "tensorrt_plan"


def test_plans_of_other_weights_are_refused(
    write_weights: Any, weights: Path, tmp_path: Path, exporter: Any
) -> None:
    """A plan that was built of other weights must not be served under these."""
    plans = plans_of(write_weights(2), tmp_path / "plans")
    publication = Publication(target="tensorrt", weights=weights, out=tmp_path / "out", plans=plans)
    with pytest.raises(ExportError, match="built of other weights"):
        publish(publication, exporter)


def test_exchanged_plan_is_refused(weights: Path, tmp_path: Path, exporter: Any) -> None:
    """A plan that is not the one that was checked must not be served."""
    plans = plans_of(weights, tmp_path / "plans")
    (plans / "text_encoder.plan").write_bytes(b"another")
    publication = Publication(target="tensorrt", weights=weights, out=tmp_path / "out", plans=plans)
    with pytest.raises(ExportError, match=r"text_encoder.plan: not the file"):
        publish(publication, exporter)


def test_missing_plans_say_how_to_build_them(weights: Path, tmp_path: Path, exporter: Any) -> None:
    """The target tensorrt without plans names the command and where to run it."""
    publication = Publication(
        target="tensorrt", weights=weights, out=tmp_path / "out", plans=tmp_path / "none"
    )
    with pytest.raises(ExportError, match=r"plans.json: missing; .*`python -m export tensorrt`"):
        publish(publication, exporter)
