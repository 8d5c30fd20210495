"""The tree keeps its own rules: sizes, broad handlers, generated code."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
GENERATED = ("_pb2.py", "_pb2_grpc.py")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
BROAD_HANDLERS = {
    "gateway/edge/interceptors.py",  # the outermost interceptor
    "gateway/background.py",  # the supervisor of background tasks
    "rewriter/engines/model/batcher.py",  # the supervisor of the decoding thread
    "encoders/families.py",  # the library `tokenizers` raises nothing narrower
    "vitrine/preprocess.py",  # decoders of damaged pictures, which raise what they like, assertions among it
    "model_repository/preprocessor.py",  # the outermost edge of a Triton model: what it raises fails a whole batch
}


def _sources() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = [ROOT / line for line in listed.stdout.splitlines()]
    return [path for path in paths if path.exists() and not path.name.endswith(GENERATED)]


def test_hand_written_files_and_functions_stay_small() -> None:
    """No hand-written file has over 400 lines and no function over 60."""
    too_long = []
    for path in _sources():
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(ROOT)
        if (lines := text.count("\n")) > MAX_FILE_LINES:
            too_long.append(f"{name}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                size = (node.end_lineno or node.lineno) - node.lineno + 1
                if size > MAX_FUNCTION_LINES:
                    too_long.append(f"{name}:{node.lineno} {node.name}: {size} lines")
    assert too_long == []


def _catches_everything(caught: ast.expr | None) -> bool:
    return caught is None or (isinstance(caught, ast.Name) and caught.id in {"Exception", "BaseException"})


def test_broad_handlers_stand_at_the_outermost_edges_alone() -> None:
    """`except Exception` stands once in the outermost interceptor, in each supervisor, and where a library asks for it."""
    broad = [
        path.relative_to(ROOT).as_posix()
        for path in _sources()
        if not path.is_relative_to(ROOT / "tests")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ExceptHandler) and _catches_everything(node.type)
    ]
    assert sorted(broad) == sorted(BROAD_HANDLERS)


def test_generated_code_is_current(tmp_path: Path) -> None:
    """Generating the protos again gives the committed code, byte for byte."""
    protos = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "vitrine/v1").glob("*.proto"))
    programs = Path(sys.executable).parent
    subprocess.run(
        [
            sys.executable, "-m", "grpc_tools.protoc", "-I.",
            f"--plugin=protoc-gen-mypy={programs / 'protoc-gen-mypy'}",
            f"--plugin=protoc-gen-mypy_grpc={programs / 'protoc-gen-mypy_grpc'}",
            f"--python_out={tmp_path}", f"--grpc_python_out={tmp_path}",
            f"--mypy_out=quiet:{tmp_path}", f"--mypy_grpc_out=quiet:{tmp_path}",
            *protos,
        ],
        cwd=ROOT,
        check=True,
    )  # fmt: skip
    generated = sorted((tmp_path / "vitrine/v1").iterdir())
    assert len(generated) == 4 * len(protos)
    for path in generated:
        assert path.read_bytes() == (ROOT / "vitrine/v1" / path.name).read_bytes(), path.name


def test_serving_runs_without_torch() -> None:
    """Importing every serving room leaves torch out of the process."""
    code = (
        "import sys, gateway.server, rewriter.server, speech.server, stack.supervisor, vitrine.client, catalogue.product\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
