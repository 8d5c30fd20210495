"""A deployable model repository out of weights and `model_repository/`, all at once or not at all."""

import json
import shutil
import struct
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from export.errors import ExportError
from export.manifest import (
    CARD_FILE,
    MANIFEST_FILE,
    TOKENIZER_FILE,
    Identity,
    environment,
    file_digest,
    identify,
    inputs_digest,
    read_card,
    read_manifest,
    weights_digests,
)
from export.model_config import (
    ARTEFACTS,
    CONFIG_FILE,
    Target,
    read_config,
    retarget_encoder,
    stamp_ensemble,
    write_config,
)
from vitrine.tensors import ENCODERS, ENSEMBLES, PREPROCESSORS, ModelSpec

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "model_repository"
PICTURE = SOURCE / "picture.jpg"
"""Warms up whatever decodes pictures, and its pixels stand for the preprocessing in the identity."""

PLANS_FILE = "plans.json"
"""What built the plans, of what, and how far they are from torch."""

_VERSION = "1"
_CODE = (
    "export/*.py",
    "encoders/networks.py",
    "encoders/checkpoint.py",
    "vitrine/tensors.py",
    "vitrine/preprocess.py",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What is published, and where."""

    target: Target
    weights: Path
    out: Path
    plans: Path | None = None
    """TensorRT plans; given for the target tensorrt and for no other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graphs:
    """What an export gives: a folder of artefacts and the figures of its parity."""

    folder: Path
    precision: str
    parity: Mapping[str, Any]


def publish(publication: Publication, make_graphs: Callable[[Path], Graphs]) -> bool:
    """Write the repository; False when it is already there, made of the same inputs and intact.

    A repository that is already there stays whole until the new one takes its place. What a killed call leaves
    behind is a folder beside it that starts with a dot.

    Args:
        publication: what and where.
        make_graphs: called where no plans are given and something has changed, with the folder to write to.

    Raises:
        ExportError: an input is missing or wrong, or `out` holds something that we did not write.
    """
    out = publication.out
    present = read_manifest(out)
    if present is None and out.exists() and any(out.iterdir()):
        raise ExportError(f"{out}: is not empty and holds no {MANIFEST_FILE} of ours; choose another folder")
    inputs = inputs_digest(_inputs(publication), target=publication.target)
    if present is not None and present.get("inputs") == inputs and _intact(out, present):
        return False
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
        plans = publication.plans
        graphs = _read_plans(plans, publication.weights) if plans else make_graphs(Path(scratch) / "graphs")
        fresh = Path(scratch) / "repository"
        identity = _assemble(fresh, publication, graphs)
        _write_manifest(fresh, publication, identity, {"inputs": inputs, "parity": graphs.parity})
        _replace(out, fresh, Path(scratch) / "before")
    return True


def _inputs(publication: Publication) -> dict[str, Path]:
    weights = publication.weights
    named = {f"{spec.name}.safetensors": weights / f"{spec.name}.safetensors" for spec in ENCODERS}
    named |= {name: weights / name for name in (TOKENIZER_FILE, CARD_FILE)}
    sources = [path for pattern in _CODE for path in ROOT.glob(pattern)]
    sources += [path for path in SOURCE.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    named |= {str(path.relative_to(ROOT)): path for path in sorted(sources)}
    if publication.plans is not None:
        named |= {path.name: path for path in _plan_files(publication.plans)}
    return named


def _plan_files(plans: Path) -> list[Path]:
    if not (plans / PLANS_FILE).exists():
        raise ExportError(
            f"{plans / PLANS_FILE}: missing; on the GPU that will serve, `python -m export tensorrt` writes it"
        )
    return [plans / PLANS_FILE, *(plans / f"{spec.name}.plan" for spec in ENCODERS)]


def _read_plans(plans: Path, weights: Path) -> Graphs:
    stamp = json.loads((plans / PLANS_FILE).read_text(encoding="utf-8"))
    if stamp["weights"] != weights_digests(weights):
        raise ExportError(
            f"{plans}: built of other weights than {weights}; `python -m export tensorrt` builds anew"
        )
    for name, digest in stamp["plans"].items():
        if file_digest(plans / f"{name}.plan") != digest:
            raise ExportError(f"{plans / name}.plan: not the file that {PLANS_FILE} tells of")
    return Graphs(folder=plans, precision=stamp["precision"], parity=stamp["parity"])


def _intact(repository: Path, manifest: Mapping[str, Any]) -> bool:
    files: Mapping[str, str] = manifest["files"]
    return _files(repository) == files


def _files(repository: Path) -> dict[str, str]:
    paths = sorted(path for path in repository.rglob("*") if path.is_file())
    ours = [p for p in paths if p.name != MANIFEST_FILE and "__pycache__" not in p.parts]
    return {str(path.relative_to(repository)): file_digest(path) for path in ours}


def _assemble(folder: Path, publication: Publication, graphs: Graphs) -> Identity:
    identity = identify(publication.weights, precision=graphs.precision, picture=PICTURE)
    for spec in PREPROCESSORS:
        _add_preprocessor(_model_folder(folder, spec.name), spec, publication.weights)
    for spec in ENCODERS:
        _add_encoder(_model_folder(folder, spec.name), publication.target, graphs.folder)
    for spec in ENSEMBLES:
        version = _model_folder(folder, spec.name)
        config = read_config(SOURCE / spec.name / CONFIG_FILE)
        stamp_ensemble(config, identity.digest())
        write_config(version.parent / CONFIG_FILE, config)
    return identity


def _model_folder(repository: Path, name: str) -> Path:
    version = repository / name / _VERSION
    version.mkdir(parents=True)
    return version


def _add_preprocessor(version: Path, spec: ModelSpec, weights: Path) -> None:
    shutil.copyfile(SOURCE / spec.name / CONFIG_FILE, version.parent / CONFIG_FILE)
    shutil.copyfile(SOURCE / "preprocessor.py", version / "model.py")
    reads = {tensor.name for tensor in spec.inputs}
    if "text" in reads:
        shutil.copyfile(weights / TOKENIZER_FILE, version / TOKENIZER_FILE)
    if "image" in reads:
        _write_warmup(version.parent / "warmup" / "picture")


def _add_encoder(version: Path, target: Target, graphs: Path) -> None:
    name, artefact = version.parent.name, ARTEFACTS[target]
    config = read_config(SOURCE / name / CONFIG_FILE)
    retarget_encoder(config, target)
    write_config(version.parent / CONFIG_FILE, config)
    shutil.copyfile(graphs / f"{name}{Path(artefact).suffix}", version / artefact)
    if target == "local":
        shutil.copyfile(SOURCE / "onnx_encoder.py", version / "model.py")


def _write_warmup(path: Path) -> None:
    # Triton's raw form of a BYTES element: its length as little-endian uint32, then the bytes.
    picture = PICTURE.read_bytes()
    path.parent.mkdir()
    path.write_bytes(struct.pack("<I", len(picture)) + picture)


def _write_manifest(
    folder: Path, publication: Publication, identity: Identity, made: Mapping[str, Any]
) -> None:
    manifest = {
        "digest": identity.digest(),
        "identity": asdict(identity),
        "target": publication.target,
        **made,
        "card": read_card(publication.weights),
        "environment": environment(),
        "files": _files(folder),
    }
    text = json.dumps(manifest, indent=2) + "\n"
    (folder / MANIFEST_FILE).write_text(text, encoding="utf-8")


def _replace(out: Path, fresh: Path, before: Path) -> None:
    if out.exists():
        out.rename(before)
    fresh.rename(out)
