import fcntl
import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from stack import control
from stack.cli import main
from stack.settings import HANDED_OVER, Settings, StackError
from stack.triton_runtime import check_python


def stack(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


def is_free(port: int) -> bool:
    """Whether nobody on this machine has the port."""
    with socket.socket() as tried:
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@pytest.fixture
def port_base() -> int:
    """Where the ports of a stack are free; others may have theirs up on this machine."""
    bases = range(20_000, 30_000, 100)
    return next(base for base in bases if all(is_free(base + offset) for offset in range(40)))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A folder that looks like a model repository from outside."""
    (tmp_path / "models" / "embed_text").mkdir(parents=True)
    return tmp_path / "models"


def test_missing_models_are_one_clear_line(tmp_path: Path) -> None:
    """Without a model repository the start is refused in a line that names the path and the way out."""
    result = stack("up", "--state", tmp_path, "--repository", tmp_path / "none")
    assert result.exit_code == 1
    assert result.output == (
        f"Error: no model repository at {tmp_path}/none; the way out: make export, or --repository DIR\n"
    )


@pytest.mark.parametrize(("offset", "use"), [(0, "gateway"), (11, "triton grpc"), (20, "rewriter")])
def test_taken_port_is_one_clear_line(
    tmp_path: Path, repository: Path, port_base: int, offset: int, use: str
) -> None:
    """A port in use is named with its purpose and the way out, and nothing is started."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", port_base + offset))
        other.listen()
        result = stack("up", "--state", tmp_path, "--repository", repository, "--port-base", port_base)
    assert result.exit_code == 1
    assert result.output == (
        f"Error: port {port_base + offset} ({use}) is in use; the way out: --port-base N, or free it\n"
    )


def test_a_python_that_triton_crashes_under_is_refused() -> None:
    """The refusal names the last one that it runs on, and how to get an environment of it."""
    for version in ((3, 11), (3, 12)):
        check_python(version)
    with pytest.raises(
        StackError, match=r"Python 3\.12 at most, and this is 3\.13; the way out: make setup PYTHON"
    ):
        check_python((3, 13))


def test_speech_that_is_not_installed_is_one_clear_line(
    tmp_path: Path, repository: Path, port_base: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is missing is named with the way out, and nothing is started."""
    monkeypatch.setattr(control, "SPEECH_MODULES", ("no_such_module",))
    options = ("--state", tmp_path, "--repository", repository, "--port-base", port_base, "--speech")
    result = stack("up", *options)
    assert result.exit_code == 1
    assert result.output == (
        "Error: speech is not installed (no_such_module is missing); the way out: make setup-speech\n"
    )


def test_override_without_a_value_is_refused(tmp_path: Path) -> None:
    """A setting is NAME=VALUE and belongs to the gateway or the rewriter."""
    assert "'GATEWAY_X' is not NAME=VALUE" in stack("up", "--state", tmp_path, "--set", "GATEWAY_X").output
    assert (
        "must begin with GATEWAY_, REWRITER_, SPEECH_, STOREFRONT_"
        in stack("up", "--state", tmp_path, "--set", "X=1").output
    )


def test_an_override_is_on_no_command_line(
    tmp_path: Path, repository: Path, port_base: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`up` hands overrides to the supervisor in its environment, which takes them out of what services inherit."""
    started: dict[str, Any] = {}

    class Ended:
        """A supervisor that ends at once."""

        pid = -1

        def __init__(self, command: list[str], **options: Any) -> None:
            started.update(options, command=command)

        def poll(self) -> int:
            """Return its exit status."""
            return 1

        kill = wait = poll

    monkeypatch.setattr("stack.control.subprocess.Popen", Ended)
    monkeypatch.setattr(control, "clear_the_way", lambda _: None)
    secret = "REWRITER_OPENAI_API_KEY=top=secret"
    options = ("--state", tmp_path, "--repository", repository, "--port-base", port_base)
    assert stack("up", *options, "--set", secret).exit_code == 1
    assert "secret" not in " ".join(started["command"])

    monkeypatch.setenv(HANDED_OVER, started["env"][HANDED_OVER])
    taken: list[Settings] = []

    def run(settings: Settings) -> bool:
        taken.append(settings)
        return True

    monkeypatch.setattr(control, "run", run)
    assert stack(*started["command"][3:]).exit_code == 0
    assert taken[0].overrides == (("REWRITER_OPENAI_API_KEY", "top=secret"),)
    assert HANDED_OVER not in os.environ


def test_down_twice_is_fine(tmp_path: Path) -> None:
    """Taking down what is not up says so and succeeds, also when there was never a state folder."""
    for state in (tmp_path, tmp_path / "never"):
        result = stack("down", "--state", state)
        assert (result.exit_code, result.output) == (0, "the stack was down already\n")


def test_down_ends_what_carries_the_marker(tmp_path: Path) -> None:
    """A process of this stack that no record knows is ended; one of another stack is not."""
    orphans = [
        subprocess.Popen(["sleep", "60"], env={"VITRINE_STACK": str(state), "PATH": "/usr/bin:/bin"})
        for state in (tmp_path, f"{tmp_path}-other")
    ]
    assert stack("down", "--state", tmp_path).output == "the stack is down\n"
    assert orphans[0].wait(60) == -9
    assert orphans[1].poll() is None
    orphans[1].kill()
    orphans[1].wait()


def test_status_of_nothing_is_down(tmp_path: Path) -> None:
    """Without a record the stack is down, for people and for programs, and the exit code says so."""
    assert stack("status", "--state", tmp_path).output == "the stack is down\n"
    result = stack("status", "--state", tmp_path, "--json")
    assert result.exit_code == 1
    assert json.loads(result.output) == {"up": False, "phase": "down", "supervisor": None, "services": []}


def test_logs_show_the_end_of_each(tmp_path: Path) -> None:
    """The logs of all processes come with their names, that of one comes alone."""
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "gateway.log").write_text("one\ntwo\nthree\n")
    (folder / "triton.log").write_text("four\n")
    assert stack("logs", "--state", tmp_path, "-n", 2).output == (
        "triton     four\ngateway    two\ngateway    three\n"
    )
    assert stack("logs", "gateway", "--state", tmp_path, "-n", 1).output == "three\n"


VALUES = 'words="a = b" stages={"encode": 1.5}'
ENTRY = {
    "time": "2026-01-02T03:04:05.678Z",
    "level": "warning",
    "logger": "gateway.adapters.triton",
    "event": "encoder_failed",
    "code": "UNAVAILABLE",
    "words": "a = b",
    "stages": {"encode": 1.5},
    "traceback": "KeyError\n  gateway/x.py:3 in f",
}


def test_a_log_is_read_by_people_and_by_programs(tmp_path: Path) -> None:
    """An object becomes a line of words, its traceback lines below; --json gives every line as an object."""
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "gateway.log").write_text(f"{json.dumps(ENTRY)}\n")
    (folder / "triton.log").write_text('I0102 \x1b[31mloaded\n["no object"]\n')
    shown = stack("logs", "--state", tmp_path).output.splitlines()
    assert shown == [
        "triton     I0102 \N{REPLACEMENT CHARACTER}[31mloaded",
        'triton     ["no object"]',
        f"gateway    2026-01-02 03:04:05 warning gateway.adapters.triton encoder_failed code=UNAVAILABLE {VALUES}",
        "gateway        KeyError",
        "gateway          gateway/x.py:3 in f",
    ]
    entries = [json.loads(line) for line in stack("logs", "--state", tmp_path, "--json").output.splitlines()]
    assert entries == [
        {"process": "triton", "line": "I0102 \x1b[31mloaded"},
        {"process": "triton", "line": '["no object"]'},
        {"process": "gateway", **ENTRY},
    ]


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_warning_stands_out_unless_colours_are_off(
    tmp_path: Path, *, variables: dict[str, str], coloured: bool
) -> None:
    """On a terminal the level is coloured; with NO_COLOR it is not."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "gateway.log").write_text(f"{json.dumps(ENTRY)}\n")
    arguments = ["logs", "gateway", "--state", str(tmp_path)]
    environment = {"NO_COLOR": None} | variables
    result = CliRunner().invoke(main, arguments, env=environment, color=True)
    assert ("\x1b[33mwarning" in result.output) is coloured


def test_second_supervisor_is_refused(tmp_path: Path) -> None:
    """A state folder has one supervisor; another `run` is refused in a line."""
    with (tmp_path / "supervisor.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = stack("run", "--state", tmp_path)
    assert result.exit_code == 1
    assert result.output.startswith("Error: the stack runs already; the way out: python -m stack down")
