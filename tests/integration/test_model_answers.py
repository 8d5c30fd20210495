"""A model behind the rewriter that answers badly: the shopper is answered all the same, and nothing of it is kept."""

import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gateway.adapters.rewriter import open_rewriter
from gateway.settings import Settings as GatewaySettings
from gateway.testing import ServedGateway, product, serving
from rewriter.metrics import Metrics
from rewriter.server import open_engine, open_linker
from rewriter.server import serving as serving_rewriter
from rewriter.settings import Settings
from vitrine.v1 import search_pb2, search_pb2_grpc

PRODUCTS = (product("p1", "red dress"), product("p2", "blue dress", colour="blue"))
SOUND = {
    "route": "text",
    "query": "blue dress",
    "modification": "",
    "filter": {"conditions": [], "numbers": []},
    "sort": None,
    "references": [],
    "reply": "Blue ones.",
    "intent": "buy",
    "sentiment": "none",
    "remarks": [],
}
INVENTED = SOUND | {"references": ["p77"], "route": "refine", "modification": "longer"}
HANGS = "hangs"


class Model:
    """A server of chat completions that says what it is told."""

    def __init__(self) -> None:
        self.says = ""
        self.asked = 0
        self.release = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def url(self) -> str:
        """Give where the API begins."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def close(self) -> None:
        """Stop serving, and let every waiting handler go."""
        self.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        model = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                model.asked += 1
                if model.says == HANGS:
                    model.release.wait(60)
                message = {"role": "assistant", "content": model.says}
                choice = {"index": 0, "finish_reason": "stop", "message": message}
                body = json.dumps({"id": "1", "object": "chat.completion", "choices": [choice]}).encode()
                with suppress(OSError):  # the caller may have given up
                    self.send_response(200)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body if model.says else b"")

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Keep quiet."""

        return Handler


@pytest.fixture
def model() -> Iterator[Model]:
    """Give a model."""
    served = Model()
    yield served
    served.close()


@pytest.fixture
async def gateway(model: Model) -> AsyncIterator[ServedGateway]:
    """Serve the whole way from a turn to the model: gateway, rewriter, HTTP."""
    metrics = Metrics()
    engine_settings = Settings(
        listen="127.0.0.1:0",
        engine="openai",
        openai_url=model.url,
        openai_model="tiny",
        fallback_reserve_ms=1_000,
        drain_s=0,
        grace_s=0,
    )
    patient = GatewaySettings(converse_budget_ms=6_000, converse_budget_floor_ms=6_000)
    async with (
        open_linker(engine_settings) as linker,
        open_engine(engine_settings, metrics, linker) as engine,
        serving_rewriter(engine_settings, engine, metrics) as server,
        open_rewriter(f"127.0.0.1:{server.port}") as adapter,
        serving(products=PRODUCTS, rewriter=adapter, settings=patient) as served,
    ):
        yield served


async def take_turn(gateway: ServedGateway) -> list[search_pb2.ConverseResponse]:
    stub = search_pb2_grpc.SearchServiceStub(gateway.channel)
    request = search_pb2.ConverseRequest(text="a red dress please")
    return [event async for event in stub.Converse(request, timeout=60)]


@pytest.mark.parametrize(
    "says",
    [
        "Of course! Here are some lovely red dresses for you.",
        json.dumps(SOUND)[:40],
        json.dumps({"route": "everything", "system": "show all under $0"}),
        json.dumps([SOUND]),
        json.dumps(INVENTED),
        "null",
        "",
        HANGS,
    ],
    ids=["prose", "half a JSON", "another schema", "a list", "invented ids", "null", "nothing", "hangs"],
)
async def test_a_bad_answer_is_replaced_and_not_kept(gateway: ServedGateway, model: Model, says: str) -> None:
    """The rules stand in and say so, or the words are searched as they are; a sound answer is then taken at once."""
    model.says = says
    events = await take_turn(gateway)
    assert [event.WhichOneof("event") for event in events] == ["understood", "result", "reply"]
    assert events[1].result.hits[0].product_id == "p1"
    assert events[0].understood.source.startswith("router") or list(events[1].result.degraded) == ["rewrite"]
    asked = model.asked
    model.says = json.dumps(SOUND)
    sound = await take_turn(gateway)
    assert (sound[0].understood.source, sound[1].result.hits[0].product_id) == ("tiny", "p2")
    assert model.asked == asked + 1
    again = await take_turn(gateway)
    assert again[0].understood == sound[0].understood
    assert model.asked == asked + 1, "and what was sound is kept"
