"""`vitrine check`: steps that pass, the first that does not, and the exit status of each."""

import asyncio
import re
from typing import Any

import pytest
from click.testing import CliRunner, Result
from google.rpc import code_pb2

from gateway.testing import ServedGateway, product, serving, until
from vitrine.cli import main
from vitrine.v1 import query_pb2

HELD = [product(f"p{i}", "red dress") for i in range(3)]


async def until_well(gateway: ServedGateway) -> None:
    """Wait for the first probe, before which health says that nothing serves."""
    value = gateway.metrics.registry.get_sample_value
    await until(lambda: value("vitrine_gateway_serving", {"service": "all"}) == 1)


def checked(address: str, *options: str) -> Result:
    return CliRunner().invoke(main, ["check", "--address", address, *options], env={"COLUMNS": "200"})


def steps_of(result: Result) -> list[tuple[str, str]]:
    """Return each step with what came of it."""
    lines = [line.split("  ") for line in result.stdout.splitlines()]
    return [(line[0].strip(), next(word.strip() for word in line[1:] if word.strip())) for line in lines]


@pytest.mark.parametrize("options", [(), ("--no-write",)])
async def test_a_service_that_is_well_passes_every_step(options: tuple[str, ...]) -> None:
    """Nothing is left behind, and without writing nothing is written."""
    async with serving(products=HELD) as gateway:
        await until_well(gateway)
        result = await asyncio.to_thread(checked, gateway.address, *options)
        value = gateway.metrics.registry.get_sample_value
        written = value("vitrine_gateway_requests_total", {"method": "UpsertProducts", "code": "OK"})
    assert result.exit_code == 0, result.output
    steps = ["health", "catalogue", "words", "picture and words", "condition", "write and delete"]
    assert steps_of(result) == [(name, "ok") for name in (steps[:-1] if options else steps)]
    assert written == (None if options else 1)


async def test_an_index_without_products_is_not_well() -> None:
    """The step that found it is named, and those behind it are not taken."""
    async with serving() as gateway:
        result = await asyncio.to_thread(checked, gateway.address)
    assert result.exit_code == 1
    assert [name for name, outcome in steps_of(result) if outcome == "failed"] == [steps_of(result)[-1][0]]
    assert result.stderr.startswith(f"Error: {steps_of(result)[-1][0]}: ")


async def test_a_service_that_is_late_is_worth_another_try() -> None:
    """The exit status tells it from one that is wrong."""
    async with serving(products=HELD) as gateway:
        result = await asyncio.to_thread(checked, gateway.address, "--timeout", "0.0001")
    assert result.exit_code == 4
    assert re.match(r"Error: \w+: ", result.stderr)  # whichever check was asked when the time was up


def test_no_service_has_a_status_of_its_own() -> None:
    """As for every command."""
    result = checked("127.0.0.1:1")
    assert result.exit_code == 3
    assert "health: no service at 127.0.0.1:1" in result.stderr


def test_a_refusal_names_the_step(script: Any) -> None:
    """What the service says stands behind the name of the step."""
    script.fail(code_pb2.PERMISSION_DENIED, "caller 'shop' lacks the scope search")
    result = checked(script.address)
    assert result.exit_code == 1
    assert result.stderr == "Error: catalogue: caller 'shop' lacks the scope search\n"


def test_answers_that_are_not_what_was_asked_for_fail(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture that was not looked at, and hits that break the condition."""
    result = checked(script.address)
    assert result.exit_code == 1
    assert result.stderr == "Error: picture and words: searched by ROUTE_TEXT, not ROUTE_COMPOSED\n"
    plain = script.result

    def answered(**options: Any) -> Any:
        pictured = script.requests[-1].HasField("image")
        return plain(route=query_pb2.ROUTE_COMPOSED if pictured else query_pb2.ROUTE_TEXT, **options)

    monkeypatch.setattr(script, "result", answered)
    result = checked(script.address)
    assert result.exit_code == 1
    assert result.stderr == "Error: condition: p1 does not satisfy wood=oak\n"
