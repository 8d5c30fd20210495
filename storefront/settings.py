"""The storefront's settings: every field of `Settings` is an environment variable."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from vitrine.process.settings import InvalidSettings, check_traces, read_settings, variable
from vitrine.process.tls import server_tls

PREFIX = "STOREFRONT_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Each field is the environment variable STOREFRONT_<NAME>; `_s` is seconds."""

    listen: str = "127.0.0.1:7730"
    """Where browsers find the page, as HOST:PORT."""
    gateway: str = "127.0.0.1:7700"
    """Where the gateway is, as HOST:PORT."""
    gateway_ca: str = ""
    """Certificates of those who may sign the gateway's; empty: no TLS."""
    gateway_cert: str = ""
    """The page's certificate, PEM, where the gateway asks for one; with its key."""
    gateway_key: str = ""
    """The key of `gateway_cert`, PEM."""
    gateway_token_file: str = ""
    """A file that holds the page's token; it is read again when it was exchanged."""
    tls_cert: str = ""
    """The certificate, PEM, that browsers see; read again when it was exchanged. Empty: no TLS."""
    tls_key: str = ""
    """The key of `tls_cert`, PEM."""
    pictures: Path = Path("build/catalogue")
    """Folder of the products' pictures; no file outside of it is ever served."""
    hosts: str = "127.0.0.1,localhost"
    """Names by which browsers may ask for the page, so that another site's name that resolves to here gets nothing."""
    call_timeout_s: float = 10.0
    """How long one call to the gateway may take."""
    upload_timeout_s: float = 20.0
    """How long reading one request may take."""
    max_requests: int = 64
    """Requests without a body that are at work at the same time; the next one is refused."""
    max_uploads: int = 16
    """Searches and turns at the same time, which have a body; the next one is refused, and the page is served still."""
    traces: str = ""
    """Where spans are sent: an endpoint of OTLP over HTTP, such as http://collector:4318/v1/traces. Empty: none."""
    trace_share: float = 1.0
    """Share of the requests, above 0 and up to 1, that are traced."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int | float) and not 0 < value < float("inf"):
                raise InvalidSettings(f"{_variable(field.name)} must be a number > 0, got {value}")
        check_traces(PREFIX, self.traces, self.trace_share)
        server_tls(self.tls_cert, self.tls_key, prefix=PREFIX)
        host, _, port = self.listen.rpartition(":")
        if not host or not port.isdecimal():
            raise InvalidSettings(f"{_variable('listen')} must be HOST:PORT, got {self.listen!r}")

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def host_names(self) -> frozenset[str]:
        """The names of `hosts`."""
        return frozenset(name.strip().lower() for name in self.hosts.split(","))

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """Read the settings; raises InvalidSettings for what it does not know or cannot read."""
        return read_settings(cls, PREFIX, env)


def _variable(name: str) -> str:
    return variable(PREFIX, name)
