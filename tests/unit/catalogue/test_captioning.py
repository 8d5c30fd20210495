"""Captions by a vision server, against a real HTTP server that speaks the protocol, well and badly."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from catalogue.captioning import (
    KEY_VARIABLE,
    MAX_ANSWER_BYTES,
    CaptionError,
    CaptionSettings,
    open_captions,
    read_caption,
)
from catalogue.commands import index


class VisionServer:
    """A server of POST /v1/chat/completions that answers as it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.statuses: list[int] = []
        """Of the next answers; 200 when there are none left."""
        self.body = answer_of("A red cup on a table.")
        self.wait_s = 0.0
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def url(self) -> str:
        """Where the API begins."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        vision = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with vision._lock:
                    vision.headers.append(dict(self.headers.items()))
                    vision.asked.append({"path": self.path, **body})
                    vision.at_once += 1
                    vision.most_at_once = max(vision.most_at_once, vision.at_once)
                    status = vision.statuses.pop(0) if vision.statuses else 200
                time.sleep(vision.wait_s)
                with vision._lock:
                    vision.at_once -= 1
                with suppress(OSError):  # the caller may have given up
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(vision.body)))
                    self.end_headers()
                    self.wfile.write(vision.body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Keep quiet."""

        return Handler


def answer_of(content: object, *, finish_reason: str = "stop") -> bytes:
    choice = {"finish_reason": finish_reason, "message": {"role": "assistant", "content": content}}
    return json.dumps({"choices": [choice]}).encode()


@pytest.fixture
def vision() -> Iterator[VisionServer]:
    server = VisionServer()
    yield server
    server.close()


@pytest.fixture
def settings(vision: VisionServer, tmp_path: Path) -> CaptionSettings:
    return CaptionSettings(
        url=vision.url, model="seer", key="k-1", cache=tmp_path / "captions", pause_s=0.001
    )


async def test_a_picture_is_sent_once_and_its_caption_kept(
    vision: VisionServer, settings: CaptionSettings, picture: bytes
) -> None:
    """The server gets the picture itself, the model's name and the key; a second run asks nobody."""
    async with open_captions(settings) as writer:
        assert await writer.caption(picture) == "A red cup on a table."
    async with open_captions(settings) as writer:
        assert await writer.caption(picture) == "A red cup on a table."
    (asked,) = vision.asked
    assert (asked["path"], asked["model"]) == ("/v1/chat/completions", "seer")
    sent = asked["messages"][0]["content"][1]["image_url"]["url"]
    assert sent == f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"
    assert vision.headers[0]["Authorization"] == "Bearer k-1"
    async with open_captions(replace(settings, model="another")) as writer:
        await writer.caption(picture)
    assert len(vision.asked) == 2, "another model's captions are others"


async def test_a_server_that_is_busy_is_asked_again(
    vision: VisionServer, settings: CaptionSettings, picture: bytes
) -> None:
    """Up to the number of attempts."""
    vision.statuses = [503, 429]
    async with open_captions(settings) as writer:
        assert await writer.caption(picture) == "A red cup on a table."
    assert len(vision.asked) == 3


@pytest.mark.parametrize(
    ("statuses", "wait_s", "reason"),
    [
        ([503] * 9, 0.0, "the server answers 503, tried 3 times"),
        ([401], 0.0, "the server answers 401"),
        ([], 0.5, "the server is too slow, tried 3 times"),
    ],
)
async def test_a_server_that_fails_costs_a_caption_and_says_why(
    vision: VisionServer,
    settings: CaptionSettings,
    picture: bytes,
    *,
    statuses: list[int],
    wait_s: float,
    reason: str,
) -> None:
    """Within the time that a try has."""
    vision.statuses, vision.wait_s = statuses, wait_s
    async with open_captions(replace(settings, total_s=0.1 if wait_s else 30.0)) as writer:
        with pytest.raises(CaptionError) as caught:
            await writer.caption(picture)
    assert str(caught.value) == reason


async def test_a_server_that_fails_again_and_again_is_given_up(
    vision: VisionServer, settings: CaptionSettings, picture: bytes
) -> None:
    """After some pictures in a row it is asked no more."""
    vision.statuses = [500] * 100
    async with open_captions(replace(settings, attempts=1, failures=2)) as writer:
        reasons = []
        for number in range(4):
            with pytest.raises(CaptionError) as caught:
                await writer.caption(picture + bytes([number]))
            reasons.append(str(caught.value))
    assert reasons[1:] == [reasons[0], *["the server failed 2 times in a row and is given up"] * 2]
    assert len(vision.asked) == 2


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"no JSON", "the answer is no JSON"),
        (b"{}", "the answer has no caption"),
        (answer_of(None), "the answer has no caption"),
        (answer_of(" \n "), "a caption has 1 to 1,000 characters, got 0"),
        (answer_of("x" * 1_001), "a caption has 1 to 1,000 characters, got 1,001"),
        (answer_of("A cup", finish_reason="length"), "the caption was cut off"),
        (answer_of("Buy at https://shop.example"), "the caption holds an address or markup"),
        (answer_of("<b>A cup</b>"), "the caption holds an address or markup"),
    ],
)
def test_what_may_not_be_shown_is_no_caption(answer: bytes, reason: str) -> None:
    """What a model says is untrusted."""
    with pytest.raises(CaptionError) as caught:
        read_caption(answer)
    assert str(caught.value) == reason


def test_a_caption_is_one_line() -> None:
    """Line feeds, tabs and what could steer a terminal become spaces."""
    assert read_caption(answer_of("A red\n\tcup\x1b[31m.")) == "A red cup [31m."


async def test_an_answer_without_end_is_cut_off(
    vision: VisionServer, settings: CaptionSettings, picture: bytes
) -> None:
    """At its limit of bytes."""
    vision.body = b" " * (MAX_ANSWER_BYTES + 1)
    async with open_captions(settings) as writer:
        with pytest.raises(CaptionError, match="the answer has over 65,536 bytes"):
            await writer.caption(picture)


@pytest.fixture
def table(folder: Path) -> Path:
    path = folder / "products.csv"
    rows = "".join(f"p{i},Cup {i},{i}.jpg\n" for i in range(12))
    for i in range(12):
        (folder / f"{i}.jpg").write_bytes((folder / "a.jpg").read_bytes() + bytes([i]))
    path.write_text(f"id,title,image\n{rows}bare,Plate,\n")
    return path


def test_products_come_captioned_in_order_and_a_few_at_once(
    shelf: Any, table: Path, vision: VisionServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`vitrine index --captions --captions-url` sends each picture, and each product with what was said of it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv(KEY_VARIABLE, "k-2")
    vision.wait_s = 0.02
    options = ["--captions", "--captions-url", vision.url, "--captions-model", "seer"]
    result = CliRunner().invoke(index, [str(table), *options, "--address", shelf.address])
    assert result.exit_code == 0, result.output
    assert list(shelf.held) == [*(f"p{i}" for i in range(12)), "bare"]
    told = shelf.held["p7"].product
    assert (told.caption, told.caption_by) == ("A red cup on a table.", "seer")
    assert shelf.held["bare"].product.caption == ""
    assert len(vision.asked) == 12
    assert 1 < vision.most_at_once <= 4
    assert vision.headers[0]["Authorization"] == "Bearer k-2"
    assert shelf.options[0].inference.captions


def test_products_are_indexed_without_the_server_and_it_is_said(
    shelf: Any, table: Path, vision: VisionServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A caption is optional: the service makes one of the fields, and the summary says how many were not written."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    vision.statuses = [401] * 100
    options = ["--captions", "--captions-url", vision.url, "--captions-model", "seer"]
    result = CliRunner().invoke(index, [str(table), *options, "--address", shelf.address])
    assert (result.exit_code, len(shelf.held)) == (0, 13)
    assert "no caption: the server answers 401 (" in result.stdout
    assert "no caption: the server failed " in result.stdout


@pytest.mark.parametrize(
    ("arguments", "key", "message"),
    [
        (["--captions-url", "http://127.0.0.1/v1"], "", "go together, and with --captions"),
        (
            ["--captions-url", "http://127.0.0.1/v1", "--captions-model", "m"],
            "",
            "go together, and with --captions",
        ),
        (
            ["--captions", "--captions-url", "ftp://x", "--captions-model", "m"],
            "",
            "must be a URL of http or https",
        ),
        (
            ["--captions", "--captions-url", "http://far.example/v1", "--captions-model", "m"],
            "k",
            "must be https where",
        ),
        (
            ["--captions", "--captions-url", "http://x/v1", "--captions-model", "m" * 129],
            "",
            "1 to 128 printable",
        ),
    ],
)
def test_bad_usage_is_a_line(
    shelf: Any, table: Path, monkeypatch: pytest.MonkeyPatch, *, arguments: list[str], key: str, message: str
) -> None:
    """Before anything is sent; a key goes over plain http to this machine alone."""
    monkeypatch.setenv(KEY_VARIABLE, key)
    result = CliRunner().invoke(index, [str(table), *arguments, "--address", shelf.address])
    assert (result.exit_code, shelf.options) == (2, [])
    assert message in " ".join(result.output.split())
