# ruff: noqa: INP001 - a script of its image, no module
"""Fails the build of the export's image where its bindings are not those of its TensorRT: `export_check.py`.

Needs no GPU: the libraries load without one.
"""

import ctypes
import sys
from importlib.metadata import version

BINDINGS = "tensorrt-cu13-bindings"
RELEASE = 3
"""Numbers of a version, of those that the library tells: the fourth is a build's."""


def main() -> int:
    """Return the exit status."""
    bound = version(BINDINGS).split(".")[:RELEASE]
    library = f"libnvinfer.so.{bound[0]}"
    try:
        number = ctypes.CDLL(library).getInferLibVersion()
    except OSError as error:
        print(f"the base image has no TensorRT {bound[0]}: {error}", file=sys.stderr)
        return 1
    # As NvInferVersion.h makes it of major, minor and patch.
    there = [str(number // 10_000), str(number // 100 % 100), str(number % 100)]
    if there != bound:
        print(
            f"the base image has TensorRT {'.'.join(there)}, and the bindings are {'.'.join(bound)}:"
            f" pin {BINDINGS} in docker/requirements/export.in to the former, and run docker/requirements/lock.sh",
            file=sys.stderr,
        )
        return 1
    import export.to_tensorrt  # noqa: F401, PLC0415 - which imports torch and the bindings

    return 0


if __name__ == "__main__":
    sys.exit(main())
