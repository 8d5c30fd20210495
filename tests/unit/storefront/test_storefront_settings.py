import pytest

from storefront.settings import Settings
from vitrine.process.settings import InvalidSettings


def test_settings_come_from_the_environment() -> None:
    """Each STOREFRONT_ variable sets its field, and others are left alone."""
    settings = Settings.from_env(
        {"STOREFRONT_LISTEN": "127.0.0.1:9030", "STOREFRONT_MAX_REQUESTS": "3", "PATH": "/bin"}
    )
    assert settings.address == ("127.0.0.1", 9030)
    assert settings.max_requests == 3
    assert settings.host_names == {"127.0.0.1", "localhost"}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("STOREFRONT_PORT", "1", "unknown settings: STOREFRONT_PORT"),
        ("STOREFRONT_MAX_REQUESTS", "many", "STOREFRONT_MAX_REQUESTS must be int, got 'many'"),
        ("STOREFRONT_MAX_REQUESTS", "0", "STOREFRONT_MAX_REQUESTS must be a number > 0, got 0"),
        ("STOREFRONT_CALL_TIMEOUT_S", "nan", "STOREFRONT_CALL_TIMEOUT_S must be a number > 0, got nan"),
        ("STOREFRONT_LISTEN", "7730", "STOREFRONT_LISTEN must be HOST:PORT, got '7730'"),
    ],
)
def test_bad_setting_is_named(name: str, value: str, message: str) -> None:
    """A setting that is unknown, of the wrong type or out of range is refused with its name and what it must be."""
    with pytest.raises(InvalidSettings) as caught:
        Settings.from_env({name: value})
    assert str(caught.value) == message
