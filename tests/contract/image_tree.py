"""Follows a Dockerfile without Docker: its files and packages come to lie in a folder that stands for the root."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
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
        programs = _programs(self.root.with_name(f"{self.root.name}-programs"))
        subprocess.run(
            [ROOT / "requirements" / "retry.sh", "sh", "-ec", shown],
            env=os.environ
            | {"PATH": f"{programs}:{os.environ['PATH']}", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
            cwd=self.root,
            stdout=subprocess.DEVNULL,
            timeout=RUN_S,
            check=True,
        )

    def env(self, arguments: str) -> None:
        for name, value in (each.split("=", 1) for each in arguments.split()):
            self.environment[name] = self.place(value.replace(":$PATH", ""))


def _programs(folder: Path) -> Path:
    """Make the programs of the base image: a Python without packages, and a pip that installs into others."""
    folder.mkdir(exist_ok=True)
    scripts = {
        "python": f'exec "{Path(sys.executable).resolve()}" "$@"',
        "pip": f'exec "{sys.executable}" -m pip "$@"',
    }
    for name, line in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)
    return folder


def build(dockerfile: Path, root: Path, *, installs: bool = True) -> Image:
    """Do what the Dockerfile says, in the folder; without its commands where it installs nothing."""
    tree = _Tree(root, installs=installs)
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
