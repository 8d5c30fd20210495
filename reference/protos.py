"""`python -m reference.protos` (`make proto`): writes the Python code of vitrine/v1/*.proto beside them."""

import filecmp
import subprocess
import sys
import tempfile
from pathlib import Path

PROTOS = Path("vitrine/v1")
GENERATE_S = 120
ENDINGS = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")


def generate(out: Path) -> None:
    """Write the code of every proto of the working directory's project below a folder, messages and stubs with their types.

    Raises:
        subprocess.CalledProcessError: protoc refused a proto; it has said why on standard error.
    """
    plugins = (
        f"--plugin={name}={Path(sys.executable).with_name(name)}"
        for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")
    )
    outputs = (f"--python_out={out}", f"--grpc_python_out={out}")
    types = (f"--mypy_out=quiet:{out}", f"--mypy_grpc_out=quiet:{out}")
    protos = sorted(path.as_posix() for path in PROTOS.glob("*.proto"))
    command = (sys.executable, "-m", "grpc_tools.protoc", "-I.", *plugins, *outputs, *types, *protos)
    subprocess.run(command, timeout=GENERATE_S, check=True)


def stale_files() -> list[str]:
    """Return the paths of generated files that are missing, differ from what would be written, or belong to no proto."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        made = {path.name: path for path in (Path(folder) / PROTOS).iterdir()}
        there = {path.name: path for path in PROTOS.iterdir() if path.name.endswith(ENDINGS)}
        differ = {
            name
            for name in made.keys() & there.keys()
            if not filecmp.cmp(made[name], there[name], shallow=False)
        }
        return sorted((PROTOS / name).as_posix() for name in differ | (made.keys() ^ there.keys()))


def write() -> None:
    """Bring the code beside the protos up to date; what belongs to no proto is removed."""
    generate(Path())
    names = {path.stem for path in PROTOS.glob("*.proto")}
    for path in PROTOS.iterdir():
        if path.name.endswith(ENDINGS) and path.name.rpartition("_pb2")[0] not in names:
            path.unlink()


if __name__ == "__main__":
    write()
