"""What must hold of the gateway's settings, each by itself and some of them together."""

from dataclasses import fields
from typing import TYPE_CHECKING

from gateway.exposure import check_access
from gateway.sponsoring.rules import read_rules
from vitrine.domain.limits import MAX_EVENT_AGE_DAYS, MAX_HISTORY_TURNS, MIN_ANONYMOUS
from vitrine.process.settings import InvalidSettings, check_traces, variable

if TYPE_CHECKING:
    from gateway.settings import Settings

PREFIX = "GATEWAY_"
MEMORY = "memory"
REDIS = ("redis://", "rediss://", "unix://")
_TOSS = 0.5


def check_settings(settings: "Settings") -> None:
    """Raise InvalidSettings for the first setting that cannot be, alone or beside another."""
    for setting in fields(settings):
        value = getattr(settings, setting.name)
        if not isinstance(value, str) and not value >= 0:
            raise InvalidSettings(f"{_variable(setting.name)} must be a number >= 0, got {value}")
        bounded = (
            *("_image_weight", "batch_share", "personal_share", "intent_share", "unlike_share"),
            *("learnt_share", "exploration_share"),
        )
        if setting.name.endswith(bounded) and value > 1:
            raise InvalidSettings(f"{_variable(setting.name)} must be at most 1, got {value}")
    check_precision(_variable("picture_category_precision"), settings.picture_category_precision)
    check_traces(PREFIX, settings.traces, settings.trace_share)
    if (
        settings.max_request_bytes < settings.max_message_bytes
        or settings.max_ingest_bytes < settings.max_message_bytes
    ):
        raise InvalidSettings(
            f"{_variable('max_request_bytes')} and {_variable('max_ingest_bytes')} must be at least"
            f" {_variable('max_message_bytes')}, got {settings.max_request_bytes:,} and {settings.max_ingest_bytes:,}"
        )
    if settings.history_last_turns + settings.history_similar_turns > MAX_HISTORY_TURNS:
        raise InvalidSettings(
            f"{_variable('history_last_turns')} and {_variable('history_similar_turns')} may add up to"
            f" {MAX_HISTORY_TURNS} at most"
        )
    if not settings.event_key_days >= 1 or settings.event_retention_days <= MAX_EVENT_AGE_DAYS:
        raise InvalidSettings(
            f"{_variable('event_key_days')} must be at least 1, and {_variable('event_retention_days')} more than"
            f" {MAX_EVENT_AGE_DAYS}, which events may be late"
        )
    check_reports(settings)
    check_counts(settings)
    check_moderation(settings)
    read_rules(settings)
    check_access(settings)
    check_sessions(_variable("sessions"), settings.sessions)


def check_counts(settings: "Settings") -> None:
    """Raise InvalidSettings for a number that nothing would be done with."""
    for name in ("calls_at_once", "recommend_shoppers"):
        if not getattr(settings, name) >= 1:
            raise InvalidSettings(f"{_variable(name)} must be at least 1")


def check_moderation(settings: "Settings") -> None:
    """Raise InvalidSettings for an action that is none, and a number that no hash or score reaches."""
    known = {
        "moderation_uploads": ("", "refuse", "flag"),
        "moderation_catalogue": ("", "refuse", "flag"),
        "moderation_queries": ("refuse", "flag"),
        "moderation_unchecked": ("refuse", "allow"),
    }
    for name, words in known.items():
        if getattr(settings, name) not in words:
            raise InvalidSettings(
                f"{_variable(name)} must be {' or '.join(map(repr, words))}, got {getattr(settings, name)!r}"
            )
    for name in ("moderation_nudity", "moderation_crop_similarity"):
        if getattr(settings, name) > 1:
            raise InvalidSettings(f"{_variable(name)} must be at most 1, got {getattr(settings, name)}")


def check_sessions(name: str, url: str) -> None:
    """Raise InvalidSettings, without the URL, where it is no place for sessions."""
    if url != MEMORY and not url.startswith(REDIS):
        raise InvalidSettings(f"{name} must be {MEMORY}, {', '.join(REDIS[:-1])} or {REDIS[-1]}")


def check_precision(name: str, precision: float) -> None:
    """Raise InvalidSettings where it is neither 0 nor better than a toss."""
    if precision and not _TOSS < precision < 1:
        raise InvalidSettings(f"{name} must be 0, or over {_TOSS} and under 1, got {precision}")


def check_reports(settings: "Settings") -> None:
    """Raise InvalidSettings where a report would spend nothing or more than there is, or tell words of too few shoppers."""
    if not 0 < settings.report_epsilon <= settings.report_budget:
        raise InvalidSettings(
            f"{_variable('report_epsilon')} must be more than 0, and at most {_variable('report_budget')}, got"
            f" {settings.report_epsilon:g} and {settings.report_budget:g}"
        )
    if 0 < settings.report_least_shoppers < MIN_ANONYMOUS:
        raise InvalidSettings(
            f"{_variable('report_least_shoppers')} must be 0 or at least {MIN_ANONYMOUS}, got {settings.report_least_shoppers}"
        )


def _variable(name: str) -> str:
    return variable(PREFIX, name)
