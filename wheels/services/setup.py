"""What is said elsewhere once: the version in the client's pyproject.toml, the packages in requirements/."""

import re
import tomllib
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
TORCH = re.findall(r"^TORCH \?= (\S+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def wanted(*names: str) -> list[str]:
    """Return the packages of these lists, with their pins, without comments, options and hashes."""
    texts = ((ROOT / "requirements" / name).read_text(encoding="utf-8") for name in names)
    lines = (line for text in texts for line in text.splitlines())
    return [re.sub(r"\s*(#.*|\\)$", "", line) for line in lines if re.match(r"\w", line)]


setup(
    version=VERSION,
    install_requires=[f"vitrine-search[index]=={VERSION}"],
    extras_require={
        "serve": wanted("serve.in"),
        "train": [*wanted("build.in", "towers.txt", "train.in"), *TORCH],
        "speech": wanted("speech.in"),
        "bulk": wanted("bulk.in"),
        "gpu": ["onnxruntime-gpu==1.31.1", "tensorrt>=10.13"],
    },
)
