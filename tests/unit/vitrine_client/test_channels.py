"""How a client says who it is: tokens that never go in clear, files that are read again, certificates that fit."""

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from click.testing import CliRunner, Result

from vitrine.channels import AccessOptions, Bearer, InvalidAccess, Tls, options_from, read_access
from vitrine.cli import main
from vitrine.client import VitrineClient
from vitrine.commands.search import search
from vitrine.tokens import digest
from vitrine.v1.catalogue_pb2 import DeleteProductsRequest, ProductInput
from vitrine.v1.search_pb2 import ConverseRequest, SearchRequest

ELSEWHERE = "gateway.example.com:7700"


@pytest.mark.parametrize(
    ("options", "address", "refused"),
    [
        ({"token": "t"}, "127.0.0.1:7700", False),
        ({"token": "t"}, "unix:/run/vitrine", False),
        ({"token": "t"}, ELSEWHERE, True),
        ({"token_file": "f"}, ELSEWHERE, True),
        ({"token": "t", "tls": True}, ELSEWHERE, False),
        ({"token": "t", "ca": "ca.crt"}, ELSEWHERE, False),
        ({"token": "t", "token_in_clear": True}, ELSEWHERE, False),
        ({}, ELSEWHERE, False),
    ],
)
def test_a_token_leaves_the_machine_over_tls_or_by_word(
    options: AccessOptions, address: str, *, refused: bool
) -> None:
    """What would send it in clear is refused before a connection is made, with the way out."""
    access = read_access(options)
    if not refused:
        access.check(address)
        return
    with pytest.raises(InvalidAccess, match="in clear: use TLS"):
        access.check(address)


def test_a_program_reads_its_access_from_the_environment_as_the_command_line_does() -> None:
    """The same names mean the same, and none of them nothing."""
    files = {"VITRINE_TOKEN_FILE": "t", "VITRINE_CA": "ca", "VITRINE_CERT": "c", "VITRINE_KEY": "k"}
    access = read_access(options_from(files | {"VITRINE_TOKEN_IN_CLEAR": "1"}))
    assert (access.tls, access.token_file) == (Tls(ca=Path("ca"), cert=Path("c"), key=Path("k")), Path("t"))
    assert access.token_in_clear
    assert read_access(options_from({"VITRINE_TLS": "true"})).tls == Tls()
    assert read_access(options_from({"VITRINE_TLS": "0"})) == read_access({})
    named = {parameter.envvar for parameter in search.params if str(parameter.envvar).startswith("VITRINE_")}
    assert named >= {*files, "VITRINE_TLS", "VITRINE_TOKEN_IN_CLEAR", "VITRINE_CATALOGUE_ADDRESS"}


async def test_the_catalogues_address_is_held_to_the_same(tmp_path: Path) -> None:
    """A client whose second address is elsewhere sends no token there in clear either."""
    with pytest.raises(InvalidAccess, match=ELSEWHERE):
        VitrineClient(token="t", catalogue_address=ELSEWHERE)
    (tmp_path / "t").write_text("a b")
    with pytest.raises(InvalidAccess, match="holds no token"):
        VitrineClient(token_file=tmp_path / "t")


@pytest.mark.parametrize("text", ["", " \n", "a b", "a\nb", "é", "x" * 5_000])
def test_what_is_no_token_is_refused_by_its_files_name(tmp_path: Path, text: str) -> None:
    """A header takes ASCII without spaces; what is in the file is not shown."""
    (tmp_path / "token").write_text(text)
    with pytest.raises(InvalidAccess, match="token holds no token"):
        Bearer(read_access({"token_file": tmp_path / "token"}))
    with pytest.raises(InvalidAccess, match="No such file"):
        Bearer(read_access({"token_file": tmp_path / "nowhere"}))


def test_an_exchanged_token_is_taken_over_and_a_broken_file_is_not(tmp_path: Path) -> None:
    """The next call has the new token; while the file cannot be read the one before goes on."""
    path = tmp_path / "token"
    path.write_text("one\n")
    bearer = Bearer(read_access({"token_file": path}))
    assert bearer.metadata() == (("authorization", "Bearer one"),)
    path.unlink()
    assert bearer.metadata() == (("authorization", "Bearer one"),)
    path.write_text("another")
    assert bearer.metadata() == (("authorization", "Bearer another"),)
    assert Bearer(read_access({})).metadata() == ()


def test_no_secret_is_in_what_is_shown_of_access() -> None:
    """A traceback shows no token."""
    assert "s3cret" not in repr(read_access({"token": "s3cret"}))


def test_certificates_that_do_not_fit_are_told_by_name(tmp_path: Path) -> None:
    """A key of another certificate, a missing half, and files that hold none."""
    authority = trustme.CA()
    for name in ("one", "other"):
        issued = authority.issue_cert("a.example")
        issued.private_key_pem.write_to_path(str(tmp_path / f"{name}.key"))
        issued.cert_chain_pems[0].write_to_path(str(tmp_path / f"{name}.crt"))
    (tmp_path / "text").write_text("no certificate")
    one, other, text = (tmp_path / name for name in ("one.crt", "other.key", "text"))
    for tls, complaint in (
        (Tls(cert=one, key=other), "no certificate with its key"),
        (Tls(cert=one), "go together"),
        (Tls(ca=text), "holds no certificates"),
        (Tls(ca=tmp_path / "nowhere"), "nowhere: No such file"),
        (Tls(cert=tmp_path / "nowhere", key=other), "nowhere: No such file"),
    ):
        with pytest.raises(InvalidAccess, match=complaint):
            tls.credentials()
    assert isinstance(Tls(cert=one, key=tmp_path / "one.key").credentials(), grpc.ChannelCredentials)


async def test_every_call_has_the_token(script: Any, tmp_path: Path) -> None:
    """Searches, turns, reads, writes and deletions are called as the caller of the token, which may change meanwhile."""
    token = tmp_path / "token"
    token.write_text("t1")

    async def products() -> AsyncIterator[ProductInput]:
        yield ProductInput()

    async with VitrineClient(script.address, token_file=str(token)) as client:
        await client.search(SearchRequest(text="x"))
        [event async for event in client.converse(ConverseRequest(text="x"))]
        await client.describe()
        await client.get_product("p1")
        [answer async for answer in client.upsert(products())]
        assert set(script.tokens) == {"Bearer t1"}
        assert len(script.tokens) >= 5
        token.write_text("another")
        await client.delete(DeleteProductsRequest(product_ids=["p1"]))
    assert script.tokens[-1] == "Bearer another"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["token", "new", *arguments])


def test_a_new_caller_gets_a_token_and_an_entry_with_its_digest_alone(tmp_path: Path) -> None:
    """The token is in a file of its owner's, the digest in the file of callers; a second token goes beside the first."""
    callers, out = tmp_path / "callers.toml", tmp_path / "shop.token"
    assert run("shop", "--scope", "search", "--callers", str(callers), "--out", str(out)).output == ""
    token = out.read_text().strip()
    assert digest(token) in callers.read_text()
    assert token not in callers.read_text()
    assert [path.stat().st_mode & 0o777 for path in (callers, out)] == [0o600, 0o600]
    shown = run("shop", "--callers", str(callers), "--days", "30").output.strip()
    run("index", "--scope", "catalogue", "--scope", "admin", "--callers", str(callers))
    text = callers.read_text()
    assert text.count("[callers.shop]") == 1
    assert text.count("[[callers.shop.tokens]]") == 2
    assert digest(shown) in text
    assert 'scopes = ["catalogue", "admin"]' in text
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_without_a_file_the_entry_is_shown_below_the_token() -> None:
    """What is shown is the token, and what the gateway is told of it."""
    token, _, entry = run("shop", "--scope", "search").output.partition("\n")
    assert f'sha256 = "{digest(token)}"' in entry
    assert entry.lstrip().startswith("[callers.shop]")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["Shop", "--scope", "search"], "a name is 1 to 64 small letters"),
        (["shop"], "a new caller needs a --scope"),
        (["shop", "--scope", "write"], "'write' is not one of"),
        (["known", "--scope", "search", "--callers", "callers.toml"], "has known already"),
        (["shop", "--scope", "search", "--callers", "broken.toml"], "broken.toml: the entry does not fit"),
        (["inline", "--callers", "inline.toml"], "inline.toml: the entry does not fit"),
        (["shop", "--scope", "search", "--out", "callers.toml"], "callers.toml: File exists"),
    ],
)
def test_what_makes_no_token_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], complaint: str
) -> None:
    """One line says why; the files are as they were."""
    monkeypatch.chdir(tmp_path)
    files = {
        "callers.toml": '[callers.known]\nscopes = ["search"]\n',
        "broken.toml": "[callers",
        "inline.toml": "[callers.inline]\ntokens = []\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    result = run(*arguments)
    assert result.exit_code in {1, 2}
    assert complaint in result.output
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == files


def test_no_command_takes_a_token_as_an_argument() -> None:
    """Whoever may list processes sees command lines: the token comes from a file."""
    shown = subprocess.run(
        [sys.executable, "-m", "vitrine", "search", "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert "--token-file" in shown
    assert "--token " not in shown
