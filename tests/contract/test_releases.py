"""A release has one version and one API, and its wheel brings the client without the services."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RELEASED_API = "vitrine/v1/released.binpb"


@pytest.fixture
def protos(tmp_path: Path) -> Path:
    """A copy of the protos, of what buf is told of them, and of those that were released."""
    (tmp_path / "vitrine" / "v1").mkdir(parents=True)
    for path in (*(ROOT / "vitrine/v1").glob("*.proto"), ROOT / RELEASED_API, ROOT / "buf.yaml"):
        shutil.copy(path, tmp_path / path.relative_to(ROOT))
    return tmp_path


def breaking(folder: Path) -> "subprocess.CompletedProcess[str]":
    """Hold the protos of a folder against the released ones, as `make breaking` does."""
    command = (str(Path(sys.executable).parent / "buf"), "breaking", "--against", RELEASED_API)
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_make_asks_what_is_tested_here() -> None:
    """The command of the Makefile is the one below."""
    planned = subprocess.run(
        ("make", "-n", "breaking"), cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert planned.stdout.splitlines()[-1].endswith(f"buf breaking --against {RELEASED_API}")


def test_what_is_added_breaks_nobody(protos: Path) -> None:
    """A new message is no breach of what was released."""
    with (protos / "vitrine/v1/search.proto").open("a") as proto:
        proto.write("\nmessage Added { string text = 1; }\n")
    assert (breaking(protos).returncode, breaking(protos).stdout) == (0, "")


@pytest.mark.parametrize(
    ("released", "changed", "said"),
    [
        ("string text = 1;", "string text = 71;", 'field "1" with name "text"'),
        ("string text = 1;", "bytes text = 1;", 'changed type from "string" to "bytes"'),
        ("rpc Converse", "rpc Talk", '"Converse"'),
    ],
)
def test_what_breaks_a_released_client_is_refused(
    protos: Path, released: str, changed: str, said: str
) -> None:
    """A number, a type or a method that is not what it was is named."""
    proto = protos / "vitrine/v1/search.proto"
    before = proto.read_text()
    assert released in before
    proto.write_text(before.replace(released, changed))
    found = breaking(protos)
    assert found.returncode == 100
    assert said in found.stdout
