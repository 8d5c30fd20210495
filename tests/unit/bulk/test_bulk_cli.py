"""Bad input to `python -m bulk` ends with one line that says what to do."""

import importlib.util
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bulk import cli

NO_RAY = importlib.util.find_spec("ray") is None


def bulk(*arguments: object, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(cli.main, ["index", *map(str, arguments)], env=env)


def test_without_ray_it_says_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    result = bulk("shop.csv")
    assert (result.exit_code, result.output) == (
        1,
        "Error: Ray is not installed; the way out: make setup-bulk\n",
    )


@pytest.mark.slow  # Ray takes two seconds to be imported
@pytest.mark.skipif(NO_RAY, reason="no Ray: make setup-bulk")
@pytest.mark.parametrize(
    ("arguments", "env", "line"),
    [
        (["shop.csv", "--repository", "nowhere"], {}, "nowhere: manifest.json: cannot be read"),
        (["shop.csv", "--schema", "nothing.toml"], {}, "nothing.toml"),
        (["nosuch://bucket/shop.csv"], {}, "nosuch://bucket/shop.csv: cannot be opened"),
        (
            ["s3://bucket/shop.csv", "--work", "s3://bucket/work"],
            {},
            "--work must be a folder that all workers see",
        ),
        (["shop.csv"], {"GATEWAY_MILVSU": "x"}, "unknown settings: GATEWAY_MILVSU"),
        (["shop.csv", "--address", "127.0.0.1:1"], {}, "no Ray at 127.0.0.1:1: "),
        (["shop.csv", "--address", "head"], {}, "--address must be HOST:PORT, got 'head'"),
        (["shop.csv", "--triton", "127.0.0.1:1"], {}, "encoder is unavailable"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(
    arguments: list[str], env: dict[str, str], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = bulk(*arguments, env=env)
    assert result.exit_code == 1
    assert line in result.output
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1


def test_a_share_that_is_none_is_refused() -> None:
    result = bulk("shop.csv", "--bad-rows", "2")
    assert result.exit_code == 2
    assert "0<=x<=1" in result.output


@pytest.mark.parametrize("seconds", ["19", "3601", "long"])
def test_a_lease_out_of_bounds_is_refused(seconds: str) -> None:
    """One that is too short would be lost on a busy Milvus, and one without end would hold up everybody."""
    result = bulk("shop.csv", "--lease", seconds)
    assert result.exit_code == 2
    assert "20.0<=x<=3600.0" in result.output or "not a valid float" in result.output
