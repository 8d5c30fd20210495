"""The image that builds TensorRT plans, as far as it can be seen without its base: where its files lie, and what it refuses."""

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from export.tensorrt_stubs import link_empty_libraries
from tests.contract import image_tree

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 240
BOUND = version("tensorrt_cu13_bindings")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> image_tree.Image:
    """The image's files and environment, without its packages: they are for another Python, and several gigabytes."""
    root = tmp_path_factory.mktemp("export") / "root"
    return image_tree.build(ROOT / "docker/export.Dockerfile", root, installs=False)


def run(
    image: image_tree.Image, *arguments: str | Path, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Run Python with the packages of the tests, but with no file of the project except the image's."""
    return subprocess.run(
        [sys.executable, "-P", *arguments],
        cwd=image.root,
        env={"PATH": os.environ["PATH"], **image.environment, **environment},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def test_the_charts_job_finds_the_weights_and_the_models_in_it(image: image_tree.Image) -> None:
    """The default of plans.weights is a folder of the image, wherever the Job works, and the export finds its templates."""
    values = yaml.safe_load((ROOT / "helm/vitrine/values.yaml").read_text(encoding="utf-8"))
    weights = image.root / values["plans"]["weights"].lstrip("/")
    assert (weights / "card.json").is_file()
    said = "import export.repository as r; print(r.SOURCE, r.SOURCE.is_dir())"
    found = run(image, "-c", said)
    assert found.stdout.split() == [str(image.root / "opt/vitrine/app/model_repository"), "True"], (
        found.stderr
    )


@pytest.mark.parametrize("there", ["none", "older", "the same"])
def test_a_base_with_another_tensorrt_is_refused(image: image_tree.Image, tmp_path: Path, there: str) -> None:
    """The build ends with the version that is there and what to do; with the same one the exporter imports, without a GPU."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler on this machine")
    major, minor, patch, _ = map(int, BOUND.split("."))
    if there != "none":
        link_empty_libraries(tmp_path)
        number = major * 10_000 + (minor if there == "the same" else minor - 1) * 100 + patch
        source = tmp_path / "version.c"
        source.write_text(f"int getInferLibVersion(void) {{ return {number}; }}\n")
        library, empty = tmp_path / f"libnvinfer.so.{major}", tmp_path / "libempty.so"
        library.rename(empty)
        linked = (
            "cc",
            "-shared",
            "-fPIC",
            "-Wl,--no-as-needed",
            f"-Wl,-soname,{library.name}",
            "-Wl,-rpath,$ORIGIN",
        )
        subprocess.run([*linked, "-o", library, source, empty], check=True, timeout=TIMEOUT_S)
    checked = run(image, image.root / "opt/vitrine/check.py", LD_LIBRARY_PATH=str(tmp_path))
    expected = {
        "none": f"the base image has no TensorRT {major}: ",
        "older": f"the base image has TensorRT {major}.{minor - 1}.{patch}, and the bindings are {major}.{minor}.{patch}: pin ",
        "the same": "",
    }
    assert checked.returncode == (there != "the same"), checked.stderr
    assert checked.stderr.startswith(expected[there])
