import json
import os
import pty
import socket
import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import grpc
import pytest
from click.testing import CliRunner, Result
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from PIL import Image

import vitrine.cli
from vitrine.cli import main
from vitrine.client import VitrineError
from vitrine.commands.connection import Connection
from vitrine.filter_text import parse_filter
from vitrine.v1.catalogue_pb2 import DescribeRequest
from vitrine.v1.query_pb2 import Filter
from vitrine.v1.search_pb2 import RewriteMode

ROOT = Path(__file__).parents[3]


def run(script: Any, *arguments: str, stdin: str | bytes | None = None) -> Result:
    """Run a command against the scripted gateway; what is no plain failure is raised."""
    result = CliRunner(env={"VITRINE_ADDRESS": script.address}).invoke(main, arguments, input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A picture to search by."""
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (40, 60), "navy").save(path)
    return path


def test_search_sends_what_was_asked(script: Any) -> None:
    """Words are joined, filters are joined by `and`, the rest goes to its field."""
    run(
        script, "search", "red", "dress", "--filter", "price<80", "--filter", "category=dress",
        "--limit", "2", "--weights", "text=0.3,image=0.7", "--no-rewrite",
    )  # fmt: skip
    (request,) = script.requests
    assert request.text == "red dress"
    assert request.filter == parse_filter("price<80 and category=dress")
    assert request.limit == 2
    assert (request.weights.text, request.weights.image) == (0.3, 0.7)
    assert request.rewrite == RewriteMode.REWRITE_MODE_OFF


def test_search_leaves_unset_what_was_not_asked(script: Any) -> None:
    """The service's defaults apply where no option was given."""
    run(script, "search", "red dress")
    (request,) = script.requests
    assert not request.HasField("limit")
    assert not request.HasField("weights")
    assert request.filter == Filter()
    assert request.rewrite == RewriteMode.REWRITE_MODE_UNSPECIFIED


def test_search_shows_a_table(script: Any) -> None:
    """Each hit is a line with rank, product, score, its parts, price and title."""
    result = run(script, "search", "red dress")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == 'text | "red dress" | text 0.75, image 0.25'
    assert lines[1].split() == ["rank", "product", "score", "text", "image", "price", "title"]
    assert lines[2].split() == ["1", "p1", "0.900", "0.500", "0.250", "59.90", "red", "dress", "p1"]
    assert lines[5] == "3 hits in 12.5 ms (embed 8.0, index 3.0)"


def test_search_writes_json(script: Any) -> None:
    """For programs the answer has the names of the proto."""
    answer = json.loads(run(script, "search", "red dress", "--json").stdout)
    assert answer["hits"][0]["product_id"] == "p1"
    assert answer["hits"][0]["parts"] == {"text": 0.5, "image": 0.25, "signals": {}, "reasons": {}}
    assert answer["searched"]["route"] == "ROUTE_TEXT"
    assert answer["degraded"] == []
    assert answer["versions"] == {"model": "m-1", "index": "products_1"}


def test_search_by_picture_draws_a_sheet(script: Any, photo: Path, tmp_path: Path) -> None:
    """A picture is sent as it is; the sheet is a PNG of one row."""
    sheet = tmp_path / "new" / "sheet.png"
    result = run(script, "search", "--image", str(photo), "with long sleeves", "--sheet", str(sheet))
    assert result.exit_code == 0
    assert script.requests[0].image == photo.read_bytes()
    with Image.open(sheet) as drawn:
        assert drawn.format == "PNG"
        assert drawn.width > drawn.height


def test_search_by_product_draws_its_picture(script: Any, tmp_path: Path) -> None:
    """The sheet of a refinement asks for the product that it started from, and for the currency."""
    result = run(script, "search", "--like", "p7", "in navy", "--sheet", str(tmp_path / "sheet.png"))
    assert result.exit_code == 0
    assert [request.product_id for request in script.requests[:2]] == ["p7", "p7"]
    assert script.requests[2:] == [DescribeRequest()]
    assert (tmp_path / "sheet.png").exists()


def test_words_of_others_cannot_steer_the_terminal(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control characters in an answer are shown as replacement characters."""
    product = script.product("p1")
    product.title = "\x1b[31mred [bold]dress"
    monkeypatch.setattr(script, "product", lambda *_, **__: product)
    shown = run(script, "search", "x").stdout
    assert "\x1b" not in shown
    assert "\N{REPLACEMENT CHARACTER}[31mred [bold]dress" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nothing to search by: give words, --image, --audio or --like"),
        (("--image", "{photo}", "--like", "p1"), "--image and --like exclude each other"),
        (("--image", "missing.jpg"), "missing.jpg: No such file or directory"),
        (("x", "--filter", "price<"), "expected a finite number at character 7, found the end"),
        (("x", "--weights", "0.3"), "write them as text=0.3,image=0.7, not '0.3'"),
        (("x", "--weights", "text=a"), "write them as text=0.3,image=0.7, not 'text=a'"),
        (("x", "--weights", "text=1,colour=2"), "write them as"),
        (("x", "--sort", ""), "write it as FIELD, FIELD:asc or FIELD:desc, not ''"),
        (("x", "--sort", "cost:down"), "write it as FIELD, FIELD:asc or FIELD:desc, not 'cost:down'"),
        (("x", "--sort", "cost:"), "write it as FIELD, FIELD:asc or FIELD:desc, not 'cost:'"),
        (("x", "--facets", "wood,,cost"), "write the names with commas between them, not 'wood,,cost'"),
        (("x", "--pages", "0"), "0 is not in the range 1<=x<=1000"),
        (("x", "--timeout", "0"), "0.0 is not in the range x>0"),
        (("bad \udcff byte",), "the words are no UTF-8 at character 5"),
        (("x", "--filter", "colour=\udcff"), "the words are no UTF-8 at character 8"),
    ],
)
def test_wrong_usage_is_said_before_anything_is_sent(
    script: Any, photo: Path, arguments: tuple[str, ...], message: str
) -> None:
    """What cannot be meant ends with status 2 and a sentence."""
    result = run(script, "search", *(argument.format(photo=photo) for argument in arguments))
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.endswith("(see `main search --help`)\n")
    assert result.stderr.count("\n") == 1
    assert script.requests == []


def test_a_file_too_large_is_not_sent(script: Any, tmp_path: Path) -> None:
    """A picture that no service takes is refused with its size and the limit."""
    path = tmp_path / "large.jpg"
    with path.open("wb") as file:
        file.truncate(8_000_001)
    result = run(script, "search", "--image", str(path))
    assert result.exit_code == 2
    assert "a picture may have 8,000,000 bytes, this one has 8,000,001" in result.stderr


def test_nothing_at_the_address_says_how_to_start_it(script: Any) -> None:
    """A closed port ends with status 3 and the way out, in one line."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        script.address = f"127.0.0.1:{listener.getsockname()[1]}"
    result = run(script, "search", "x")
    assert result.exit_code == 3
    way_out = "start it with `make up`, or give another with --address"
    assert result.stderr == f"Error: no service at {script.address}: {way_out}\n"


_BAD_LIMIT = BadRequest(
    field_violations=[BadRequest.FieldViolation(field="limit", description="1 to 200, got 0")]
)


@pytest.mark.parametrize(
    ("code", "details", "status", "line"),
    [
        (code_pb2.INVALID_ARGUMENT, _BAD_LIMIT, 1, "limit: 1 to 200, got 0"),
        (code_pb2.NOT_FOUND, None, 1, "what happened"),
        (
            code_pb2.RESOURCE_EXHAUSTED,
            RetryInfo(retry_delay=Duration(seconds=2)),
            4,
            "the service is busy: try again in 2 s",
        ),
        (code_pb2.UNAVAILABLE, None, 4, "what happened: see `make status`"),
        (code_pb2.DEADLINE_EXCEEDED, None, 4, "what happened: see `make status`"),
        (code_pb2.INTERNAL, None, 1, "what happened: see `make logs`"),
    ],
)
def test_a_refusal_is_one_line(script: Any, code: int, details: Any, status: int, line: str) -> None:
    """Each status gives its exit status and one line with the way out."""
    script.fail(code, "what happened", *([details] if details else []))
    result = run(script, "search", "x")
    assert (result.exit_code, result.stderr) == (status, f"Error: {line}\n")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (VitrineError(grpc.StatusCode.UNAVAILABLE, "", unreachable=True),
         "no service at catalogue:7702: wait until it is up, or give another with --address"),
        (VitrineError(grpc.StatusCode.UNAVAILABLE, "encoder is unavailable"), "encoder is unavailable"),
        (VitrineError(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"), "no answer within 2 s: allow more with --timeout"),
        (VitrineError(grpc.StatusCode.UNAUTHENTICATED, "no token"), "no token: see --token-file and --cert"),
    ],
)  # fmt: skip
def test_a_service_elsewhere_is_no_matter_of_make(error: VitrineError, line: str) -> None:
    """In a pod, and against another machine, nobody is sent to commands of a checkout."""
    assert Connection("catalogue:7702", 2.0).failure(error).message == line


def test_a_late_answer_is_one_line(script: Any) -> None:
    """A service that dawdles is given up after --timeout, with status 4."""
    script.goes_on.clear()
    result = run(script, "search", "x", "--timeout", "0.1")
    script.goes_on.set()
    assert result.exit_code == 4
    assert result.stderr.startswith("Error: no answer within 0.1 s: allow more with --timeout")


def test_chat_keeps_its_session(script: Any) -> None:
    """Piped lines are turns of one session; /new begins another; blank lines are passed over."""
    result = run(script, "chat", stdin="a red dress\n\ncheaper\n/new\na hat\n")
    assert result.exit_code == 0
    assert [(r.session_id, r.text) for r in script.requests] == [
        ("", "a red dress"), ("s-1", "cheaper"), ("", "a hat"),
    ]  # fmt: skip
    assert result.stdout.count("Here you are.") == 3


def test_chat_tells_of_further_pages(script: Any) -> None:
    """Where a turn has further products, the way to them is told; on the last page it is not."""
    hint = 'there are more: say "show me more"'
    assert hint not in run(script, "chat", stdin="a red dress\n").stdout
    script.pages = 2
    assert hint in run(script, "chat", stdin="a red dress\n").stdout


def test_chat_lists_its_commands(script: Any) -> None:
    """/help shows every command with its arguments and asks nothing."""
    shown = run(script, "chat", stdin="/help\n").stdout
    assert "/image PATH [words]" in shown
    assert "/pick N [words]" in shown
    assert script.requests == []


def test_chat_picks_and_shows_pictures(script: Any, photo: Path) -> None:
    """/pick names a product shown last, /image sends a picture; both take words."""
    run(script, "chat", stdin=f"a dress\n/pick 2 in navy\n/image {photo} with sleeves\n/quit\nnever sent\n")
    assert [(r.product_id, r.text) for r in script.requests[1:]] == [("p2", "in navy"), ("", "with sleeves")]
    assert script.requests[2].image == photo.read_bytes()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("/pick 1", "nothing has been shown yet"),
        ("/image missing.jpg", "missing.jpg: No such file or directory"),
        ("/dance", "unknown command /dance: see /help"),
        ("a dress\n/pick 9", "/pick takes a number from 1 to 5"),
        (b"\xff\n", "standard input is no UTF-8"),
    ],
)
def test_a_piped_turn_that_makes_no_sense_ends_the_chat(script: Any, line: str | bytes, message: str) -> None:
    """A script must not go on after a turn that could not be asked."""
    result = run(script, "chat", stdin=line)
    assert result.exit_code == 2
    assert message in result.stderr


def test_chat_writes_json_lines(script: Any) -> None:
    """Each event of a turn is a line of JSON."""
    lines = run(script, "chat", "--json", stdin="a dress\n").stdout.splitlines()
    assert [json.loads(line).keys() - {"session_id"} for line in lines] == [
        {"understood"},
        {"result"},
        {"reply"},
    ]


def test_a_broken_plugin_is_one_line(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command of another package that cannot be loaded leaves the others alone."""
    plugin = EntryPoint("index", "nowhere.commands:index [some]", vitrine.cli.PLUGINS)
    monkeypatch.setattr(vitrine.cli, "entry_points", lambda **_: EntryPoints([plugin]))
    result = run(script, "index", "--some", "path")
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: the command 'index' cannot be loaded from {plugin.value}: ModuleNotFoundError: "
        "No module named 'nowhere'; the way out: pip install 'vitrine-search[some]'\n"
    )
    help_text = run(script, "--help").stdout
    assert "(cannot be loaded: ModuleNotFoundError" in help_text
    assert "search" in help_text


def test_a_typed_turn_that_makes_no_sense_may_be_tried_again(script: Any) -> None:
    """At a terminal a mistake is told in a line, and the conversation goes on."""
    terminal, side = pty.openpty()
    try:
        command = [sys.executable, "-m", "vitrine", "chat", "--address", script.address]
        with subprocess.Popen(
            command, stdin=side, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as chat:
            os.write(terminal, b"/pick 1\na red dress\n/quit\n")
            shown, told = chat.communicate(timeout=60)
    finally:
        os.close(terminal)
        os.close(side)
    assert chat.returncode == 0
    assert told == "nothing has been shown yet\n"
    assert "Here you are." in shown
    assert [request.text for request in script.requests] == ["a red dress"]


@pytest.fixture
def spoken(tmp_path: Path) -> Path:
    """A recording, as far as a client cares."""
    path = tmp_path / "what I want.wav"
    path.write_bytes(b"RIFF....WAVE")
    return path


def test_search_sends_a_recording_and_its_language(script: Any, spoken: Path) -> None:
    """Alone or beside words; what was heard is shown."""
    run(script, "search", "--audio", str(spoken), "--locale", "es")
    (request,) = script.requests
    assert (request.audio, request.locale, request.text) == (spoken.read_bytes(), "es", "")


def test_chat_sends_what_was_said(script: Any, spoken: Path, tmp_path: Path) -> None:
    """As the first turn, and by a command in the middle."""
    short = tmp_path / "b.wav"
    short.write_bytes(b"RIFFb")
    run(script, "chat", "--audio", str(spoken), "--locale", "en-GB", stdin=f"cheaper\n/say {short} in navy\n")
    assert [(turn.text, turn.audio, turn.locale) for turn in script.requests] == [
        ("", spoken.read_bytes(), "en-GB"),
        ("cheaper", b"", "en-GB"),
        ("in navy", b"RIFFb", "en-GB"),
    ]


def test_a_recording_that_cannot_be_sent_is_one_line(script: Any, tmp_path: Path) -> None:
    """Too large, or not there: by its path, before anything is sent."""
    large = tmp_path / "large.wav"
    large.write_bytes(bytes(2_000_001))
    result = run(script, "search", "--audio", str(large))
    assert f"{large}: a recording may have 2,000,000 bytes, this one has 2,000,001" in result.stderr
    assert "No such file" in run(script, "chat", "--audio", str(tmp_path / "none"), stdin="").stderr
    assert script.requests == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("vitrine", "sea"), "search"),
        (("vitrine", "search", "--filt"), "--filter"),
        (("vitrine", "ind"), "index"),
    ],
)
def test_a_shell_completes_commands_and_options(tmp_path: Path, words: tuple[str, ...], wanted: str) -> None:
    """What docs/clients.md tells bash to load completes the command line, those of other rooms among it."""
    loads = 'eval "$(_VITRINE_COMPLETE=bash_source vitrine)"'
    assert loads in (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
    installed = tmp_path / "vitrine"
    installed.write_text(f"#!{sys.executable}\nfrom vitrine.cli import main\nmain()\n")
    installed.chmod(0o755)
    script = (
        loads,
        "completes=$(complete -p vitrine | sed 's/.*-F \\([^ ]*\\).*/\\1/')",
        f"COMP_WORDS=({' '.join(words)}) COMP_CWORD={len(words) - 1}",
        '$completes vitrine && printf "%s\\n" "${COMPREPLY[@]}"',
    )
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert wanted in result.stdout.split(), result.stderr
