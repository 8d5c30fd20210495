"""The rewriter's settings: every field of `Settings` is an environment variable."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from rewriter.synonyms import Synonyms, read_synonyms
from vitrine.process.authorities import Authorities, authorities_of
from vitrine.process.secrets import Secret, secret_of
from vitrine.process.settings import (
    InvalidSettings,
    check_keyed_url,
    check_traces,
    read_settings,
    variable,
)
from vitrine.process.tls import server_tls

PREFIX = "REWRITER_"
ENGINES = ("router", "model", "openai")
LOG_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Each field is the environment variable REWRITER_<NAME>; `_ms` and `_s` are units."""

    listen: str = "127.0.0.1:7720"
    """Where the gateway asks, as HOST:PORT."""
    health_listen: str = ""
    """Where health is told without TLS, and nothing else: for probes. Empty: only where calls are answered."""
    metrics_listen: str = ""
    """Empty: no metrics endpoint."""
    tls_cert: str = ""
    """The rewriter's certificate and its chain, PEM; read again when it was exchanged. Empty: no TLS."""
    tls_key: str = ""
    """The key of `tls_cert`, PEM."""
    tls_client_ca: str = ""
    """Certificates of those who may sign callers' certificates; with it nobody is connected without one."""
    log_level: str = "info"
    """debug, info, warning, error or critical; of libraries nothing below warning is logged."""
    traces: str = ""
    """Where spans are sent: an endpoint of OTLP over HTTP, such as http://collector:4318/v1/traces. Empty: none."""
    trace_share: float = 1.0
    """Share of the calls, from 0 to 1, that are traced; the gateway's decision goes first."""

    engine: str = "model"
    """router: rules alone. model: the embedded language model. openai: a server of chat completions. The rules stand in
    for either model."""
    model_rows: int = 16
    """Turns that the embedded model reads at once."""
    model_waiting: int = 64
    """Turns that wait for it; one more goes to the rules."""
    model_least_certainty: float = 0.0
    """From 0 to 1: a reading with a less certain choice goes to the rules."""
    openai_url: str = ""
    """Where the API begins, such as http://vllm:8000/v1; https where a key goes with it, but for this machine's own."""
    openai_model: str = ""
    """Name of the model that the server is asked for."""
    openai_api_key: str = field(default="", repr=False)
    """The server's key."""
    openai_api_key_file: str = ""
    """A file that holds the key; excludes openai_api_key."""
    openai_ca: str = ""
    """Certificates of those who may sign the server's; empty: the usual authorities."""
    openai_max_tokens: int = 384
    """Upper bound on the tokens of the server's answer."""
    openai_connections: int = 16
    """Calls to the server at once; a turn beyond them goes to the rules."""

    synonyms: str = ""
    """A TOML file of the shop's own words for its values (docs/catalogue.md), read at the start. Empty: none."""

    default_timeout_ms: int = 1_000
    """Time of a call whose caller sets none."""
    max_timeout_ms: int = 10_000
    """Upper bound on the time of a call, whatever its caller sets."""
    fallback_reserve_ms: int = 10
    """Kept of a call's time for the rules, after the engine has failed."""
    max_in_flight: int = 128
    """Calls at once; one more is refused with RESOURCE_EXHAUSTED."""

    drain_s: float = 5.0
    """Between saying NOT_SERVING and refusing calls: balancers take that long to look."""
    grace_s: float = 10.0
    """How long calls in flight may go on once new ones are refused."""

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            least = 1 if setting.type is int else 0
            if not isinstance(value, str) and not least <= value < float("inf"):
                raise InvalidSettings(f"{_variable(setting.name)} must be a number >= {least}, got {value}")
        check_traces(PREFIX, self.traces, self.trace_share)
        for name, known in (("engine", ENGINES), ("log_level", LOG_LEVELS)):
            if getattr(self, name) not in known:
                raise InvalidSettings(
                    f"{_variable(name)} must be one of {', '.join(known)}, got {getattr(self, name)!r}"
                )
        if self.model_least_certainty > 1:
            raise InvalidSettings(f"{_variable('model_least_certainty')} must be at most 1")
        server_tls(self.tls_cert, self.tls_key, self.tls_client_ca, prefix=PREFIX)
        self.own_synonyms()
        if self.engine == "openai":
            self._check_openai()

    def _check_openai(self) -> None:
        """Hold the settings of the chat-completions engine against each other."""
        check_keyed_url(
            _variable("openai_url"),
            self.openai_url,
            keyed=self._has_key,
            instead=_variable("openai_api_key_file"),
        )
        if not self.openai_model:
            raise InvalidSettings(f"{_variable('openai_model')} must name the model")
        if self.openai_api_key and self.openai_api_key_file:
            raise InvalidSettings(f"{_variable('openai_api_key')} and its _FILE exclude each other")

    @property
    def _has_key(self) -> bool:
        return bool(self.openai_api_key or self.openai_api_key_file)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """Read the settings; raises InvalidSettings for what it does not know or cannot read."""
        return read_settings(cls, PREFIX, env)

    def own_synonyms(self) -> Synonyms:
        """Return what the file of synonyms says; raises InvalidSettings where it cannot be used."""
        return read_synonyms(self.synonyms, _variable("synonyms"))

    def authorities(self) -> Authorities | None:
        """Return whom the server must be signed by; raises InvalidSettings where the file cannot be used."""
        return authorities_of(self.openai_ca, _variable("openai_ca"))

    def api_key(self) -> Secret:
        """Return the key, read again when its file was exchanged; raises InvalidSettings when that cannot be read."""
        return secret_of(
            self.openai_api_key_file, _variable("openai_api_key_file"), otherwise=self.openai_api_key
        )


def _variable(name: str) -> str:
    return variable(PREFIX, name)
