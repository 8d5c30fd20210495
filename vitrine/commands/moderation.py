"""`vitrine moderation`: the pictures that the shop refuses, and what would be refused."""

from collections.abc import Sequence
from pathlib import Path

import click
from rich.table import Table

from vitrine.client import VitrineClient
from vitrine.commands.connection import Connection, connected, read_image
from vitrine.commands.tables import as_json, cell, print_json
from vitrine.domain import limits
from vitrine.terminal import console
from vitrine.v1.moderation_pb2 import (
    AddBlockedImagesRequest,
    AddBlockedImagesResponse,
    BlockedImage,
    CheckImageRequest,
    CheckImageResponse,
    CheckTextRequest,
    CheckTextResponse,
    ImageToBlock,
    ListBlockedImagesRequest,
    RemoveBlockedImagesRequest,
)

_JSON = click.option("--json", "want_json", is_flag=True, help="Write the service's answer as JSON.")
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group()
def moderation() -> None:
    """Keep the pictures that the shop refuses, and see what would be refused."""


@moderation.command("block")
@click.argument("pictures", nargs=-1, required=True, type=_FILE)
@click.option("--label", default="", help="What they are or who asked for it; for those who keep the list.")
@_JSON
@connected
def block(*, connection: Connection, pictures: tuple[Path, ...], label: str, want_json: bool) -> None:
    """Block these PICTURES, and what resembles them.

    Hashes and an embedding are kept of them, and no pixel.
    """
    images = [ImageToBlock(image=read_image(path), label=label) for path in pictures]

    async def add(client: VitrineClient) -> list[AddBlockedImagesResponse]:
        # One a request: its bytes are bounded, and what one picture lacks is no reason to send the others again.
        return [await client.add_blocked_images(AddBlockedImagesRequest(images=[each])) for each in images]

    answers = connection.run(add)
    if want_json:
        print_json([as_json(answer) for answer in answers])
        return
    for path, answer in zip(pictures, answers, strict=True):
        refused = "".join(each.reason for each in answer.refused)
        said = f"not blocked, it {refused}" if refused else f"blocked as {answer.ids[0]}"
        console().print(cell(f"{path}: {said}"))


@moderation.command("unblock")
@click.argument("ids", nargs=-1, required=True)
@_JSON
@connected
def unblock(*, connection: Connection, ids: tuple[str, ...], want_json: bool) -> None:
    """Block the pictures of these IDS no longer."""
    request = RemoveBlockedImagesRequest(ids=ids)
    answer = connection.run(lambda client: client.remove_blocked_images(request))
    if want_json:
        print_json(as_json(answer))
        return
    console().print(cell(f"removed: {', '.join(answer.removed) or 'none, as none has such an id'}"))


@moderation.command("list")
@_JSON
@connected
def list_(*, connection: Connection, want_json: bool) -> None:
    """Show which pictures are blocked."""
    images = connection.run(_all)
    if want_json:
        print_json([as_json(each) for each in images])
    elif images:
        console().print(_table(images))
    else:
        console().print("no picture is blocked: `vitrine moderation block PICTURE` blocks one")


@moderation.command("check")
@click.argument("picture", required=False, type=_FILE)
@click.option("--text", default="", help="Words to check, in the place of a picture or beside it.")
@click.option("--locale", default="", help="Of the words; without it those of every language count.")
@_JSON
@connected
def check(*, connection: Connection, picture: Path | None, text: str, locale: str, want_json: bool) -> None:
    """Say whether a PICTURE or words would be refused, and because of what."""
    if picture is None and not text:
        raise click.UsageError("name a picture, or words with --text")
    answers: list[CheckImageResponse | CheckTextResponse] = []
    if picture is not None:
        asked = CheckImageRequest(image=read_image(picture))
        answers.append(connection.run(lambda client: client.check_image(asked)))
    if text:
        words = CheckTextRequest(text=text, locale=locale)
        answers.append(connection.run(lambda client: client.check_text(words)))
    if want_json:
        print_json([as_json(answer) for answer in answers])
        return
    for answer in answers:
        console().print(cell(_verdict(answer)))


async def _all(client: VitrineClient) -> list[BlockedImage]:
    images: list[BlockedImage] = []
    token = ""
    while True:
        request = ListBlockedImagesRequest(page_size=limits.MAX_BLOCKED_LISTED, page_token=token)
        page = await client.list_blocked_images(request)
        images.extend(page.images)
        token = page.next_page_token
        if not token:
            return images


def _verdict(answer: CheckImageResponse | CheckTextResponse) -> str:
    if not answer.blocked:
        return "nothing is held against it"
    if isinstance(answer, CheckTextResponse):
        return f"holds the blocked entry {answer.entry!r}"
    if not answer.id:
        return f"shows {answer.kind}: {answer.nudity:.2f}"
    near = f", similarity {answer.similarity:.2f}" if answer.HasField("similarity") else ""
    label = f" ({answer.label})" if answer.label else ""
    return f"a {answer.kind} of {answer.id}{label}: {answer.distance} of 256 bits differ{near}"


def _table(images: Sequence[BlockedImage]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("id", "added", "label", ""):
        table.add_column(name, overflow="fold")
    for each in images:
        added = each.added.ToDatetime().date().isoformat()
        table.add_row(*map(cell, (each.id, added, each.label, "outdated" if each.outdated else "")))
    return table
