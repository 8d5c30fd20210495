"""Types of TensorRT, for mypy: `python -m export.tensorrt_stubs DIR` writes DIR/tensorrt.pyi.

The bindings' wheel says every signature in its docstrings, but it loads only beside TensorRT's libraries, which
belong to a GPU machine. Empty libraries with the names and the functions that it links against are enough to read it.
Needs a C compiler; nothing of TensorRT runs.
"""

import ast
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

_LIBRARIES = ("nvinfer", "nvinfer_plugin", "nvonnxparser")
_FUNCTIONS = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "getBuilderPluginRegistry",
    "getNvOnnxParserVersion",
    "getPluginRegistry",
    "initLibNvInferPlugins",
)
_TIMEOUT_S = 120


def write_stubs(folder: Path) -> None:
    """Write tensorrt.pyi, unless the one of the installed bindings is there."""
    wanted = f"# Of tensorrt_cu13_bindings {version('tensorrt_cu13_bindings')}.\n"
    target = folder / "tensorrt.pyi"
    if target.exists() and target.read_text(encoding="utf-8").startswith(wanted):
        return
    stubs = _generated()
    folder.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    partial.write_text(wanted + stubs, encoding="utf-8")
    partial.rename(target)


def _generated() -> str:
    with tempfile.TemporaryDirectory() as scratch:
        link_empty_libraries(Path(scratch))
        stubgen = Path(sys.executable).with_name("stubgen")
        subprocess.run(
            [stubgen, "--inspect-mode", "-q", "-m", "tensorrt_bindings.tensorrt", "-o", scratch],
            env=os.environ | {"LD_LIBRARY_PATH": scratch},
            check=True,
            timeout=_TIMEOUT_S,
        )
        return _mended((Path(scratch) / "tensorrt_bindings/tensorrt.pyi").read_text(encoding="utf-8"))


def _mended(stubs: str) -> str:
    """Return stubs that mypy reads: without what is no Python, with what docstrings do not tell."""
    # The parser's errors are of a class that the bindings do not name.
    stubs = stubs.replace("def get_error(self, *args, **kwargs)", "def get_error(self, index: int) -> object")
    lines = [
        line for line in stubs.splitlines() if not line.startswith("bool:")
    ]  # a data type, hides the type
    lines = ["# mypy: ignore-errors", "__version__: str", *lines]
    memory = lines.index("class IHostMemory:")
    lines.insert(memory + 1, "    def __buffer__(self, flags: int, /) -> memoryview: ...")
    while (wrong := _wrong_line(lines)) is not None:  # an argument without a default after one with
        del lines[wrong]
    return "\n".join(lines) + "\n"


def _wrong_line(lines: list[str]) -> int | None:
    try:
        ast.parse("\n".join(lines))
    except SyntaxError as error:
        return (error.lineno or 0) - 1
    return None


def link_empty_libraries(folder: Path) -> None:
    """Write libraries that the bindings load beside, and in which nothing is."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise SystemExit("cc: not found; it links the empty libraries that the bindings load beside")
    source = folder / "empty.c"
    source.write_text(
        "".join(f"void *{name}(void) {{ return 0; }}\n" for name in _FUNCTIONS), encoding="utf-8"
    )
    major = version("tensorrt_cu13_bindings").partition(".")[0]
    for name in _LIBRARIES:
        library = folder / f"lib{name}.so.{major}"
        subprocess.run(
            [compiler, "-shared", "-o", library, source], check=True, timeout=_TIMEOUT_S, capture_output=True
        )


if __name__ == "__main__":
    write_stubs(Path(sys.argv[1]))
