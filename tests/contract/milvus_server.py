"""Runs the index's contract tests against the real Milvus 2.3.5: `python tests/contract/milvus_server.py [PYTEST ARGS]`.

With `--run COMMAND ...` it runs that beside the server instead, and COMMAND finds its URI in VITRINE_TEST_MILVUS.

The server listens on nine ports of every interface, whatever its settings say. So it runs in a network namespace of
its own, and the tests with it; where none can be made, the tests are run all the same and say that they were skipped,
and where CI is set that is an error.
The server is installed once, into build/milvus-server: its launcher's dependencies are not ours.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / "build" / "milvus-server"
REQUIREMENT = "milvus==2.3.5"
RETRY = ROOT / "requirements" / "retry.sh"
PORT = 19530
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 20.0

QUICK = {
    "PROXY_TIMETICKINTERVAL": "50",
    "QUERYCOORD_CHECKCHANNELINTERVAL": "100",
    "QUERYCOORD_CHECKSEGMENTINTERVAL": "100",
    "QUERYCOORD_DISTPULLINTERVAL": "50",
    "QUERYCOORD_LEADERVIEWUPDATEINTERVAL": "1",
    "QUERYCOORD_UPDATENEXTTARGETINTERVAL": "1",
}
"""The server's clocks. Its tests wait for them most of the time: for a read that is consistent, and for a collection
to be loaded, which takes several rounds of one second by default. In ms, the last two in s."""

OWNER = "root:Milvus"
"""User and password that a new server knows. The tests' server asks for them, as one that is exposed does."""

WORKERS = 3
"""Processes that run the cases side by side: they wait for the server, and it for its clocks."""

URI_VARIABLE = "VITRINE_TEST_MILVUS"
"""Tells the tests where the server is, or with `skip: ` before it, why there is none."""

_INSIDE = "--inside-namespace"
_RUN = "--run"


def main() -> int:
    """Install the server, enter a namespace, start it, run the tests; give pytest's exit status."""
    arguments = sys.argv[1:]
    if arguments[:1] == [_INSIDE]:
        return _serve_and_test(arguments[1:])
    if reason := _obstacle():
        if os.environ.get("CI"):
            print(f"the real Milvus cannot run here, and CI may not go without it: {reason}", file=sys.stderr)
            return 1
        return _run_tests(f"skip: {reason}", arguments)
    _install()
    return subprocess.run(
        ["unshare", "--net", sys.executable, __file__, _INSIDE, *arguments], check=False
    ).returncode


def _obstacle() -> str:
    """Say why no network namespace can be made; empty when one can."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return "needs the programs unshare and ip (util-linux, iproute2)"
    tried = subprocess.run(
        ["unshare", "--net", "ip", "link", "set", "lo", "up"], capture_output=True, text=True, check=False
    )
    return f"no network namespace: {tried.stderr.strip()}" if tried.returncode else ""


def _install() -> None:
    if (ENVIRONMENT / "bin" / "milvus-server").exists():
        return
    venv.create(ENVIRONMENT, with_pip=True, clear=True)
    subprocess.run([RETRY, ENVIRONMENT / "bin" / "pip", "install", "--quiet", REQUIREMENT], check=True)


def _serve_and_test(arguments: list[str]) -> int:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    asks = arguments[:1] != [_RUN]
    with tempfile.TemporaryDirectory(prefix="vitrine-milvus-") as folder:
        log = Path(folder) / "log"
        with log.open("w", encoding="utf-8") as output:
            server = subprocess.Popen(
                [ENVIRONMENT / "bin" / "milvus-server", "--data", f"{folder}/data"],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **QUICK, "COMMON_SECURITY_AUTHORIZATIONENABLED": str(asks).lower()},
                start_new_session=True,
            )
        try:
            if not _listens(server):
                print(log.read_text(encoding="utf-8", errors="replace")[-4_000:], file=sys.stderr)
                return 1
            return _run_tests(
                f"http://{OWNER}@127.0.0.1:{PORT}" if asks else f"http://127.0.0.1:{PORT}", arguments
            )
        finally:
            _stop(server)


def _listens(server: "subprocess.Popen[bytes]") -> bool:
    """Wait until the port takes connections; the tests' own first calls wait for the rest."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", PORT)) == 0:
                return True
        time.sleep(0.2)
    return False


def _run_tests(uri: str, arguments: list[str]) -> int:
    environment = {**os.environ, URI_VARIABLE: uri}
    if arguments[:1] == [_RUN]:
        return subprocess.run(arguments[1:], cwd=ROOT, env=environment, check=False).returncode
    files = sorted(map(str, Path(__file__).parent.glob("test_index_*.py")))
    selection = [*files, "-m", "milvus_server", "-n", str(WORKERS), "--dist", "worksteal", *arguments]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *selection],
        cwd=ROOT,
        env=environment,
        check=False,
    ).returncode


def _stop(server: "subprocess.Popen[bytes]") -> None:
    """End the launcher and the server that it started."""
    for stop in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, stop)
            server.wait(STOP_TIMEOUT_S)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


if __name__ == "__main__":
    sys.exit(main())
