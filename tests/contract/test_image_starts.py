"""Each image of Python, without Docker: its install step runs, and its program starts as compose.yaml and the chart start it.

Triton's image builds on a base that is nowhere here; its packages are installed for its Python, and the chart's command
line runs on the wheel's server (tests/integration/test_chart_triton.py).
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import helm_python
import httpx
import pyarrow as pa
import pytest
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pyarrow import parquet

from tests.contract import image_tree
from tests.ports import free_address

ROOT = Path(__file__).parents[2]
START_S = 180
STOP_S = 60
CALL_S = 5
ADDRESS = re.compile(r"\b[a-z0-9][a-z0-9.-]*:\d{4,5}\b")
SERVICES = ("gateway", "rewriter", "speech")
BY_PIP = "tools"
"""The image that pip itself installs. The others are installed in the same words, by uv."""
NO_SERVICE = 3
WAIT = re.compile("--wait=[0-9]+")
"""Exit status of the command line where nothing answers at the address."""

pytestmark = pytest.mark.timeout(2 * image_tree.RUN_S)

Images = Callable[[str], image_tree.Image]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    """Gives an image by its name; it is made when it is asked for first."""
    made: dict[str, image_tree.Image] = {}

    def image(name: str) -> image_tree.Image:
        if name not in made:
            folder = tmp_path_factory.mktemp(name) / "root"
            folder.mkdir()
            by_pip = name == BY_PIP
            made[name] = image_tree.build(ROOT / "docker" / f"{name}.Dockerfile", folder, by_pip=by_pip)
        return made[name]

    return image


def composed(service: str) -> tuple[dict[str, str], list[str]]:
    """Return the environment and the arguments of a service of compose.yaml."""
    described = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"][service]
    environment = {
        name: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value)
        for name, value in described.get("environment", {}).items()
    }
    return environment, described.get("command", [])


def charted(service: str) -> tuple[dict[str, str], list[str]]:
    """Return the environment and the arguments of a container of the chart."""
    values = {
        "milvus": {"uri": "http://milvus:19530"},
        "access": {"open": ["anybody-may-call", "tokens-in-clear"]},
        "speech": {"enabled": True},
        "storefront": {"enabled": True, "hosts": ["shop.example.com"]},
        "index": {"enabled": True, "catalogue": {"existingClaim": "catalogue"}},
    }
    with helm_python.Chart.load(str(ROOT / "helm/vitrine")) as chart:
        files = chart.render(values, name="demo", namespace="prod")
    texts = [text for name, text in files.items() if name.endswith(".yaml")]
    found = [each for text in texts for each in yaml.safe_load_all(text) if each]
    kinds = {"Deployment", "Job"}
    (workload,) = (
        each
        for each in found
        if each["kind"] in kinds and each["spec"]["template"]["spec"]["containers"][0]["name"] == service
    )
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    maps = {each["metadata"]["name"]: each["data"] for each in found if each["kind"] == "ConfigMap"}
    environment: dict[str, str] = {}
    for source in container.get("envFrom", []):
        environment |= maps[source["configMapRef"]["name"]]
    environment |= {each["name"]: each["value"] for each in container.get("env", [])}
    return environment, container.get("args", [])


STARTED_BY = {"compose": composed, "chart": charted}


class Ports:
    """Puts free ports of this machine in the place of the addresses that settings name."""

    def __init__(self) -> None:
        self._given: dict[str, str] = {}

    def local(self, text: str) -> str:
        """Return the text with every address on loopback, the same one each time."""
        return ADDRESS.sub(lambda found: self._address(found[0]), text)

    def _address(self, name: str) -> str:
        if name not in self._given:
            self._given[name] = free_address()
        return self._given[name]


@contextmanager
def started(
    image: image_tree.Image, environment: Mapping[str, str], log: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run an image's program with nothing in its environment but the image's own and this."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            image.command,
            cwd=image.folder,
            env={**image.environment, **environment},
            executable=f"{image.environment['PATH']}/{image.command[0]}",
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for_health(address: str, wanted: set[int], process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Ask for the health of the whole until it is one of those."""
    give_up = time.monotonic() + START_S
    with grpc.insecure_channel(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < give_up, log.read_text()
            try:
                answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=CALL_S, wait_for_ready=True)
            except grpc.RpcError:
                continue
            if answer.status in wanted:
                return
            time.sleep(0.1)


def test_images_are_installed_in_the_same_words() -> None:
    """So that what pip does for one of them shows its options for all."""
    texts = [(ROOT / f"docker/{name}.Dockerfile").read_text() for name in (BY_PIP, *SERVICES, "storefront")]
    installs = {re.findall(r"^RUN .*?(?=\n(?:#|\n))", text, re.MULTILINE | re.DOTALL)[0] for text in texts}
    (words,) = installs
    assert "pip --python /opt/vitrine/venv install" in words


@pytest.mark.parametrize("by", STARTED_BY)
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_starts(images: Images, tmp_path: Path, service: str, by: str) -> None:
    """In an environment of its own packages alone it starts, tells its health, writes no file, and ends when it is told to."""
    image = images(service)
    before = image.files()
    environment, arguments = STARTED_BY[by](service)
    assert arguments == [], "the image's own command is what runs"
    ports = Ports()
    log = tmp_path / "log"
    settings = {name: ports.local(value) for name, value in environment.items()}
    # Without Triton and Milvus no search can be answered, and the gateway says so.
    status = health_pb2.HealthCheckResponse
    wanted = {status.SERVING} | ({status.NOT_SERVING} if service == "gateway" else set())
    with started(image, settings | {"HOME": str(tmp_path)}, log) as process:
        wait_for_health(settings[f"{service.upper()}_LISTEN"], wanted, process, log)
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_S) == 0, log.read_text()
    assert image.files() == before


def test_the_page_starts(images: Images, tmp_path: Path) -> None:
    """With the chart's environment it is there for the name that its probes ask for and for no other, and ends when it is told to."""
    image = images("storefront")
    before = image.files()
    environment, _ = charted("storefront")
    ports = Ports()
    settings = {name: ports.local(value) for name, value in environment.items()}
    log = tmp_path / "log"
    with started(image, settings | {"HOME": str(tmp_path)}, log) as process:
        give_up = time.monotonic() + START_S
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < give_up, log.read_text()
            try:
                page = httpx.get(
                    f"http://{settings['STOREFRONT_LISTEN']}/", headers={"Host": "shop.example.com"}
                )
                break
            except httpx.TransportError:
                time.sleep(0.1)
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert (
            httpx.get(f"http://{settings['STOREFRONT_LISTEN']}/").status_code
            == httpx.codes.MISDIRECTED_REQUEST
        )
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_S) == 0, log.read_text()
    assert image.files() == before


@pytest.mark.parametrize("by", STARTED_BY)
def test_the_command_line_starts(images: Images, by: str) -> None:
    """The arguments of the index's container are understood: without a service at the address it says so in a line."""
    image = images("tools")
    environment, arguments = STARTED_BY[by]("index")
    catalogue = image.root / "tmp" / "catalogue"
    catalogue.mkdir(exist_ok=True)
    parquet.write_table(pa.table({"id": ["1"], "title": ["A red dress"]}), catalogue / "products.parquet")
    ports = Ports()
    # The chart's Job waits for its gateway for half an hour, and none comes here.
    local = [
        ports.local(WAIT.sub("--wait=1", each.replace("/catalogue", str(catalogue), 1))) for each in arguments
    ]
    result = subprocess.run(
        [f"{image.environment['PATH']}/vitrine", *local],
        cwd=image.folder,
        env={**image.environment, **environment, "HOME": str(image.root)},
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )
    assert result.returncode == NO_SERVICE, result.stdout + result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: no service at 127.0.0.1:")


def test_tritons_packages_are_there_for_its_python(tmp_path: Path) -> None:
    """Every package of the list has a wheel for the image's Python and platform, with the hash that is written down."""
    uv = Path(sys.executable).with_name("uv")
    options = ("--no-deps", "--require-hashes", "--only-binary=:all:", "--target", tmp_path / "packages")
    image = ("--python-version", "3.12", "--python-platform", "x86_64-manylinux_2_36")
    command = (uv, "pip", "install", "-q", *options, *image, "-r", "docker/requirements/triton.txt")
    subprocess.run(
        [ROOT / "requirements" / "retry.sh", *command],
        cwd=ROOT,
        env={**os.environ, **image_tree.uv_settings()},
        timeout=image_tree.RUN_S,
        check=True,
    )
    assert (tmp_path / "packages" / "tritonclient").is_dir()


def test_compose_is_of_its_schema() -> None:
    """compose.yaml is valid by the specification's own schema."""
    checker = shutil.which("check-jsonschema", path=str(Path(sys.executable).parent))
    if checker is None:
        pytest.skip("no check-jsonschema: make setup-test")
    command = (checker, "--builtin-schema", "vendor.compose-spec", "compose.yaml")
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=START_S, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_compose_is_the_charts_and_the_images() -> None:
    """Images are named and built as in docker/, run hardened, and bear the versions of the chart."""
    services = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    chart = yaml.safe_load((ROOT / "helm/vitrine/Chart.yaml").read_text(encoding="utf-8"))
    values = yaml.safe_load((ROOT / "helm/vitrine/values.yaml").read_text(encoding="utf-8"))
    milvus = values["milvus"]["image"]
    assert services["milvus"]["image"] == f"{milvus['repository']}:{milvus['tag']}"
    for name, service in services.items():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        if "build" in service:
            folder, file = os.path.split(service["build"]["dockerfile"])
            image = file.removesuffix(".Dockerfile")
            assert (folder, service["image"]) == ("docker", f"vitrine/{image}:{chart['appVersion']}"), name
            assert (ROOT / folder / file).exists()
    assert json.dumps(services["gateway"]["environment"]).count("CALLERS") == 0
