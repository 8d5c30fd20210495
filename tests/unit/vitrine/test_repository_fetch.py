"""A model repository from an object store: proven, whole or not at all, and the token where it belongs."""

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from vitrine.repository_fetch import FetchFailed, Store, fetch_repository, main

FILES = {"embed_text/config.pbtxt": b"name", "text_encoder/1/model.onnx": b"w" * 3_000_000}
MANIFEST = {
    "digest": "d",
    "identity": {},
    "files": {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()},
}


class Bucket:
    """An object store on loopback: files by path, answers that are to come first, and what was asked."""

    def __init__(self) -> None:
        self.held = {f"/models/{name}": data for name, data in FILES.items()}
        self.put(MANIFEST)
        self.first: dict[str, list[int]] = {}
        self.redirects: dict[str, str] = {}
        self.cut: set[str] = set()
        self.asked: Counter[str] = Counter()
        self.tokens: set[str | None] = set()
        self.address = ""

    def put(self, manifest: object) -> None:
        """Put a manifest."""
        self.held["/models/manifest.json"] = json.dumps(manifest).encode()

    @property
    def sha256(self) -> str:
        """That of the manifest."""
        return hashlib.sha256(self.held["/models/manifest.json"]).hexdigest()

    def store(self, *, token: str = "", read_s: float = 5.0) -> Store:
        """Return how it is read, without pauses."""
        return Store(url=f"{self.address}/models/", token=token, read_s=read_s, pause_s=0.001)


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    bucket = Bucket()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            bucket.asked[self.path] += 1
            bucket.tokens.add(self.headers.get("Authorization"))
            codes = bucket.first.get(self.path, [])
            code = codes.pop(0) if codes else 200 if self.path in bucket.held else 404
            if self.path in bucket.redirects:
                code = 302
            data = bucket.held.get(self.path, b"") if code == 200 else b""
            self.send_response(code)
            if code == 302:
                self.send_header("Location", bucket.redirects[self.path])
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            cut = self.path in bucket.cut
            bucket.cut.discard(self.path)
            self.wfile.write(data[: len(data) // 2] if cut else data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    bucket.address = f"http://127.0.0.1:{server.server_port}"
    yield bucket
    server.shutdown()
    server.server_close()
    thread.join(timeout=5)


def fetch(
    bucket: Bucket, folder: Path, *, max_bytes: int = 10_000_000, timeout_s: float = 30.0, token: str = ""
) -> None:
    fetch_repository(
        bucket.store(token=token), folder, sha256=bucket.sha256, max_bytes=max_bytes, timeout_s=timeout_s
    )


def test_a_repository_is_there_with_all_its_files(bucket: Bucket, tmp_path: Path) -> None:
    """Each file is as its SHA-256 says, and nothing is left beside; a second run asks for nothing."""
    fetch(bucket, tmp_path / "models", token="secret")
    assert {name: (tmp_path / "models" / name).read_bytes() for name in FILES} == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["models"]
    assert bucket.tokens == {"Bearer secret"}
    asked = bucket.asked.total()
    fetch(bucket, tmp_path / "models")
    assert bucket.asked.total() == asked


def test_a_store_that_stumbles_is_asked_again(bucket: Bucket, tmp_path: Path) -> None:
    """Busy answers and cut connections are tried again, as long as that may help."""
    bucket.first = {"/models/embed_text/config.pbtxt": [503, 429], "/models/manifest.json": [500]}
    bucket.cut = {"/models/text_encoder/1/model.onnx"}
    fetch(bucket, tmp_path / "models")
    assert (tmp_path / "models/text_encoder/1/model.onnx").read_bytes() == FILES["text_encoder/1/model.onnx"]
    assert bucket.asked["/models/embed_text/config.pbtxt"] == 3


def test_a_run_that_was_cut_off_goes_on(bucket: Bucket, tmp_path: Path) -> None:
    """Files that are there and proven are not fetched again; the folder is not there before the end."""
    missing = "/models/text_encoder/1/model.onnx"
    data = bucket.held.pop(missing)
    with pytest.raises(FetchFailed, match=r"model.onnx: the store answers 404"):
        fetch(bucket, tmp_path / "models")
    assert not (tmp_path / "models").exists()
    bucket.held[missing] = data
    fetch(bucket, tmp_path / "models")
    assert bucket.asked["/models/embed_text/config.pbtxt"] == 1


def test_what_was_altered_never_serves(bucket: Bucket, tmp_path: Path) -> None:
    """Another manifest than the one that was meant, and a file that is not the manifest's, are refused by name."""
    wanted = bucket.sha256
    bucket.held["/models/embed_text/config.pbtxt"] = b"evil"
    with pytest.raises(FetchFailed, match=r"config.pbtxt: its SHA-256 is \w+, and should be \w+"):
        fetch(bucket, tmp_path / "models")
    bucket.put(MANIFEST | {"digest": "other"})
    with pytest.raises(FetchFailed, match=r"manifest.json: its SHA-256"):
        fetch_repository(bucket.store(), tmp_path / "other", sha256=wanted, max_bytes=10**7, timeout_s=30)
    assert not (tmp_path / "models").exists()
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "a\\evil", "a//b", ""])
def test_no_file_leaves_the_folder(bucket: Bucket, tmp_path: Path, name: str) -> None:
    """A path that leads out, or that is none, is refused before anything is asked for."""
    bucket.put({"files": {name: "0" * 64}})
    with pytest.raises(FetchFailed, match=r"manifest.json: .* is no path below the repository"):
        fetch(bucket, tmp_path / "models")
    assert bucket.asked.keys() == {"/models/manifest.json"}


@pytest.mark.parametrize("manifest", ["no json object", ["files"], {"digest": "d"}, {"files": 7}])
def test_what_is_no_manifest_is_refused(bucket: Bucket, tmp_path: Path, manifest: object) -> None:
    """Only what the export writes is one."""
    bucket.put(manifest)
    with pytest.raises(FetchFailed, match="not as `python -m export publish` writes it"):
        fetch(bucket, tmp_path / "models")


def test_bytes_and_time_are_bounded(bucket: Bucket, tmp_path: Path) -> None:
    """A repository that is larger than its volume is given up, and so is one that takes too long."""
    with pytest.raises(FetchFailed, match=r"model.onnx: more than the [\d,]+ bytes that are left"):
        fetch(bucket, tmp_path / "models", max_bytes=2_000_000)
    with pytest.raises(FetchFailed, match="not within the time"):
        fetch(bucket, tmp_path / "late", timeout_s=0)


def test_a_token_does_not_follow_a_redirect(bucket: Bucket, tmp_path: Path) -> None:
    """Where a store sends on to another address, that one does not learn it."""
    bucket.redirects = {"/models/embed_text/config.pbtxt": "/signed/config"}
    bucket.held["/signed/config"] = FILES["embed_text/config.pbtxt"]
    fetch(bucket, tmp_path / "models", token="secret")
    assert bucket.tokens == {"Bearer secret", None}


def test_the_command_says_in_a_line_what_is_wrong(bucket: Bucket, tmp_path: Path) -> None:
    """Exit 1 with the file or the address; the token comes from a file."""
    (tmp_path / "token").write_text("secret\n")
    common = ["--sha256", bucket.sha256, "--max-bytes", "10000000", "--token-file", str(tmp_path / "token")]
    run = CliRunner().invoke(main, [f"{bucket.address}/models", str(tmp_path / "models"), *common])
    assert (run.exit_code, run.output) == (0, "")
    assert bucket.tokens == {"Bearer secret"}
    run = CliRunner().invoke(main, ["file:///etc", str(tmp_path / "other"), *common])
    assert (run.exit_code, run.output) == (1, "Error: file:///etc: not an http or https URL\n")
