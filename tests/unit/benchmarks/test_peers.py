"""Other servers beside ours: what is compared, and how each is asked."""

import json
import os
import sys
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from benchmarks.generator import OK
from benchmarks.peers import servers
from benchmarks.peers.measure import BOUNDS_MS
from benchmarks.peers.page import best_within, peers_section
from benchmarks.peers.servers import PEERS, Peer, PeerError, started
from vitrine.v1.search_pb2 import SearchRequest

ROOT = Path(__file__).parents[3]
SERVER = """
import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        print(self.path, json.dumps(asked), flush=True)
        self.send_response(503 if "refused" in str(asked) else 200)
        self.end_headers()

    def log_message(self, *arguments):
        pass

if os.environ["PEER_KIND"] == "image":
    sys.exit("no pictures")
HTTPServer(("127.0.0.1", int(os.environ["PEER_PORT"])), Handler).serve_forever()
"""


def run(rate: float, p99: float, *, failed: int = 0) -> dict[str, Any]:
    used = {"vitrine": 1.5, "generator": 9.0}
    latency = {"p50": p99 / 2, "p99": p99}
    requests = {"requests": 100, "answered": 100 - failed}
    return requests | {"answered_per_s": rate, "latency_ms": latency, "cpu_ms_per_answer": used}


def row(
    peer: str, clients: int, *runs: dict[str, Any], errors: dict[str, int] | None = None
) -> dict[str, Any]:
    pooled = dict(runs[0]) | {"errors": errors or {}, "shed": 1}
    figures = {"memory_mb": 300, "start_s": 2.5, "pooled": pooled, "repeats": list(runs)}
    return {"peer": peer, "kind": "text", "clients": clients} | figures


def test_peers_are_held_against_ours() -> None:
    """Each server's CPU is shown over ours for the same query and clients, with what it refused and what was not installed."""
    slower = run(100.0, 8.0) | {"cpu_ms_per_answer": {"fastapi": 3.0, "generator": 9.0}}
    document = {
        "environment": {"cores": 2},
        "params": {"repeats": 2, "left out": ["bentoml"]},
        "results": [
            row("fastapi", 16, slower, slower, errors={"500": 2}),
            row("vitrine", 16, *[run(100.0, 8.0)] * 2),
        ],
    }
    text = "\n".join(peers_section("peers.json", document))
    assert "| text | 16 | vitrine | 100 | 4 | 8 | 1.5 (1.5-1.5) | 1.00 | 1 | 300 | 2.5 |" in text
    assert "| text | 16 | fastapi | 100 | 4 | 8 | 3 (3-3) | 2.00 | 3 | 300 | 2.5 |" in text
    assert "did not start: bentoml." in text
    assert "p99 within" not in text  # a result from before the ladder has no bounds


def test_throughput_is_compared_at_an_equal_p99() -> None:
    """The most of the ladder within the bound counts, repeat by repeat; what fails often does not, and none is said."""
    ours = [row("vitrine", 4, run(400, 20), run(500, 20)), row("vitrine", 8, run(600, 45), run(900, 51))]
    theirs = [
        row("chain", 4, run(200, 30), run(250, 30)),
        row("chain", 8, run(300, 50, failed=2), run(300, 49)),
    ]
    late = [row("late", 4, run(900, 60), run(900, 60))]
    assert best_within(ours, 50, 0) == (600, 8)
    assert best_within(ours, 50, 1) == (500, 4)
    assert best_within(theirs, 50, 0) == (200, 4)
    assert best_within(late, 50, 0) is None
    params = {"repeats": 2, "bounds_ms": {"text": 50.0}, "clients": [4, 8]}
    document = {"environment": {"cores": 2}, "params": params, "results": [*ours, *theirs, *late]}
    text = "\n".join(peers_section("peers.json", document))
    assert "| text | 50 ms | chain | 250 (200-300) | 2.33 (1.67-3) | 4 8 |" in text
    assert "| text | 50 ms | late | none | - | - |" in text
    assert "| text | 50 ms | vitrine | 550 (500-600) | 1 (1-1) | 4 8 |" in text


def test_every_peer_has_its_server_its_list_and_a_bound() -> None:
    """`make bench-peers` installs what stands in a list, and starts the module of the same name."""
    folder = ROOT / "benchmarks/peers"
    assert {peer.name for peer in PEERS} == {path.stem for path in folder.glob("*.txt")}
    assert all((folder / f"{peer.name}_server.py").exists() for peer in PEERS)
    assert {kind for peer in PEERS for kind in peer.kinds} == BOUNDS_MS.keys()


@pytest.fixture
def peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Peer:
    """Return a peer that writes down what it is asked, for which this Python runs a module of that name."""
    (tmp_path / "fake" / "bin").mkdir(parents=True)
    (tmp_path / "fake" / "bin" / "python").symlink_to(sys.executable)
    module = tmp_path / "benchmarks" / "peers"
    module.mkdir(parents=True)
    (module / "fake_server.py").write_text(SERVER)
    monkeypatch.setattr(servers, "FOLDER", tmp_path)
    monkeypatch.chdir(tmp_path)
    return Peer(name="fake", path="/embeddings", body=next(p.body for p in PEERS if p.name == "infinity"))


async def test_a_peer_is_asked_in_its_own_words_and_ended(peer: Peer, tmp_path: Path) -> None:
    """It runs until it has answered, gives a status of each request, and is gone afterwards."""
    async with started(peer, "text", tmp_path, repeat(SearchRequest(text="a dress"))) as server:
        assert await server.send(SearchRequest(text="shoes"), 5.0) == OK
        assert await server.send(SearchRequest(text="refused"), 5.0) == "503"
        assert servers.memory_mb(server.pid) > 0
    asked = (tmp_path / "fake-text.log").read_text().splitlines()
    path, _, body = asked[1].partition(" ")
    assert path == "/embeddings"
    assert json.loads(body) == {"model": "vitrine", "input": ["shoes"], "modality": "text"}
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)


async def test_a_peer_that_ends_is_named_with_its_log(peer: Peer, tmp_path: Path) -> None:
    """Its own words are in the log."""
    with pytest.raises(PeerError, match=r"fake did not start: .*fake-image\.log"):
        async with started(peer, "image", tmp_path, repeat(SearchRequest(image=b"jpeg"))):
            pass
    assert "no pictures" in (tmp_path / "fake-image.log").read_text()


def test_each_body_is_what_its_server_takes() -> None:
    """Lists, single values, and pictures as data URIs."""
    bodies = {peer.name: peer.body("image", "AAAA") for peer in PEERS}
    assert bodies["bentoml"] == {"queries": ["AAAA"]}
    assert bodies["rayserve"] == bodies["fastapi"] == {"query": "AAAA"}
    assert bodies["infinity"]["input"] == ["data:image/jpeg;base64,AAAA"]
