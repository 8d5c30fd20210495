"""Follows a Dockerfile without Docker: its files and packages come to lie in a folder that stands for the root."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUN_S = 900
_ABSOLUTE = re.compile(r"(?<![\w./{])/(?=(?:opt|tmp|models)\b)")


@dataclass(frozen=True, slots=True)
class Image:
    """What a Dockerfile made: the folder, the environment, the command and where it runs."""

    root: Path
    environment: Mapping[str, str]
    command: tuple[str, ...]
    folder: Path

    def files(self) -> set[str]:
        """Name every file of it."""
        return {str(path) for path in self.root.rglob("*")}


@dataclass(slots=True)
class _Tree:
    root: Path
    installs: bool
    by_pip: bool
    environment: dict[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    folder: str = "/"

    def place(self, text: str) -> str:
        """Put the folder before each absolute path."""
        return _ABSOLUTE.sub(f"{self.root}/", text)

    def copy(self, arguments: str) -> None:
        if arguments.startswith("--from="):
            _, source, target = arguments.split()
            assert source == target, (
                "what a stage hands on keeps its place, so that one folder stands for all stages"
            )
            return
        source, target = arguments.split()
        path = Path(self.place(target))
        path.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            # As .dockerignore has it.
            shutil.copytree(ROOT / source, path, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copy(ROOT / source, path)

    def run(self, command: str) -> None:
        if not self.installs:
            return
        # Packages are kept between runs, and a download that fails is tried again.
        shown = self.place(command.replace("--no-cache-dir ", ""))
        (self.root / "tmp").mkdir(exist_ok=True)
        programs = _programs(self.root.with_name(f"{self.root.name}-programs"), by_pip=self.by_pip)
        subprocess.run(
            [ROOT / "requirements" / "retry.sh", "sh", "-ec", shown],
            env={
                **os.environ,
                **({} if self.by_pip else uv_settings()),
                "PATH": f"{programs}:{os.environ['PATH']}",
                "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            },
            cwd=self.root,
            stdout=subprocess.DEVNULL,
            timeout=RUN_S,
            check=True,
        )

    def env(self, arguments: str) -> None:
        for name, value in (each.split("=", 1) for each in arguments.split()):
            self.environment[name] = self.place(value.replace(":$PATH", ""))


def _programs(folder: Path, *, by_pip: bool) -> Path:
    """Make the programs of the base image: a Python without packages, and a pip that installs into others."""
    folder.mkdir(exist_ok=True)
    pip = f'exec "{sys.executable}" -m pip "$@"'
    scripts = {
        "python": f'exec "{Path(sys.executable).resolve()}" "$@"',
        "pip": pip if by_pip else f"{_UV_FIRST.format(uv=_UV)}{pip}",
    }
    for name, lines in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{lines}\n")
        (folder / name).chmod(0o755)
    return folder


_UV = Path(sys.executable).with_name("uv")
_UV_FIRST = """
try_uv() {{
    [ "$1 $3" = "--python install" ] || return 1
    at=$2
    shift 3
    "{uv}" pip install --quiet --python "$at" "$@"
}}
try_uv "$@" && exit
"""
"""uv asks for the same hashes and takes a fifth of pip's CPU. Where it finds no package, for want of a setting, pip does it."""


@cache
def uv_settings() -> Mapping[str, str]:
    """Return the variables that have uv look for packages where pip does, whose settings alone a machine need have."""
    command = (sys.executable, "-m", "pip", "config", "list")
    said = subprocess.run(command, capture_output=True, text=True, timeout=RUN_S, check=True).stdout
    told: dict[str, str] = {}
    for section in ("global", "install", ":env:"):
        lines = re.findall(rf"^{section}\.([a-z-]+)='(.*)'$", said, re.MULTILINE)
        told |= {name: " ".join(value.replace("\\n", " ").split()) for name, value in lines}
    found = {
        "UV_DEFAULT_INDEX": told.get("index-url", ""),
        "UV_INDEX": told.get("extra-index-url", ""),
        "UV_FIND_LINKS": told.get("find-links", "").replace(" ", ","),
        "UV_INSECURE_HOST": told.get("trusted-host", ""),
        "SSL_CERT_FILE": told.get("cert", ""),
    }
    # As pip: the best of all places, and not the first that has a package of that name.
    return {"UV_INDEX_STRATEGY": "unsafe-best-match"} | {name: text for name, text in found.items() if text}


def build(dockerfile: Path, root: Path, *, installs: bool = True, by_pip: bool = False) -> Image:
    """Do what the Dockerfile says, in the folder; without its commands where it installs nothing.

    What `pip --python ENVIRONMENT install` would install is installed by uv, unless `by_pip`.
    """
    tree = _Tree(root, installs=installs, by_pip=by_pip)
    text = re.sub(r"^#.*\n", "", dockerfile.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for line in text.replace("\\\n", " ").splitlines():
        instruction, _, arguments = line.partition(" ")
        match instruction:
            case "COPY":
                tree.copy(arguments)
            case "RUN":
                tree.run(arguments)
            case "ENV":
                tree.env(arguments)
            case "WORKDIR":
                tree.folder = arguments
            case "ENTRYPOINT":
                tree.command = tuple(re.findall(r'"([^"]+)"', arguments))
            case "ARG" | "FROM" | "LABEL" | "USER" | "EXPOSE" | "":
                pass
            case _:
                raise ValueError(f"{dockerfile.name}: {instruction} is not known here")
    folder = Path(tree.place(tree.folder)) if tree.folder != "/" else root
    return Image(root, tree.environment, tree.command, folder)
