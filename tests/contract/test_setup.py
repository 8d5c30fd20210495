"""Setting up ends well, or in one line that says the way out, whatever the machine lacks."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from stack.settings import Settings
from tests.contract.commands import ROOT, run

RETRY, SYSTEM, ENVIRONMENT, PYTHON = (
    ROOT / "requirements" / f"{name}.sh" for name in ("retry", "system", "environment", "python")
)
TESTED = f"{sys.version_info.major}.{sys.version_info.minor}"
PROGRAMS = ("sh", "dirname", "id", "grep", "awk", "df", "rm")
"""What the scripts start on any machine, on a plain user's path."""


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder of programs as a PATH of its own: a machine with little more than a shell."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in PROGRAMS:
        found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
        assert found
        (folder / program).symlink_to(found)
    return folder


def program(path: Path, body: str) -> Path:
    """Write a program of one shell line."""
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def interpreter(path: Path, version: str) -> Path:
    """Write what answers as a Python of this version would to who asks for its version."""
    major, minor = version.split(".")
    supported = major == "3" and 11 <= int(minor) <= 13
    return program(path, f'case "$2" in *"sys.exit("*) exit {int(not supported)} ;; esac; echo {version}')


@pytest.fixture
def flaky(tmp_path: Path) -> Path:
    """A download that succeeds when it is tried for the third time, and counts how often it was."""
    path = tmp_path / "download"
    path.write_text(
        f'#!/bin/sh\necho tried >>"{tmp_path}/log"\n[ "$(wc -l <"{tmp_path}/log")" -ge 3 ] || exit 7\n'
    )
    path.chmod(0o755)
    return path


def test_a_download_is_tried_again(flaky: Path) -> None:
    """What fails twice is tried a third time; each failure is told with the pause, which grows, and the command."""
    result = run(RETRY, flaky, "package", RETRY_PAUSE_S="0")
    assert result.returncode == 0
    assert result.stderr.splitlines() == [
        f"retry: attempt {attempt} of 4 failed (exit 7), again in 0 s: {flaky} package" for attempt in (1, 2)
    ]


def test_a_download_that_never_succeeds_ends_with_what_to_look_at() -> None:
    """After four attempts the exit status is the command's, and the last line says what may help."""
    result = run(RETRY, "sh", "-c", "exit 7", RETRY_PAUSE_S="0")
    assert result.returncode == 7
    assert len(result.stderr.splitlines()) == 5
    assert "failed 4 times" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("retry: is the network there?")


def test_another_python_is_refused_in_a_line(tmp_path: Path) -> None:
    """A Python that is not there, or of another version, is one line that names the way out."""
    other = interpreter(tmp_path / "python3.10", "3.10")
    for python, said in ((tmp_path / "none", "is not there"), (other, "is Python 3.10")):
        result = run(SYSTEM, python, "serve")
        assert result.returncode == 1
        (line,) = result.stderr.splitlines()
        assert said in line
        assert "make PYTHON=" in line


def test_what_does_not_run_on_a_python_is_said_before_it_is_installed(bare: Path, tmp_path: Path) -> None:
    """On 3.13 the local Triton does not: a line says so to whoever sets up to serve, and to nobody else."""
    newest = interpreter(tmp_path / "python3.13", "3.13")
    (told,) = (
        line for line in run(SYSTEM, newest, "serve", PATH=str(bare)).stderr.splitlines() if "Triton" in line
    )
    assert "those need 3.11 or 3.12" in told
    assert "Triton" not in run(SYSTEM, newest, "train", PATH=str(bare)).stderr


def test_the_first_python_that_runs_is_taken(bare: Path) -> None:
    """The one that CI tests before later ones; a shim without a version behind it is passed over, and 3.10 is none."""
    assert run(PYTHON, PATH=str(bare)).stdout == "python3.11\n"
    interpreter(bare / "python3", "3.10")
    assert run(PYTHON, PATH=str(bare)).stdout == "python3.11\n"
    interpreter(bare / "python3", "3.13")
    assert run(PYTHON, PATH=str(bare)).stdout == "python3\n"
    interpreter(bare / "python3.12", "3.12")
    program(bare / "python3.11", "exit 127")
    assert run(PYTHON, PATH=str(bare)).stdout == "python3.12\n"


def test_missing_programs_are_one_command_where_nothing_may_be_installed(bare: Path) -> None:
    """On a machine with little more than Python, a plain user is told what to install, and only what is needed."""
    assert run(SYSTEM, sys.executable, "serve", PATH=str(bare)).returncode == 0
    assert run(SYSTEM, sys.executable, "train", PATH=str(bare)).returncode == 0
    result = run(SYSTEM, sys.executable, "test", PATH=str(bare))
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.splitlines()[-1].split("--no-install-recommends ")[1].split() == [
        *(
            "chromium",
            "nodejs",
            "redis-server",
            "prometheus",
            "util-linux",
            "iproute2",
            "gcc",
            "libc6-dev",
            "git",
            "espeak-ng",
        ),
        # These are files and no program: they are there or not, whatever the path.
        *([] if Path("/usr/share/pocketsphinx/test/data").is_dir() else ["pocketsphinx-testdata"]),
    ]


def test_what_an_interrupted_setup_left_is_made_anew(tmp_path: Path) -> None:
    """A folder without pip, or with less, becomes an environment; one that works is left alone."""
    folder = tmp_path / "environment"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(tmp_path / "gone")
    (folder / ".serve").touch()
    assert run(ENVIRONMENT, sys.executable, folder, 1).stderr == ""
    assert not (folder / ".serve").exists()  # says that packages are installed, which are gone
    assert run(folder / "bin" / "python", "-m", "pip", "--version").returncode == 0
    (folder / ".serve").touch()
    assert run(ENVIRONMENT, sys.executable, folder, 1).returncode == 0
    assert (folder / ".serve").exists()


def test_an_environment_of_another_python_is_left_alone(tmp_path: Path) -> None:
    """Who asks for another version is told both ways out, and nothing is installed into the wrong one."""
    folder = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    other = interpreter(tmp_path / "python3.99", "3.99")
    result = run(ENVIRONMENT, other, folder, 1)
    assert result.returncode == 1
    assert result.stderr == (
        f"setup: {folder} is of Python {TESTED}, and {other} is Python 3.99: "
        f"rm -r {folder}, or VENV=.venv-3.99 for another beside it\n"
    )


def test_a_full_disk_is_one_line(bare: Path, tmp_path: Path) -> None:
    """Before the setup with the room that it takes, and in the middle of a download, which is not tried again."""
    program(
        bare / "df", "echo Filesystem blocks Used Available Capacity Mounted; echo /dev/x 9 9 2048 99% /full"
    )
    result = run(ENVIRONMENT, sys.executable, tmp_path / "environment", 1500, PATH=str(bare))
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert "needs 1500 MB, and the disk has 2 MB left" in line
    assert not (tmp_path / "environment").exists()
    result = run(RETRY, "sh", "-c", "exit 7", PATH=str(bare), RETRY_PAUSE_S="0")
    assert result.returncode == 7
    (line,) = result.stderr.splitlines()
    assert "the disk at /full is full: free some of it" in line


def test_an_unknown_purpose_is_one_line() -> None:
    """Of less than everything there are three kinds, which are named."""
    result = run("make", "-n", "setup", "PURPOSE=play")
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert "PURPOSE=play is not known; it is serve, train or test" in line


@pytest.mark.parametrize(("purpose", "torch"), [("serve", False), ("train", True)])
def test_a_purpose_installs_no_more_than_it_needs(purpose: str, torch: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """What serves has no torch, and what trains no server."""
    planned = run("make", "-n", "setup", f"PURPOSE={purpose}", f"VENV={tmp_path}").stdout
    assert ("torch==" in planned) is torch
    assert ("requirements/serve.txt" in planned) is not torch


def test_what_serves_has_no_torch_and_what_trains_no_server() -> None:
    """The lists say so, whatever a package asks for."""
    served, trained = (
        {line.partition("==")[0] for line in (ROOT / "requirements" / name).read_text().splitlines()}
        for name in ("serve.txt", "build.txt")
    )
    assert {"nvidia-pytriton", "milvus-lite", "pymilvus"} <= served - trained
    assert not {"torch", "transformers", "onnx", "skia-python"} & served
    assert {"transformers", "onnx", "skia-python"} <= trained


def test_a_development_container_sets_itself_up() -> None:
    """Its Python is one that setup takes, its command is the Makefile's, and the ports that it forwards are the stack's."""
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    assert container["postCreateCommand"] == "make setup"
    assert container["image"].startswith("python:3.11-")
    stack = Settings(state=Path("state"))
    served = {int(address.rpartition(":")[2]) for address in (stack.gateway, stack.storefront)}
    assert set(container["forwardPorts"]) == served == {int(port) for port in container["portsAttributes"]}


def test_git_calls_the_makefile() -> None:
    """What runs before a commit and a push is defined once, in the Makefile."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0][
        "hooks"
    ]
    assert {hook["entry"]: hook["stages"] for hook in hooks} == {
        "make format": ["pre-commit"],
        "make lint": ["pre-push"],
    }
