"""The tree keeps its own rules: sizes, broad handlers, imports."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

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


class _Source(NamedTuple):
    """A hand-written module: its path in the project, its lines, its functions and its handlers of errors."""

    name: str
    lines: int
    functions: list[ast.FunctionDef | ast.AsyncFunctionDef]
    handlers: list[ast.ExceptHandler]


@cache
def _sources() -> list[_Source]:
    """Return every module, read once for all tests."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    names = [name for name in listed.stdout.splitlines() if not name.endswith(GENERATED)]
    return [_read(name) for name in names if (ROOT / name).exists()]


def _read(name: str) -> _Source:
    text = (ROOT / name).read_text(encoding="utf-8")
    nodes = [*ast.walk(ast.parse(text))]
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    handlers = [node for node in nodes if isinstance(node, ast.ExceptHandler)]
    return _Source(name, text.count("\n"), functions, handlers)


def test_hand_written_files_and_functions_stay_small() -> None:
    """No hand-written file has over 400 lines and no function over 60."""
    too_long = []
    for source in _sources():
        if source.lines > MAX_FILE_LINES:
            too_long.append(f"{source.name}: {source.lines} lines")
        for node in source.functions:
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            if size > MAX_FUNCTION_LINES:
                too_long.append(f"{source.name}:{node.lineno} {node.name}: {size} lines")
    assert too_long == []


def _catches_everything(caught: ast.expr | None) -> bool:
    return caught is None or (isinstance(caught, ast.Name) and caught.id in {"Exception", "BaseException"})


def test_broad_handlers_stand_at_the_outermost_edges_alone() -> None:
    """`except Exception` stands once in the outermost interceptor, in each supervisor, and where a library asks for it."""
    broad = [
        source.name
        for source in _sources()
        if not source.name.startswith("tests/")
        for node in source.handlers
        if _catches_everything(node.type)
    ]
    assert sorted(broad) == sorted(BROAD_HANDLERS)


def test_serving_runs_without_torch() -> None:
    """Importing every serving room leaves torch out of the process."""
    code = (
        "import sys, gateway.server, rewriter.server, speech.server, stack.supervisor, vitrine.client, catalogue.product\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
