"""Pictures by URL, from a server on this machine."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from catalogue.commands import index
from catalogue.fetching.addresses import FetchError, is_public
from catalogue.fetching.fetcher import FetchCounts, FetchSettings, cached_path, normalised_url, open_fetcher


@dataclass
class Web:
    """A server's pages by their paths, and how often each was asked for."""

    picture: bytes
    address: str = ""
    asked: Counter[str] = field(default_factory=Counter)
    failures: int = 0
    """Answers of /flaky that are 503 before it answers."""
    stop: threading.Event = field(default_factory=threading.Event)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer a request as its path says."""
        self.asked[handler.path] += 1
        name = handler.path.partition("?")[0].strip("/")
        if name.startswith("to/"):
            target = handler.path.removeprefix("/to/")
            _send(handler, 302, b"", Location=target if "://" in target else f"/{target}")
        elif name == "flaky" and self.asked[handler.path] <= self.failures:
            _send(handler, 503, b"")
        elif name == "text":
            _send(handler, 200, b"<html>no picture</html>")
        elif name == "announced":
            handler.send_response(200)
            handler.send_header("Content-Length", "99999999999")
            handler.end_headers()
        elif name in {"endless", "slow"}:
            self._never_end(handler, name)
        elif name == "gone":
            _send(handler, 404, b"")
        else:
            _send(handler, 200, self.picture)

    def _never_end(self, handler: BaseHTTPRequestHandler, name: str) -> None:
        handler.send_response(200)
        handler.end_headers()
        if name == "slow":
            self.stop.wait(timeout=60)
        while not self.stop.is_set():
            handler.wfile.write(bytes(65_536))


def _send(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture
def web(picture: bytes) -> Iterator[Web]:
    web = Web(picture)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                web.answer(self)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    web.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield web
    web.stop.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def settings(tmp_path: Path) -> FetchSettings:
    return FetchSettings(
        cache=tmp_path / "cache",
        allowed_hosts=frozenset({"127.0.0.1"}),
        pause_s=0.001,
        read_s=60.0,
        total_s=60.0,
    )


async def _fetch(settings: FetchSettings, *urls: str) -> list[Path | str]:
    """Fetch some pictures at once; give their files, or why there is none."""
    async with open_fetcher(settings) as fetcher:
        found = await asyncio.gather(*map(fetcher.fetch, urls), return_exceptions=True)
    return [each if isinstance(each, Path) else f"{type(each).__name__}: {each}" for each in found]


async def test_a_picture_is_fetched_once(web: Web, settings: FetchSettings) -> None:
    """It lies under its URL's digest; another run, and another product of the same URL, fetch nothing."""
    url = f"{web.address}/a.jpg?size=2"
    assert await _fetch(settings, url, url) == 2 * [cached_path(settings.cache, url)]
    assert await _fetch(settings, url) == [cached_path(settings.cache, url)]
    assert cached_path(settings.cache, url).read_bytes() == web.picture
    assert web.asked == {"/a.jpg?size=2": 1}


async def test_what_is_no_picture_leaves_nothing_behind(web: Web, settings: FetchSettings) -> None:
    """Another type, a missing page, a body over the limit, announced or endless, are refused, and no file stays."""
    settings = replace(settings, max_bytes=1_000_000)
    assert await _fetch(
        settings, *(f"{web.address}/{name}" for name in ("text", "gone", "announced", "endless"))
    ) == [
        "FetchError: is not a JPEG, PNG or WebP picture",
        "FetchError: the server answers 404",
        "FetchError: has 99,999,999,999 bytes; the limit is 1,000,000",
        "FetchError: has over 1,000,000 bytes",
    ]
    assert [path for path in settings.cache.rglob("*") if path.is_file()] == []
    assert web.asked["/text"] == web.asked["/gone"] == 1


async def test_a_slow_server_is_given_up(web: Web, settings: FetchSettings) -> None:
    """No wait is longer than its limit, and the tries are few."""
    settings = replace(settings, read_s=0.5, attempts=2)
    assert await _fetch(settings, f"{web.address}/slow") == [
        "FetchError: the server is too slow, tried 2 times"
    ]
    assert web.asked["/slow"] == 2
    settings = replace(settings, read_s=60.0, total_s=0.5, attempts=1)
    assert await _fetch(settings, f"{web.address}/slow") == [
        "FetchError: the server is too slow, tried 1 times"
    ]


async def test_a_passing_failure_is_tried_again(web: Web, settings: FetchSettings) -> None:
    """A server that is busy twice gives the picture the third time; one that stays busy is given up."""
    web.failures = 2
    url = f"{web.address}/flaky"
    assert await _fetch(settings, url) == [cached_path(settings.cache, url)]
    web.failures = 99
    assert await _fetch(settings, f"{url}?again") == ["FetchError: the server answers 503, tried 3 times"]


async def test_a_host_that_keeps_failing_is_given_up(web: Web, settings: FetchSettings) -> None:
    """After a few pictures in a row that cannot be had, the host is asked no more."""
    web.failures = 99
    settings = replace(settings, attempts=1, host_failures=3, concurrency=1)
    found = await _fetch(settings, *(f"{web.address}/flaky?{i}" for i in range(5)))
    assert found[2] == "FetchError: the server answers 503, tried 1 times"
    assert found[3:] == 2 * ["FetchError: 127.0.0.1 failed 3 times in a row and is given up"]
    assert web.asked.total() == 3


async def test_redirects_are_followed_to_public_hosts_alone(web: Web, settings: FetchSettings) -> None:
    """Each step is checked by itself: a private address, another scheme and a long way are refused."""
    ok = f"{web.address}/to/to/a.jpg"
    private = f"{web.address}/to/http://127.0.0.2:9/a.jpg"
    file = f"{web.address}/to/file:///etc/hostname"
    long = f"{web.address}/{'to/' * 6}a.jpg"
    assert await _fetch(settings, ok, private, file, long) == [
        cached_path(settings.cache, ok),
        "FetchError: 127.0.0.2 has the address 127.0.0.2, which is not public; --allow-host 127.0.0.2 allows it",
        "FetchError: is no URL of http or https",
        "FetchError: is redirected more than 5 times",
    ]


async def test_private_hosts_are_never_asked(web: Web, settings: FetchSettings) -> None:
    """Unless a host is allowed by name, none of its addresses may be private, in whatever form they are written."""
    settings = replace(settings, allowed_hosts=frozenset())
    port = web.address.rpartition(":")[2]
    hosts = (
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",  # noqa: S104 - asked for, not bound to
    )
    for found in await _fetch(settings, *(f"http://{host}:{port}/a.jpg" for host in hosts)):
        assert str(found).startswith("FetchError: ")
        assert "not public" in str(found) or "is not known" in str(found)
    assert not web.asked


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("127.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("240.0.0.1", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:93.184.215.14", True),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:  # noqa: FBT001
    """Private, loopback, link-local, shared, multicast and reserved addresses are not public, nor are they inside others."""
    assert is_public(address) is public


@pytest.mark.parametrize(
    ("url", "normalised"),
    [
        (
            "HTTP://Shop.Example/Käse größe.jpg?a=ü#x",
            "http://shop.example/K%C3%A4se%20gr%C3%B6%C3%9Fe.jpg?a=%C3%BC",
        ),
        ("https://bücher.example:8443/a%20b.jpg", "https://xn--bcher-kva.example:8443/a%20b.jpg"),
        ("http://[::1]:80", "http://[::1]:80/"),
    ],
)
def test_urls_are_sent_in_ascii(url: str, normalised: str) -> None:
    """Hosts and paths of any script are written as the protocol wants them."""
    assert normalised_url(url) == normalised


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a/b",
        "file:///etc/passwd",
        "http://",
        "a.jpg",
        "http://[x]/",
        "http://u:p@a/",
        "http://a:99999/",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    """No other scheme, no name of a user, nothing that cannot be read."""
    with pytest.raises(FetchError):
        normalised_url(url)


async def test_what_is_fetched_is_counted(web: Web, settings: FetchSettings) -> None:
    """Progress is told after every picture."""
    seen: list[tuple[int, int, int]] = []

    def note(counts: FetchCounts) -> None:
        seen.append((counts.fetched, counts.cached, counts.failed))

    async with open_fetcher(settings, note) as fetcher:
        for name in ("a", "a", "gone"):
            await asyncio.gather(fetcher.fetch(f"{web.address}/{name}"), return_exceptions=True)
    assert seen == [(1, 0, 0), (1, 1, 0), (1, 1, 1)]


def test_the_command_fetches_where_it_is_asked_to(web: Web, shelf: Any, tmp_path: Path) -> None:
    """Pictures reach the service in their order, one that is not to be had costs itself, and a second run fetches none."""
    table = tmp_path / "p.csv"
    names = [f"{web.address}/{name}" for name in ("a.jpg", "gone", "b.jpg")]
    table.write_text("id,title,image\n" + "".join(f"p{i},Chair {i},{'|'.join(names)}\n" for i in range(40)))
    arguments = [
        str(table),
        "--address",
        shelf.address,
        "--fetch-pictures",
        "--pictures-cache",
        str(tmp_path / "cache"),
    ]
    refused = CliRunner().invoke(index, arguments)
    assert "  40 without a picture" in refused.stdout
    assert "which is not public; --allow-host 127.0.0.1 allows it" in refused.stderr
    assert not web.asked
    result = CliRunner().invoke(index, [*arguments, "--allow-host", "127.0.0.1"])
    assert result.exit_code == 0, result.output
    assert list(shelf.held) == [f"p{i}" for i in range(40)]
    assert all(
        each.image == web.picture and list(each.more_images) == [web.picture] for each in shelf.held.values()
    )
    assert list(shelf.held["p0"].product.image_uris) == [names[0], names[2]]
    assert "40 pictures cannot be read" in result.stdout
    assert web.asked["/a.jpg"] == web.asked["/b.jpg"] == 1
    CliRunner().invoke(index, [*arguments, "--allow-host", "127.0.0.1"])
    assert web.asked["/a.jpg"] == 1


def test_a_cache_without_fetching_is_wrong_usage(tmp_path: Path) -> None:
    """The options of fetching go with --fetch-pictures."""
    result = CliRunner().invoke(index, [str(tmp_path), "--allow-host", "a"])
    assert result.exit_code == 2
    assert "go with --fetch-pictures" in result.stderr
