from pathlib import Path

import pytest

from stack.services import ports, services
from stack.settings import MARKER, MAX_SOCKET_PATH, Settings, StackError


def test_addresses_follow_the_port_base() -> None:
    """Every port lies at its fixed distance from the base, on loopback."""
    settings = Settings(state=Path("/s"), port_base=9000)
    assert ports(settings) == {
        "gateway": "127.0.0.1:9000",
        "gateway metrics": "127.0.0.1:9001",
        "triton grpc": "127.0.0.1:9011",
        "triton metrics": "127.0.0.1:9012",
        "rewriter": "127.0.0.1:9020",
        "storefront": "127.0.0.1:9030",
    }


def test_several_gateways_share_an_address_and_have_one_each() -> None:
    """Every process has its own address, by which it is probed, and its own metrics; all of them listen at the shared one."""
    settings = Settings(state=Path("/s"), port_base=9000, gateways=8)
    taken = ports(settings)
    assert len(set(taken.values())) == len(taken) == 2 * 8 + 5
    gateways = [service for service in services(settings) if service.name.startswith("gateway")]
    assert [service.name for service in gateways] == ["gateway", *(f"gateway-{n}" for n in range(2, 9))]
    assert {service.environment["GATEWAY_LISTEN"] for service in gateways} == {"127.0.0.1:9000"}
    assert [service.environment["GATEWAY_OWN_LISTEN"] for service in gateways[:2]] == [
        "127.0.0.1:9021",
        "127.0.0.1:9022",
    ]
    assert [service.address for service in gateways[:2]] == ["127.0.0.1:9021", "127.0.0.1:9022"]
    assert [service.environment["GATEWAY_METRICS_LISTEN"] for service in gateways[:2]] == [
        "127.0.0.1:9001",
        "127.0.0.1:9013",
    ]


def test_connections_stay_where_their_sessions_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions in memory keep connections for a day; one gateway, or sessions that all share, asks them back as ever."""
    monkeypatch.delenv("GATEWAY_SESSIONS", raising=False)
    monkeypatch.delenv("GATEWAY_SESSIONS_FILE", raising=False)
    alone = Settings(state=Path("/s"))
    several = Settings(state=Path("/s"), gateways=2)
    sharing = Settings(
        state=Path("/s"), gateways=2, overrides=(("GATEWAY_SESSIONS", "redis://127.0.0.1:6379"),)
    )
    assert [each.sticky for each in (alone, several, sharing)] == [False, True, False]
    for settings in (alone, several, sharing):
        (first, *_) = [service for service in services(settings) if service.name == "gateway"]
        assert ("GATEWAY_MAX_CONNECTION_AGE_S" in first.environment) is settings.sticky


@pytest.mark.parametrize("gateways", [0, 9])
def test_gateways_out_of_range_are_refused(gateways: int) -> None:
    """The refusal names the option and its limits."""
    with pytest.raises(StackError, match="--gateways: must be 1 to 8"):
        Settings(state=Path("/s"), gateways=gateways)


def test_page_is_optional() -> None:
    """Without the page the stack neither starts the storefront nor needs its port."""
    settings = Settings(state=Path("/s"), page=False)
    assert "storefront" not in ports(settings)
    assert [service.name for service in services(settings)] == ["triton", "milvus", "rewriter", "gateway"]
    assert services(Settings(state=Path("/s")))[-1].name == "storefront"


@pytest.mark.parametrize("base", [-1, 80, 65_501])
def test_port_base_out_of_range_is_refused(base: int) -> None:
    """A port base that would leave the range of ports is refused with the option and the limits."""
    with pytest.raises(StackError, match=r"--port-base: must be 1024 to 65500"):
        Settings(state=Path("/s"), port_base=base)


def test_override_of_another_program_is_refused() -> None:
    """Only settings of the gateway, the rewriter and the storefront may be set."""
    with pytest.raises(StackError, match="--set PATH"):
        Settings(state=Path("/s"), overrides=(("PATH", "/x"),))


def test_socket_of_a_deep_folder_lies_elsewhere() -> None:
    """A state folder too deep for a unix socket's name gets its socket among the temporary files, by a name of its own."""
    deep, deeper = (Settings(state=Path("/") / ("d" * size)) for size in (150, 151))
    assert len(bytes(deep.milvus_socket)) <= MAX_SOCKET_PATH
    assert deep.milvus_socket != deeper.milvus_socket
    assert Settings(state=Path("/s")).milvus == "unix:/s/milvus.sock"


def test_overrides_reach_the_gateway_and_the_rewriter_alone() -> None:
    """What is set by the caller wins over the stack's own addresses, and Triton and Milvus never see it."""
    settings = Settings(state=Path("/s"), overrides=(("GATEWAY_TRITON", "elsewhere:1"),))
    by_name = {service.name: service.environment for service in services(settings)}
    assert by_name["gateway"]["GATEWAY_TRITON"] == "elsewhere:1"
    assert by_name["gateway"]["GATEWAY_MILVUS"] == "unix:/s/milvus.sock"
    assert "GATEWAY_TRITON" not in by_name["triton"]


def test_speech_runs_where_it_is_wanted_and_the_gateway_knows_it() -> None:
    """It starts before the gateway, on a port of its own; by default there is none."""
    spoken = Settings(state=Path("/s"), speech=True, page=False)
    assert [service.name for service in services(spoken)] == [
        "triton",
        "milvus",
        "rewriter",
        "speech",
        "gateway",
    ]
    assert services(spoken)[-1].environment["GATEWAY_SPEECH"] == "127.0.0.1:7740"
    assert ports(spoken)["speech"] == "127.0.0.1:7740"
    silent = Settings(state=Path("/s"))
    assert "speech" not in {service.name for service in services(silent)} | ports(silent).keys()
    (gateway,) = [service for service in services(silent) if service.name == "gateway"]
    assert "GATEWAY_SPEECH" not in gateway.environment


def test_every_child_is_marked_and_reports_nothing_home() -> None:
    """Every service carries the stack's marker and turns ONNX Runtime's telemetry off."""
    for service in services(Settings(state=Path("/s"))):
        assert service.environment[MARKER] == "/s"
        assert service.environment["ORT_DISABLE_TELEMETRY"] == "1"


def test_triton_traces_where_the_gateway_does() -> None:
    """The gateway's endpoint reaches Triton's command line, for times and for no tensor; without one it traces nothing."""

    def tracing(settings: Settings) -> list[str]:
        (triton,) = [service for service in services(settings) if service.name == "triton"]
        return [argument for argument in triton.command if argument.startswith("--trace")]

    traced = Settings(state=Path("/s"), overrides=(("GATEWAY_TRACES", "http://127.0.0.1:4318/v1/traces"),))
    assert "--trace-config=opentelemetry,url=http://127.0.0.1:4318/v1/traces" in tracing(traced)
    assert [argument for argument in tracing(traced) if "level=" in argument] == [
        "--trace-config=level=TIMESTAMPS"
    ]
    assert tracing(Settings(state=Path("/s"))) == []
