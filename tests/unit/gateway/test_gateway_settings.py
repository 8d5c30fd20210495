"""Settings from the environment."""

from dataclasses import fields

import pytest

from gateway.settings import Settings
from vitrine.process.settings import InvalidSettings


def test_values_are_read_with_their_types() -> None:
    """Every kind of value is converted to its field's type; the rest keep their defaults."""
    settings = Settings.from_env(
        {
            "GATEWAY_LISTEN": "127.0.0.1:1",
            "GATEWAY_REWRITE_BUDGET_MS": "42",
            "GATEWAY_DRAIN_S": "0.5",
            "HOME": "/",
        }
    )
    assert (settings.listen, settings.rewrite_budget_ms, settings.drain_s) == ("127.0.0.1:1", 42, 0.5)
    assert settings.triton == Settings().triton


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"GATEWAY_LISTN": "x", "GATEWAY_ADDR": "y"}, "unknown settings: GATEWAY_ADDR, GATEWAY_LISTN"),
        ({"GATEWAY_MAX_QUEUE": "many"}, "GATEWAY_MAX_QUEUE must be int, got 'many'"),
        ({"GATEWAY_CALLS_AT_ONCE": "0"}, "GATEWAY_CALLS_AT_ONCE must be at least 1"),
        ({"GATEWAY_MAX_QUEUE": "-1"}, "GATEWAY_MAX_QUEUE must be a number >= 0, got -1"),
        ({"GATEWAY_DRAIN_S": "nan"}, "GATEWAY_DRAIN_S must be a number >= 0, got nan"),
        (
            {"GATEWAY_SESSIONS": "http://u:secret@redis"},
            "GATEWAY_SESSIONS must be memory, redis://, rediss:// or unix://",
        ),
        (
            {"GATEWAY_HISTORY_LAST_TURNS": "40", "GATEWAY_HISTORY_SIMILAR_TURNS": "11"},
            "GATEWAY_HISTORY_LAST_TURNS and GATEWAY_HISTORY_SIMILAR_TURNS may add up to 50 at most",
        ),
        ({"GATEWAY_TEXT_IMAGE_WEIGHT": "1.5"}, "GATEWAY_TEXT_IMAGE_WEIGHT must be at most 1, got 1.5"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(env: dict[str, str], message: str) -> None:
    """Unknown names, wrong types and values out of range stop the start with a sentence."""
    with pytest.raises(InvalidSettings) as refused:
        Settings.from_env(env)
    assert str(refused.value) == message


def test_a_password_is_not_printed() -> None:
    """The URL of the sessions stays out of what is printed of the settings."""
    assert "secret" not in repr(Settings(sessions="redis://u:secret@redis:6379/0"))


def test_every_setting_can_be_set() -> None:
    """Each field's default, written as text, is read back as itself: names and types fit."""
    defaults = Settings()
    env = {f"GATEWAY_{field.name.upper()}": str(getattr(defaults, field.name)) for field in fields(defaults)}
    assert Settings.from_env(env) == defaults
