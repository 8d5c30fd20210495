"""What a stack is made of: its folder, its addresses and the models it serves."""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

MARKER = "VITRINE_STACK"
"""Environment variable that every process of a stack carries; its value is the state folder."""

SUPERVISOR = "supervisor"
"""The name of the process that keeps the others, as its log has it."""

MIN_PORT_BASE = 1024
MAX_PORT_BASE = 65_500
MAX_GATEWAYS = 8
MAX_SOCKET_PATH = 100
"""The kernel takes 107 bytes; some room is left for the servers' own suffixes."""

HANDED_OVER = "VITRINE_STACK_OVERRIDES"
"""Environment variable in which `up` hands its overrides to the supervisor, as JSON."""

PRIVATE_UMASK = 0o077
"""Of every process of a stack: what they write is for their own user."""

OVERRIDE_PREFIXES = ("GATEWAY_", "REWRITER_", "SPEECH_", "STOREFRONT_")


def gateway_name(number: int) -> str:
    """Return the name of the gateway's n-th process, from 1."""
    return "gateway" if number == 1 else f"gateway-{number}"


class StackError(Exception):
    """The stack cannot do what it was asked; one line that names the way out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One of the gateway's processes."""

    name: str
    metrics: str
    """Address of its own Prometheus metrics."""
    own: str = ""
    """An address that it alone answers at; empty where it is the only one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One stack; several live on one machine when their state folders and port bases differ.

    Raises:
        StackError: the port base or the number of gateways is out of range, or an override names no setting of a service.
    """

    state: Path
    """Absolute folder of data, logs, sockets and the record of what runs."""
    port_base: int = 7700
    repository: Path = Path("build/model_repository")
    """Triton's model repository."""
    overrides: tuple[tuple[str, str], ...] = ()
    """Environment variables of the gateway, the rewriter, the speech service and the storefront, by name."""
    page: bool = True
    """Whether the storefront, the page to look at, runs too."""
    gateways: int = 1
    """Processes of the gateway, all behind one address."""
    speech: bool = False
    """Whether the speech service runs too; what it needs is an extra."""

    def __post_init__(self) -> None:
        if not MIN_PORT_BASE <= self.port_base <= MAX_PORT_BASE:
            raise StackError(f"--port-base: must be {MIN_PORT_BASE} to {MAX_PORT_BASE}, got {self.port_base}")
        if not 1 <= self.gateways <= MAX_GATEWAYS:
            raise StackError(f"--gateways: must be 1 to {MAX_GATEWAYS}, got {self.gateways}")
        for name, _ in self.overrides:
            if not name.startswith(OVERRIDE_PREFIXES):
                raise StackError(f"--set {name}: must begin with {', '.join(OVERRIDE_PREFIXES)}")

    @property
    def traces(self) -> str:
        """Endpoint of OTLP over HTTP to which Triton sends spans: the gateway's own; empty for none."""
        return dict(self.overrides).get("GATEWAY_TRACES", "")

    @property
    def gateway(self) -> str:
        """Address of the gateway's gRPC."""
        return self._address(0)

    @property
    def gateway_metrics(self) -> str:
        """Address of the first gateway's Prometheus metrics."""
        return self._address(1)

    @property
    def workers(self) -> tuple[Worker, ...]:
        """Return the processes of the gateway."""
        first = Worker(
            name=gateway_name(1),
            metrics=self.gateway_metrics,
            own=self._address(21) if self.gateways > 1 else "",
        )
        others = (
            Worker(
                name=gateway_name(number),
                metrics=self._address(11 + number),
                own=self._address(20 + number),
            )
            for number in range(2, self.gateways + 1)
        )
        return (first, *others)

    @property
    def sticky(self) -> bool:
        """Whether there are several gateways, each with sessions of its own in memory."""
        kept = {**os.environ, **dict(self.overrides)}
        return self.gateways > 1 and not any(
            kept.get(name, "") not in ("", "memory") for name in ("GATEWAY_SESSIONS", "GATEWAY_SESSIONS_FILE")
        )

    @property
    def triton_grpc(self) -> str:
        """Address of Triton's gRPC."""
        return self._address(11)

    @property
    def triton_metrics(self) -> str:
        """Address of Triton's Prometheus metrics."""
        return self._address(12)

    @property
    def rewriter(self) -> str:
        """Address of the rewriter's gRPC."""
        return self._address(20)

    @property
    def speech_grpc(self) -> str:
        """Address of the speech service's gRPC."""
        return self._address(40)

    @property
    def storefront(self) -> str:
        """Address of the storefront's HTTP."""
        return self._address(30)

    @property
    def milvus_socket(self) -> Path:
        """The unix socket of Milvus Lite; in the folder of temporary files when the state folder's path is long."""
        path = self.state / "milvus.sock"
        if len(bytes(path)) <= MAX_SOCKET_PATH:
            return path
        return Path(tempfile.gettempdir()) / f"{self.prefix}milvus.sock"

    @property
    def milvus(self) -> str:
        """Milvus Lite's URI, as pymilvus takes it."""
        return f"unix:{self.milvus_socket}"

    @property
    def prefix(self) -> str:
        """Begins the name of whatever this stack leaves outside its folder, such as shared memory."""
        return f"vitrine-{hashlib.sha256(bytes(self.state)).hexdigest()[:8]}-"

    @property
    def logs(self) -> Path:
        """Folder of the log files, one a process."""
        return self.state / "logs"

    @property
    def record(self) -> Path:
        """File that says what runs; see `stack.record`."""
        return self.state / "stack.json"

    def log(self, name: str) -> Path:
        """Return the log file of a process."""
        return self.logs / f"{name}.log"

    def _address(self, offset: int) -> str:
        return f"127.0.0.1:{self.port_base + offset}"
