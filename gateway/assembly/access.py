"""How the gateway speaks to those behind it: whom it trusts, what it shows, and secrets read from their files."""

from dataclasses import dataclass, field
from pathlib import Path

from gateway.settings import PREFIX, Settings
from gateway.settings_rules import check_sessions
from vitrine.channels import InvalidAccess, Tls
from vitrine.process.secrets import Secret, secret_of
from vitrine.process.settings import InvalidSettings, variable


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessBehind:
    """Of each dependency, its TLS; None: as the address says."""

    triton: Tls | None
    rewriter: Tls | None
    speech: Tls | None
    milvus: Tls | None
    sessions: Tls | None
    milvus_token: Secret = field(repr=False)
    """A token, or user:password, read again when its file was exchanged; empty: none."""
    sessions_url: str = field(repr=False)
    sessions_now: Secret = field(repr=False)
    """That URL, read again when its file was exchanged."""
    events_now: Secret = field(repr=False)
    """Where events are kept, read again likewise; empty: nowhere."""
    campaigns_now: Secret = field(repr=False)
    """Where campaigns are kept, likewise."""


def behind(settings: Settings) -> AccessBehind:
    """Read what the settings name.

    Raises:
        InvalidSettings: a file cannot be read or used; the message never holds a secret.
    """
    sessions_now = secret_of(
        settings.sessions_file, variable(PREFIX, "sessions_file"), otherwise=settings.sessions
    )
    sessions_url = sessions_now()
    check_sessions(variable(PREFIX, "sessions_file"), sessions_url)
    return AccessBehind(
        triton=_tls(settings, "triton_ca"),
        rewriter=_tls(settings, "rewriter_ca"),
        speech=_tls(settings, "speech_ca"),
        milvus=_tls(settings, "milvus_ca"),
        sessions=_tls(settings, "sessions_ca"),
        milvus_token=secret_of(
            settings.milvus_token_file,
            variable(PREFIX, "milvus_token_file"),
            otherwise=settings.milvus_token,
        ),
        sessions_url=sessions_url,
        sessions_now=sessions_now,
        events_now=secret_of(
            settings.events_file, variable(PREFIX, "events_file"), otherwise=settings.events
        ),
        campaigns_now=secret_of(
            settings.campaigns_file, variable(PREFIX, "campaigns_file"), otherwise=settings.campaigns
        ),
    )


def _tls(settings: Settings, name: str) -> Tls | None:
    """Return the TLS of a dependency whose authorities the setting names; its files are tried at once."""
    ca: str = getattr(settings, name)
    if not ca:
        return None
    tls = Tls(
        ca=Path(ca),
        cert=Path(settings.client_cert) if settings.client_cert else None,
        key=Path(settings.client_key) if settings.client_key else None,
    )
    try:
        tls.credentials()
    except InvalidAccess as error:
        raise InvalidSettings(f"{variable(PREFIX, name)}: {error}") from error
    return tls
