"""The running stack that integration tests share: real Triton, Milvus Lite, rewriter and gateway.

A test that asks for `stack` gets one that runs for the whole session with a catalogue of 500 products in its index:
it may search and write, and must leave the stack well. A test that kills or stops things asks for `own_stack`.

Several test runs on one machine get stacks of their own, each on other ports.
"""

import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from stack.processes import SHARED_MEMORY, marked
from stack.settings import MARKER, Settings

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build"
WEIGHTS = ROOT / "encoders/weights/small"
PRODUCTS = 500
WORTH_ANOTHER_TRY = 4
"""Exit status of a client's command that came too late or found the service busy."""

PORT_BASE = 17_700
PORTS_OF_A_RUN = 100
TRITON_PORTS = 25
"""Where in a run's ports those of a Triton alone begin."""
REWRITER_METRICS = 45
"""The port in a run's ports at which the shared stack's rewriter shows its metrics, which a stack has it not do."""
OWN_PORTS = 50
"""Where in a run's ports those of `own_stack` begin."""
FAMILIES_PORTS = 75
SECOND_PORTS = 85
"""Where those of `serve_models` begin."""

FIRST_S = 900
"""What a test has that may have to publish models and to start a stack: each takes minutes on a busy machine."""
COMMAND_S = 600
"""Of a command that exports, starts or indexes: a minute or two of CPU at most."""
MAX_RUNS = 8
PATIENT = (
    "REWRITE_BUDGET",
    "REWRITE_BUDGET_FLOOR",
    "CONVERSE_BUDGET",
    "CONVERSE_BUDGET_FLOOR",
    "HISTORY_TIMEOUT",
    "MODERATION_BUDGET",
)
PATIENCE_MS = 10_000


FEW_PRODUCTS = 48
"""Enough for encoders whose weights are random."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningStack:
    """A stack of this test run, by its addresses."""

    settings: Settings
    catalogue: Path
    """Folder of the products that were indexed, and of queries/ that were not."""

    @property
    def gateway(self) -> str:
        """Address of the gateway's gRPC."""
        return self.settings.gateway

    @property
    def metrics(self) -> str:
        """Address of the gateway's metrics."""
        return self.settings.gateway_metrics

    @property
    def triton(self) -> str:
        """Address of Triton's gRPC."""
        return self.settings.triton_grpc

    @property
    def milvus(self) -> str:
        """URI of Milvus Lite."""
        return self.settings.milvus

    @property
    def rewriter(self) -> str:
        """Address of the rewriter's gRPC."""
        return self.settings.rewriter

    def up(self) -> str:
        """Bring the stack up, or find it up; give what the command printed."""
        options = (
            *("--port-base", str(self.settings.port_base), "--repository", str(self.settings.repository)),
            *("--set", f"STOREFRONT_PICTURES={self.catalogue}"),
            *(option for name, value in self.settings.overrides for option in ("--set", f"{name}={value}")),
            # A busy machine answers late, and that is not what these tests are about.
            *(option for name in PATIENT for option in ("--set", f"GATEWAY_{name}_MS={PATIENCE_MS}")),
        )
        return self.command("up", *options).stdout

    def down(self) -> None:
        """Take the stack down."""
        self.command("down")

    def command(self, verb: str, *options: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run `python -m stack VERB` on this stack."""
        return program("stack", verb, "--state", str(self.settings.state), *options, check=check)

    def index(self, *options: str) -> None:
        """Index the catalogue through the gateway; on a busy machine the command is repeated and goes on."""
        arguments = ("index", str(self.catalogue), "--address", self.gateway, *options)
        for last in (False, False, True):
            result = program("vitrine", *arguments, check=last)
            if result.returncode != WORTH_ANOTHER_TRY:
                break
        assert result.returncode == 0, result.stderr

    def leftovers(self) -> list[str]:
        """Name whatever of the stack is still on the machine, its data and logs aside."""
        processes = [f"process {each.pid}" for each in marked(MARKER, str(self.settings.state))]
        files = [
            *SHARED_MEMORY.glob(f"{self.settings.prefix}*"),
            self.settings.milvus_socket,
            self.settings.record,
        ]
        return processes + [str(path) for path in files if path.exists()]


ServeModels = Callable[[Path], RunningStack]


def program(module: str, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    """Run a room's command line; its output is shown when it fails."""
    result = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        check=False,
    )
    if check and result.returncode:
        pytest.fail(
            f"{module} {' '.join(arguments)}: exit {result.returncode}\n{result.stdout}{result.stderr}"
        )
    return result


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Mark whatever needs a running stack, so that `-m "not stack"` leaves it out, and whatever starts its own."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if {"stack", "own_stack"} & fixtures:
            item.add_marker("stack")
        if {"own_stack", "serve_models", "stack_starter"} & fixtures:
            item.add_marker("own_stack")
        made = {"catalogue_path", "model_repository", "serve_models", "stack_starter"} & fixtures
        if made and item.get_closest_marker("timeout") is None:
            # The first of them also waits for the catalogue, the models, the start and the index.
            item.add_marker(pytest.mark.timeout(FIRST_S))


@contextmanager
def _alone(name: str) -> Iterator[Path]:
    """Yield a folder in build/ that no other test run makes at the same time."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / f".{name}.fixture-lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield BUILD / name


@pytest.fixture(scope="session")
def catalogue_path() -> Path:
    """Give a small procedural catalogue; built once, kept between runs."""
    with _alone("test-catalogue") as path:
        program("catalogue", "build", "--products", str(PRODUCTS), "--out", str(path))
    return path


@pytest.fixture(scope="session")
def model_repository() -> Path:
    """Give the model repository of the committed encoders; published once, kept between runs."""
    with _alone("test-repository") as path:
        program("export", "publish", "--target", "local", "--weights", str(WEIGHTS), "--out", str(path))
    return path


@pytest.fixture(scope="session")
def triton_ports(run_number: int) -> int:
    """The first of the ports for a Triton without the rest of a stack."""
    return PORT_BASE + run_number * PORTS_OF_A_RUN + TRITON_PORTS


@pytest.fixture(scope="session")
def run_number() -> Iterator[int]:
    """Give a number that no other test run on this machine has now; what a killed run held comes free with it."""
    folder = Path(tempfile.gettempdir())
    for number in range(MAX_RUNS):
        with (folder / f"vitrine-{os.getuid()}-test-run-{number}.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield number
            return
    pytest.fail(f"{MAX_RUNS} test runs use stacks already")


@contextmanager
def running_stack(settings: Settings, catalogue: Path) -> Iterator[RunningStack]:
    """Run a stack with the catalogue in its index; nothing of it is left afterwards."""
    own = RunningStack(settings=settings, catalogue=catalogue)
    own.down()
    (settings.state / "milvus.db").unlink(missing_ok=True)
    try:
        own.up()
        own.index()
        yield own
    finally:
        own.down()
    assert own.leftovers() == []


@pytest.fixture(scope="session")
def stack(run_number: int, catalogue_path: Path, model_repository: Path) -> Iterator[RunningStack]:
    """Give the stack of the session."""
    port_base = PORT_BASE + run_number * PORTS_OF_A_RUN
    settings = Settings(
        state=BUILD / f"test-stack-{run_number}",
        port_base=port_base,
        repository=model_repository,
        overrides=(("REWRITER_METRICS_LISTEN", f"127.0.0.1:{port_base + REWRITER_METRICS}"),),
    )
    with running_stack(settings, catalogue_path) as shared:
        yield shared


@pytest.fixture(scope="module")
def _module_stack(run_number: int, catalogue_path: Path, model_repository: Path) -> Iterator[RunningStack]:
    settings = Settings(
        state=BUILD / f"test-own-stack-{run_number}",
        port_base=PORT_BASE + run_number * PORTS_OF_A_RUN + OWN_PORTS,
        repository=model_repository,
    )
    with running_stack(settings, catalogue_path) as own:
        yield own


@pytest.fixture
def own_stack(_module_stack: RunningStack) -> RunningStack:
    """Give a stack that the test may kill and stop; it is up when the test begins."""
    _module_stack.up()
    return _module_stack


@pytest.fixture(scope="module")
def serve_models(run_number: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeModels]:
    """Gives a stack of a model repository; the next repository takes over its addresses, and its index."""
    catalogue = tmp_path_factory.mktemp("catalogue")
    program("catalogue", "build", "--products", str(FEW_PRODUCTS), "--out", str(catalogue))
    state = BUILD / f"test-families-{run_number}"
    port_base = PORT_BASE + run_number * PORTS_OF_A_RUN + FAMILIES_PORTS

    def serving(repository: Path) -> RunningStack:
        settings = Settings(state=state, port_base=port_base, repository=repository)
        return RunningStack(settings=settings, catalogue=catalogue)

    nothing = serving(tmp_path_factory.mktemp("repository"))
    nothing.down()
    (state / "milvus.db").unlink(missing_ok=True)

    def serve(repository: Path) -> RunningStack:
        served = serving(repository)
        served.up()
        return served

    try:
        yield serve
    finally:
        nothing.down()
    assert nothing.leftovers() == []


@pytest.fixture
def second_triton(run_number: int, tmp_path: Path) -> Settings:
    """Give the addresses and the folder of a Triton beside that of `stack_starter`; it does not run yet."""
    state = tmp_path / "second"
    state.mkdir()
    port_base = PORT_BASE + run_number * PORTS_OF_A_RUN + SECOND_PORTS
    return Settings(state=state, port_base=port_base, repository=tmp_path / "second-repository", page=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StackStarter:
    """A stack that a test starts with its own settings of the gateway, with few products to be indexed."""

    nothing: RunningStack

    @property
    def triton(self) -> str:
        """Address of Triton's gRPC, before it runs."""
        return self.nothing.triton

    def start(self, repository: Path, settings: dict[str, str]) -> RunningStack:
        """Start it."""
        catalogue = self.nothing.catalogue
        program("catalogue", "build", "--products", str(FEW_PRODUCTS), "--out", str(catalogue))
        own = replace(self.nothing.settings, repository=repository, overrides=tuple(settings.items()))
        started = RunningStack(settings=own, catalogue=catalogue)
        started.up()
        return started


@pytest.fixture
def stack_starter(run_number: int, tmp_path: Path) -> Iterator[StackStarter]:
    """Give a stack that is not started yet; nothing of it is left afterwards."""
    settings = Settings(
        state=BUILD / f"test-started-{run_number}",
        port_base=PORT_BASE + run_number * PORTS_OF_A_RUN + OWN_PORTS,
    )
    nothing = RunningStack(settings=settings, catalogue=tmp_path / "catalogue")
    nothing.down()
    (settings.state / "milvus.db").unlink(missing_ok=True)
    try:
        yield StackStarter(nothing=nothing)
    finally:
        nothing.down()
    assert nothing.leftovers() == []
