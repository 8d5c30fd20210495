"""A release has one version and one API, and its wheel brings the client without the services."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RELEASED_API = "vitrine/v1/released.binpb"
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
ROOMS = (
    *("vitrine", "catalogue", "encoders", "export", "gateway", "rewriter", "speech", "stack", "storefront"),
    *("benchmarks", "bulk", "ranking"),
)


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
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)


def test_make_asks_what_is_tested_here() -> None:
    """The command of the Makefile is the one below."""
    planned = subprocess.run(
        # Under make itself, the inner one would tell of folders that it enters and leaves.
        ("make", "--no-print-directory", "-n", "breaking"),
        cwd=ROOT, capture_output=True, text=True, timeout=240, check=True,
    )  # fmt: skip
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


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheels of the client and of the services, by name, built of a copy of the tree."""
    tree, built = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheels")
    for name in ("pyproject.toml", "README.md", "Makefile"):
        shutil.copy(ROOT / name, tree)
    for name in (*ROOMS, "wheels", "requirements"):
        shutil.copytree(
            ROOT / name,
            tree / name,
            ignore=shutil.ignore_patterns("__pycache__", "build", "*.safetensors", "*.npz"),
        )
    for project in (tree, tree / "wheels" / "services"):
        pip(sys.executable, "wheel", "--no-deps", "--no-build-isolation", "-w", str(built), str(project))
    return {path.name.split("-")[0]: path for path in built.glob("*.whl")}


def pip(python: object, verb: str, *arguments: str) -> None:
    """Run pip of an interpreter."""
    command = [str(python), "-m", "pip", verb, "-q", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr


def files(wheel: Path) -> set[str]:
    """Return what a wheel holds beside its own description."""
    return {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}


def metadata(wheel: Path) -> Message:
    """Return what a wheel says of itself."""
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    return message_from_bytes(archive.read(name))


def test_every_module_and_table_is_in_one_wheel(wheels: dict[str, Path]) -> None:
    """The client's has the contract and the reader of catalogues, the other one the rest; nothing is in both."""
    client, services = files(wheels["vitrine_search"]), files(wheels["vitrine_search_services"])
    assert {name.partition("/")[0] for name in client} == {"vitrine", "catalogue"}
    assert not client & services
    patterns = [f"{room}/*.{ending}" for room in ROOMS for ending in ("py", "toml", "proto")]
    tracked = subprocess.run(
        ["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, timeout=240, check=True
    )
    assert set(tracked.stdout.split()) <= client | services


def test_the_client_installs_without_the_rest(wheels: dict[str, Path], tmp_path: Path) -> None:
    """In an empty environment the command line works, and what needs more says which extra brings it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    programs = tmp_path / "venv" / "bin"
    pip_there = (
        sys.executable,
        "-m",
        "pip",
        "--python",
        programs / "python",
        "install",
        "-q",
        "--no-compile",
    )
    retried = (ROOT / "requirements" / "retry.sh", *pip_there, wheels["vitrine_search"])
    subprocess.run(retried, timeout=240, check=True)

    def ask(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(programs / arguments[0]), *arguments[1:]],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    assert ask("vitrine", "--version").stdout == f"vitrine, version {VERSION}\n"
    assert ask("vitrine", "--help").returncode == 0
    for own in ("search", "chat", "status", "documents", "tour", "token", "restore"):
        assert ask("vitrine", own, "--help").returncode == 0, own
    assert ask("vitrine", "search", "dress", "--address", "127.0.0.1:1").returncode == 3
    index = ask("vitrine", "index", "catalogue")
    assert index.returncode == 1
    assert "pip install 'vitrine-search[index]'" in index.stderr
    code = "from importlib.metadata import distributions as d; print(*(each.name.lower() for each in d()))"
    installed = set(ask("python", "-c", code).stdout.split())
    assert {"vitrine-search", "grpcio"} <= installed
    assert not installed & {"torch", "pymilvus", "tritonclient", "onnxruntime", "vitrine-search-services"}


def test_the_extras_bring_what_the_lists_pin(wheels: dict[str, Path]) -> None:
    """`[serve]` has the engines and no torch, `[train]` torch; the client's extras name them of the same version."""
    client, services = metadata(wheels["vitrine_search"]), metadata(wheels["vitrine_search_services"])
    assert client["Version"] == services["Version"] == VERSION
    wanted = services.get_all("Requires-Dist") or []
    assert f"vitrine-search[index]=={VERSION}" in wanted
    serve, train = (
        {re.split(r"[\[=; ]", line)[0] for line in wanted if f'extra == "{extra}"' in line}
        for extra in ("serve", "train")
    )
    assert {"nvidia-pytriton", "milvus-lite", "pymilvus", "grpcio"} <= serve
    assert "torch" in train - serve
    for extra in services.get_all("Provides-Extra") or []:
        line = f'vitrine-search-services[{extra}]=={VERSION}; extra == "{extra}"'
        assert line in (client.get_all("Requires-Dist") or [])


def test_the_version_is_the_same_wherever_it_stands() -> None:
    """The chart, the tags of images in comments and examples, and the newest release of the changelog."""
    chart = (ROOT / "helm/vitrine/Chart.yaml").read_text(encoding="utf-8")
    assert re.findall(r"^(?:appVersion|version): (\S+)$", chart, re.MULTILINE) == [VERSION, VERSION]
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "docker").glob("*.Dockerfile")]
    assert {re.search(r'image\.version="(\S+)"', text)[1] for text in texts} == {VERSION}  # type: ignore[index]
    texts.append((ROOT / "helm/vitrine/README.md").read_text(encoding="utf-8"))
    assert {tag for text in texts for tag in re.findall(r"(?:vitrine|REGISTRY)/[a-z]+:(\S+)", text)} == {
        VERSION
    }
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    heads = re.findall(r"^## (.+)$", changelog, re.MULTILINE)
    assert heads[0] == "Unreleased"
    assert re.fullmatch(rf"{re.escape(VERSION)} - \d{{4}}-\d\d-\d\d", heads[1])
