"""The types of TensorRT that mypy holds our calls against come from the bindings, are mended, and are kept."""

import ast
import shutil
from importlib.metadata import version
from pathlib import Path

import pytest

from export import tensorrt_stubs

BINDINGS = version("tensorrt_cu13_bindings")


def test_stubs_of_these_bindings_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is generated twice for one version; another version's are replaced."""
    monkeypatch.setattr(tensorrt_stubs, "_generated", lambda: "class Generated: ...\n")
    target = tmp_path / "stubs" / "tensorrt.pyi"
    tensorrt_stubs.write_stubs(target.parent)
    assert target.read_text() == f"# Of tensorrt_cu13_bindings {BINDINGS}.\nclass Generated: ...\n"
    monkeypatch.setattr(tensorrt_stubs, "_generated", lambda: "class Again: ...\n")
    tensorrt_stubs.write_stubs(target.parent)
    assert "class Generated" in target.read_text()
    target.write_text(target.read_text().replace(BINDINGS, "1.0"))
    tensorrt_stubs.write_stubs(target.parent)
    assert "class Again" in target.read_text()
    assert [path.name for path in target.parent.iterdir()] == ["tensorrt.pyi"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler is installed: make setup-test")
def test_the_bindings_tell_every_call_of_ours(tmp_path: Path) -> None:
    """What to_tensorrt.py calls is in the stubs, which are Python."""
    tensorrt_stubs.write_stubs(tmp_path)
    classes = {
        node.name: {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
        for node in ast.parse((tmp_path / "tensorrt.pyi").read_text()).body
        if isinstance(node, ast.ClassDef)
    }
    assert {"create_network", "build_serialized_network", "create_optimization_profile"} <= classes["Builder"]
    assert {"set_timing_cache", "create_timing_cache", "add_optimization_profile"} <= classes[
        "IBuilderConfig"
    ]
    assert {"parse_from_file", "get_error"} <= classes["OnnxParser"]
    assert {"set_input_shape", "set_tensor_address", "execute_async_v3"} <= classes["IExecutionContext"]
    assert "__buffer__" in classes["IHostMemory"]
