"""A deployable model repository out of weights and `model_repository/`, all at once or not at all."""

import json
import shutil
import struct
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from encoders.families import FAMILY, TOKENIZER_FILE, Family, open_tokenizer
from export.choice import Choice, uniform
from export.errors import ExportError
from export.folders import copy_graph, fresh_folder
from export.manifest import (
    Identity,
    environment,
    file_digest,
    identify,
    inputs_digest,
    open_family,
    read_manifest,
    weights_digests,
)
from export.model_config import (
    ARTEFACTS,
    CONFIG_FILE,
    Config,
    Target,
    WantedPrecision,
    read_config,
    read_text_in_fusion,
    resize,
    retarget_encoder,
    stamp,
    write_config,
)
from vitrine.repository import MANIFEST_FILE, published_files
from vitrine.tensors import ENCODERS, MODELS, PREPROCESSORS, ModelSpec, sized

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
    "encoders/families.py",
    "encoders/pretrained.py",
    "encoders/paper/loading.py",
    "encoders/paper/networks.py",
    "encoders/paper/prompts.py",
    "encoders/pair/*.py",
    "vitrine/tensors.py",
    "vitrine/preprocess.py",
    "vitrine/repository.py",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What is published, and where."""

    target: Target
    weights: Path
    out: Path
    precision: WantedPrecision = "auto"
    """Of the graphs; plans bring their own."""
    plans: Path | None = None
    """TensorRT plans; given for the target tensorrt and for no other."""

    @property
    def precision_of_graphs(self) -> WantedPrecision:
        """What the graphs are made in: auto speaks of CPUs, and the other targets are for GPUs."""
        return "fp32" if self.precision == "auto" and self.target != "local" else self.precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Graphs:
    """What an export gives: a folder of artefacts, their precisions and the figures of their parity."""

    folder: Path
    choice: Choice
    parity: Mapping[str, Any]


def publish(publication: Publication, make_graphs: Callable[[Path], Graphs]) -> bool:
    """Write the repository; False when it is already there, made of the same inputs and intact.

    A repository that is already there stays whole until the new one takes its place.

    Args:
        publication: what and where.
        make_graphs: called where no plans are given and something has changed, with the folder to write to.

    Raises:
        ExportError: an input is missing or wrong, `out` holds something that we did not write, or cannot be written.
    """
    out = publication.out
    present = read_manifest(out)
    family = open_family(publication.weights)
    files = _inputs(family, publication.plans)
    inputs = inputs_digest(files, target=publication.target, precision=publication.precision)
    if present is not None and present.get("inputs") == inputs and _intact(out, present):
        return False
    with fresh_folder(
        out, marker=MANIFEST_FILE, ours=lambda folder: read_manifest(folder) is not None
    ) as fresh:
        plans = publication.plans
        graphs = _read_plans(plans, family) if plans else make_graphs(fresh.with_name("graphs"))
        identity = _assemble(fresh, publication.target, family, graphs)
        made = {
            "target": publication.target,
            "inputs": inputs,
            "parity": graphs.parity,
            "quality": graphs.choice.quality,
            "card": family.card,
        }
        _write_manifest(fresh, identity, made)
    return True


def _inputs(family: Family, plans: Path | None) -> dict[str, Path]:
    named = {path.name: path for path in (*family.weights.values(), *family.folder.glob("*.json"))}
    sources = [path for pattern in _CODE for path in ROOT.glob(pattern)]
    sources += [path for path in SOURCE.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    named |= {str(path.relative_to(ROOT)): path for path in sorted(sources)}
    if plans is not None:
        named |= {path.name: path for path in _plan_files(plans)}
    return named


def _plan_files(plans: Path) -> list[Path]:
    if not (plans / PLANS_FILE).exists():
        raise ExportError(
            f"{plans / PLANS_FILE}: missing; on the GPU that will serve, `python -m export tensorrt` writes it"
        )
    return [plans / PLANS_FILE, *(plans / f"{spec.name}.plan" for spec in ENCODERS)]


def _read_plans(plans: Path, family: Family) -> Graphs:
    stamp = json.loads((plans / PLANS_FILE).read_text(encoding="utf-8"))
    if stamp["weights"] != weights_digests(family):
        raise ExportError(
            f"{plans}: built of other weights than {family.folder}; `python -m export tensorrt` builds anew"
        )
    for name, digest in stamp["plans"].items():
        if file_digest(plans / f"{name}.plan") != digest:
            raise ExportError(f"{plans / name}.plan: not the file that {PLANS_FILE} tells of")
    return Graphs(folder=plans, choice=uniform(stamp["precision"]), parity=stamp["parity"])


def _intact(repository: Path, manifest: Mapping[str, Any]) -> bool:
    files: Mapping[str, str] = manifest["files"]
    return _files(repository) == files


def _files(repository: Path) -> dict[str, str]:
    ours = [path for path in published_files(repository) if path.name != MANIFEST_FILE]
    return {str(path.relative_to(repository)): file_digest(path) for path in ours}


def _assemble(folder: Path, target: Target, family: Family, graphs: Graphs) -> Identity:
    choice = graphs.choice
    identity = identify(
        family, precisions=choice.precisions, calibration=choice.calibration(), picture=PICTURE
    )
    for spec in MODELS:
        version = _model_folder(folder, spec.name)
        config = _sized_config(sized(spec, family.dimensions))
        if spec in PREPROCESSORS:
            _add_preprocessor(version, spec, family)
        elif spec in ENCODERS:
            retarget_encoder(config, target)
            _add_encoder(version, spec, target, graphs.folder)
        if spec not in ENCODERS or target == "local":  # a backend of Triton's own has no use for it
            stamp(config, identity.digest())
        write_config(version.parent / CONFIG_FILE, config)
    return identity


def _sized_config(spec: ModelSpec) -> Config:
    config = read_config(SOURCE / spec.name / CONFIG_FILE)
    read_text_in_fusion(config, spec)
    resize(config, spec)
    return config


def _model_folder(repository: Path, name: str) -> Path:
    version = repository / name / _VERSION
    version.mkdir(parents=True)
    return version


def _add_preprocessor(version: Path, spec: ModelSpec, family: Family) -> None:
    shutil.copyfile(SOURCE / "preprocessor.py", version / "model.py")
    reads = {tensor.name for tensor in spec.inputs}
    if "text" in reads:
        _write_tokenizer(version / TOKENIZER_FILE, family)
    if "image" in reads:
        _write_warmup(version.parent / "warmup" / "picture")


def _write_tokenizer(path: Path, family: Family) -> None:
    if family.name == FAMILY:  # written by training with its length and padding
        shutil.copyfile(family.folder / TOKENIZER_FILE, path)
    else:
        path.write_text(open_tokenizer(family).to_str(), encoding="utf-8")


def _add_encoder(version: Path, spec: ModelSpec, target: Target, graphs: Path) -> None:
    artefact = ARTEFACTS[target]
    copy_graph(graphs / f"{spec.name}{Path(artefact).suffix}", version / artefact)
    if target == "local":
        shutil.copyfile(SOURCE / "onnx_encoder.py", version / "model.py")


def _write_warmup(path: Path) -> None:
    # Triton's raw form of a BYTES element: its length as little-endian uint32, then the bytes.
    picture = PICTURE.read_bytes()
    path.parent.mkdir()
    path.write_bytes(struct.pack("<I", len(picture)) + picture)


def _write_manifest(folder: Path, identity: Identity, made: Mapping[str, Any]) -> None:
    manifest = {
        "digest": identity.digest(),
        "identity": asdict(identity),
        **made,
        "environment": environment(),
        "files": _files(folder),
    }
    text = json.dumps(manifest, indent=2) + "\n"
    (folder / MANIFEST_FILE).write_text(text, encoding="utf-8")
