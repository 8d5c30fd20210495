"""The stack as seen from outside its supervisor: bring it up, take it down, whatever state it is in."""

import asyncio
import contextlib
import fcntl
import hashlib
import importlib.util
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from stack import logs, record, status, triton_runtime
from stack.processes import Identity, identify, is_alive, marked, send, unlink_shared_memory
from stack.record import Phase, ServiceRecord, StackRecord, State
from stack.services import ROOT, ports, services
from stack.settings import HANDED_OVER, MARKER, PRIVATE_UMASK, SUPERVISOR, Settings, StackError
from stack.supervisor import Supervisor
from vitrine.tensors import EMBED_TEXT

LOCK_TIMEOUT_S = 120.0
"""How long an `up` or `down` waits for another one on the same state folder."""

LAUNCH_TIMEOUT_S = 60.0
"""From the supervisor's first instruction to its record; it imports the clients of the services it probes."""

ORPHAN_GRACE_S = 20.0
"""From SIGTERM to SIGKILL for the services of a supervisor that is no more."""

TAIL_LINES = 20

SPEECH_MODULES = ("av", "faster_whisper")
"""What `make setup-speech` installs: the first for any engine, both for Whisper in the process."""

Report = Callable[[str], None]


def up(settings: Settings, report: Report) -> None:
    """Start the stack in the background and wait until it is ready; done already is done.

    A stack that runs with other settings or another model repository is restarted.

    Raises:
        StackError: it cannot be started, or did not become ready; what was started has been stopped.
    """
    with _exclusive(settings):
        current = running(settings)
        if current and current.fingerprint != fingerprint(settings):
            report("the settings or the models have changed since the start: restarting")
            _end(settings)
            current = None
        if current is None:
            with _sole_supervisor(settings):
                clear_the_way(settings)
            supervisor = _launch(settings)
        else:
            report(f"the stack is {current.phase} already")
            supervisor = current.supervisor
    _await_ready(settings, supervisor, report)


def down(settings: Settings) -> bool:
    """Stop the stack and remove what it left; False when there was nothing to do.

    It needs no supervisor: what one left behind when it was killed is found and ended as well.
    """
    if not settings.state.exists():
        return False
    with _exclusive(settings):
        return _end(settings)


def run(settings: Settings) -> bool:
    """Supervise the stack in the foreground until SIGTERM or SIGINT; False when it could not be started.

    Raises:
        StackError: it runs already, or cannot be started.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    with _sole_supervisor(settings):
        clear_the_way(settings)
        own = services(settings)
        for service in own:
            logs.rotate(settings.log(service.name))
        identity = identify(os.getpid())
        assert identity
        initial = StackRecord(
            supervisor=identity, phase=Phase.STARTING, fingerprint=fingerprint(settings), services=()
        )
        supervisor = Supervisor(own, path=settings.record, initial=initial, log_folder=settings.logs)
        return asyncio.run(supervisor.run())


def running(settings: Settings) -> StackRecord | None:
    """Return the record of the stack, if its supervisor is alive."""
    current = record.read(settings.record)
    return current if current and is_alive(current.supervisor) else None


def clear_the_way(settings: Settings) -> None:
    """End what an earlier supervisor left, and check that the stack can start.

    Raises:
        StackError: the models are missing, a port is taken, or Triton cannot run here; names the way out.
    """
    _sweep(settings)
    if not (settings.repository / EMBED_TEXT.name).is_dir():
        raise StackError(
            f"no model repository at {settings.repository}; the way out: make export, or --repository DIR"
        )
    if settings.speech and (missing := _missing(SPEECH_MODULES, settings)):
        raise StackError(f"speech is not installed ({missing} is missing); the way out: make setup-speech")
    for use, address in ports(settings).items():
        if not _is_free(address):
            raise StackError(
                f"port {address.rpartition(':')[2]} ({use}) is in use; the way out: --port-base N, or free it"
            )
    triton_runtime.check_python()


def _missing(modules: tuple[str, ...], settings: Settings) -> str:
    """Return the first module that is not installed, of those that the speech service's engine needs; empty for none."""
    engine = dict(settings.overrides).get("SPEECH_ENGINE", os.environ.get("SPEECH_ENGINE", "whisper"))
    needed = modules if engine == "whisper" else modules[:1]
    return next((name for name in needed if importlib.util.find_spec(name) is None), "")


def fingerprint(settings: Settings) -> str:
    """Digest the settings and the manifest of the model repository."""
    manifest = settings.repository / "manifest.json"
    content = manifest.read_bytes() if manifest.exists() else b""
    return hashlib.sha256(repr(settings).encode() + content).hexdigest()


def _launch(settings: Settings) -> Identity:
    """Start the supervisor as a daemon; give it once its record is there."""
    options = [
        *("--state", str(settings.state), "--port-base", str(settings.port_base)),
        *("--repository", str(settings.repository), "--page" if settings.page else "--no-page"),
        "--speech" if settings.speech else "--no-speech",
        *("--gateways", str(settings.gateways)),
    ]
    log = settings.log(SUPERVISOR)
    logs.rotate(log)
    with logs.open_for_child(log) as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "stack", "run", *options],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Everybody on the machine reads a command line, and an override may be a password.
            env={
                **os.environ,
                MARKER: str(settings.state),
                HANDED_OVER: json.dumps(settings.overrides),
                "PYTHONPATH": _python_path(),
            },
            umask=PRIVATE_UMASK,
            start_new_session=True,
        )
    give_up = time.monotonic() + LAUNCH_TIMEOUT_S
    while time.monotonic() < give_up and process.poll() is None:
        current = running(settings)
        if current and current.supervisor.pid == process.pid:
            return current.supervisor
        time.sleep(0.05)
    process.kill()
    process.wait()
    raise StackError(f"the supervisor did not start: {logs.last_line(log)}")


def _await_ready(settings: Settings, supervisor: Identity, report: Report) -> None:
    seen: dict[str, ServiceRecord] = {}
    trouble: list[str] = []
    give_up = time.monotonic() + sum(each.start_timeout_s + each.grace_s for each in services(settings))
    while time.monotonic() < give_up:
        alive = is_alive(supervisor)
        current = record.read(settings.record)
        if current is None or current.supervisor != supervisor:
            raise StackError("the stack was stopped while it was starting")
        _report_changes(current, seen, report)
        if status.is_up(current):
            return
        if not alive:
            raise StackError(_failure(settings, current))
        trouble = status.reasons(current)
        time.sleep(0.1)
    raise StackError("; ".join(["the stack is still not ready", *trouble]))


def _report_changes(current: StackRecord, seen: dict[str, ServiceRecord], report: Report) -> None:
    for service in current.services:
        before = seen.get(service.name)
        changed = before is None or before.state is not service.state
        if changed and service.state is not State.WAITING:
            report(" ".join(filter(None, (f"{service.name:9}", service.state, service.reason))))
        seen[service.name] = service


def _failure(settings: Settings, current: StackRecord) -> str:
    name = current.failure.partition(":")[0] or SUPERVISOR
    log = settings.log(name)
    lines = [f"  {line}" for line in logs.tail(log, TAIL_LINES)]
    return "\n".join([f"{current.failure or 'the supervisor died'}; the end of {log}:", *lines])


def _end(settings: Settings) -> bool:
    current = record.read(settings.record)
    if current and send(current.supervisor, signal.SIGTERM):
        patience_s = sum(each.grace_s for each in services(settings)) + ORPHAN_GRACE_S
        if not _wait_until_gone([current.supervisor], patience_s):
            send(current.supervisor, signal.SIGKILL)
    return _sweep(settings) or current is not None


def _sweep(settings: Settings) -> bool:
    """End whatever still runs of the stack and remove what it left; False when there was nothing."""
    current = record.read(settings.record)
    leaders = [each.process for each in current.services if each.process] if current else []
    # Services first and gently: the backends of Triton would otherwise die under its requests in flight.
    gentle = [each for each in leaders if send(each, signal.SIGTERM)]
    _wait_until_gone(gentle, ORPHAN_GRACE_S)
    found = bool(gentle)
    found |= _kill_marked(settings)
    found |= bool(unlink_shared_memory(settings.prefix))
    for path in (settings.milvus_socket, settings.record):
        found |= path.exists()
        path.unlink(missing_ok=True)
    return found


def _kill_marked(settings: Settings) -> bool:
    """Kill every process that carries the stack's marker; False when there was none."""
    give_up = time.monotonic() + ORPHAN_GRACE_S
    found = False
    while left := marked(MARKER, str(settings.state)):
        found = True
        if time.monotonic() > give_up:
            raise StackError(f"process {left[0].pid} does not end")
        for each in left:
            send(each, signal.SIGKILL)
        _wait_until_gone(left, 1.0)
    return found


def _wait_until_gone(processes: list[Identity], timeout_s: float) -> bool:
    give_up = time.monotonic() + timeout_s
    while any(is_alive(each) for each in processes):
        if time.monotonic() > give_up:
            return False
        time.sleep(0.02)
    return True


def _is_free(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        # As the servers do it: a port whose last connections are only winding down is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError:
            return False
    return True


def _exclusive(settings: Settings) -> contextlib.AbstractContextManager[None]:
    busy = "another `up` or `down` does not end"
    return _lock(settings.state / "control.lock", timeout_s=LOCK_TIMEOUT_S, busy=busy)


def _sole_supervisor(settings: Settings) -> contextlib.AbstractContextManager[None]:
    """Hold what a supervisor holds for as long as it lives."""
    busy = "the stack runs already; the way out: python -m stack down"
    return _lock(settings.state / "supervisor.lock", timeout_s=1.0, busy=busy)


@contextlib.contextmanager
def _lock(path: Path, *, timeout_s: float, busy: str) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    give_up = time.monotonic() + timeout_s
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= give_up:
                    raise StackError(f"{busy} (it holds {path})") from None
                time.sleep(0.1)
        yield


def _python_path() -> str:
    return os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
