"""A model repository is held against its manifest before anything of it serves."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from vitrine.repository import MANIFEST_FILE, AlteredRepository, identity_digest, verified_digest

IDENTITY = {"family": "small", "weights": {"text": "00"}}
DIGEST = identity_digest(IDENTITY)
FILES = {
    "tokenize/config.pbtxt": "python",
    "tokenize/1/model.py": "def work(): ...",
    "tokenize/1/tokenizer.json": "{}",
    "encode/config.pbtxt": "onnxruntime",
    "encode/1/model.onnx": "graph",
    "other/config.pbtxt": "python",
    "other/1/model.py": "def other(): ...",
    "embed/config.pbtxt": "ensemble",
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Give a repository of a Python model, an encoder on a backend of Triton's own, another model and an ensemble."""
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    digests = {name: hashlib.sha256(content.encode()).hexdigest() for name, content in FILES.items()}
    manifest = {"digest": DIGEST, "identity": IDENTITY, "files": digests}
    (tmp_path / MANIFEST_FILE).write_text(json.dumps(manifest))
    return tmp_path


def test_files_as_published_give_the_digest(repository: Path) -> None:
    """An intact repository is what its manifest says, also with the bytecode that Python leaves beside the code."""
    bytecode = repository / "tokenize/1/__pycache__/model.cpython-311.pyc"
    bytecode.parent.mkdir()
    bytecode.write_bytes(b"code")
    assert verified_digest(repository / "tokenize", DIGEST) == DIGEST


@pytest.mark.parametrize(
    ("alter", "named"),
    [
        (
            lambda r: (r / "tokenize/1/model.py").write_text("def evil(): ..."),
            "tokenize/1/model.py: not the file",
        ),
        (lambda r: (r / "tokenize/config.pbtxt").write_text("other"), "tokenize/config.pbtxt: not the file"),
        (lambda r: (r / "encode/1/model.onnx").write_text("other"), "encode/1/model.onnx: not the file"),
        (lambda r: (r / "embed/config.pbtxt").write_text("other"), "embed/config.pbtxt: not the file"),
        (lambda r: (r / "tokenize/1/tokenizer.json").unlink(), "tokenize/1/tokenizer.json: missing"),
        (lambda r: (r / "tokenize/1/more.py").write_text(""), "tokenize/1/more.py: was not published"),
        (lambda r: (r / MANIFEST_FILE).unlink(), "manifest.json: cannot be read"),
        (lambda r: (r / MANIFEST_FILE).write_text("{"), "manifest.json: cannot be read"),
        (lambda r: (r / MANIFEST_FILE).write_text("{}"), "manifest.json: not as"),
    ],
)
def test_whatever_differs_is_named(repository: Path, alter: Callable[[Path], object], named: str) -> None:
    """A file of the model, or of a model that cannot prove itself, that is changed, missing or added ends the load."""
    alter(repository)
    with pytest.raises(AlteredRepository, match=f"^{named}"):
        verified_digest(repository / "tokenize", DIGEST)


def test_a_version_that_was_added_is_refused(repository: Path) -> None:
    """Triton serves the highest version of a model: a folder 2 beside the published 1 would take its place."""
    (repository / "encode/2").mkdir()
    (repository / "encode/2/model.onnx").write_text("other")
    with pytest.raises(AlteredRepository, match=r"^encode/2/model.onnx: was not published"):
        verified_digest(repository / "tokenize", DIGEST)


def test_another_python_model_proves_itself(repository: Path) -> None:
    """What only another model loads is that one's to prove, so that large files are read once."""
    (repository / "other/1/model.py").write_text("altered")
    assert verified_digest(repository / "tokenize", DIGEST) == DIGEST
    with pytest.raises(AlteredRepository, match=r"^other/1/model.py"):
        verified_digest(repository / "other", DIGEST)


def test_a_repository_that_took_the_place_of_another_is_refused(repository: Path) -> None:
    """The server read its configurations before the files were exchanged: nothing is mixed."""
    with pytest.raises(AlteredRepository, match=r"^tokenize: configured for 0{12}, not"):
        verified_digest(repository / "tokenize", "0" * 64)
    with pytest.raises(AlteredRepository, match=r"^tokenize: configured for no manifest, not"):
        verified_digest(repository / "tokenize", "")


def test_a_digest_that_is_not_of_the_identity_is_refused(repository: Path) -> None:
    """The digest cannot be changed by itself."""
    manifest = json.loads((repository / MANIFEST_FILE).read_text()) | {"digest": "0" * 64}
    (repository / MANIFEST_FILE).write_text(json.dumps(manifest))
    with pytest.raises(AlteredRepository, match=r"^manifest.json: its digest is not that of its identity"):
        verified_digest(repository / "tokenize", "0" * 64)
