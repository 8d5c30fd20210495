"""The summary of `vitrine index`, for people and for programs."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from catalogue.report import Refusal, Report
from vitrine.commands.tables import as_json as message_json
from vitrine.terminal import printable
from vitrine.v1 import catalogue_pb2


def print_report(path: Path, report: Report, seconds: float) -> None:
    """Print what was done, what was left out and why."""
    done = f"{report.written:,} written, {report.unchanged:,} unchanged, {report.rejected:,} rejected"
    where = f"in {report.index}" if report.ended else "before it stopped; the same command goes on from there"
    click.echo(printable(f"{path}: {done} {where} ({seconds:.1f} s)"))
    told = () if report.inference is None else _told(report.inference)
    for line in (*_remarks(path, report), *told):
        click.echo(printable(f"  {line}"))
    _quote(report.refusals, report.rejected)
    _quote(report.losses, report.lost_pictures)


def as_json(path: Path, report: Report, seconds: float) -> dict[str, object]:
    """Return the same for programs."""
    return {
        "path": str(path),
        "index": report.index,
        "ended": report.ended,
        "replaced": None
        if report.replaced is None
        else {"index": report.replaced.index, "products": report.replaced.products},
        "written": report.written,
        "unchanged": report.unchanged,
        "rejected": report.rejected,
        "without_image": report.without_image,
        "without_words": report.without_words,
        "cut": report.cut,
        "urls_not_fetched": report.urls,
        "pictures_lost": report.lost_pictures,
        "notes": dict(report.notes),
        "inference": None if report.inference is None else message_json(report.inference),
        "seconds": round(seconds, 3),
        "errors": [asdict(refusal) for refusal in report.refusals],
        "picture_errors": [asdict(loss) for loss in report.losses],
    }


def _remarks(path: Path, report: Report) -> Iterator[str]:
    if report.replaced is not None:
        yield (
            f"{report.replaced.products_now:,} products take the place of {report.replaced.products:,} in"
            f" {report.replaced.index}: `vitrine restore` puts it back"
        )
    if report.without_image:
        yield f"{report.without_image:,} without a picture: their words alone find them"
    if report.without_words:
        yield f"{report.without_words:,} without words: their pictures alone find them"
    if report.cut:
        yield f"{report.cut:,} with words longer than what the encoder reads: the rest is kept, and not encoded"
    if report.urls:
        folder = (path if path.is_dir() else path.parent) / "images"
        yield (
            f"{report.urls:,} pictures are URLs and are not fetched: --fetch-pictures does, or put them into"
            f" {folder}/, named by product id"
        )
    if report.lost_pictures:
        yield f"{report.lost_pictures:,} pictures cannot be read; their products are indexed by what is left"
    for note, count in report.notes.items():
        yield note if count == 1 else f"{note} ({count:,} times)"


def _told(inference: catalogue_pb2.InferenceReport) -> Iterator[str]:
    """Put what the pictures told into a line a field."""
    if inference.failure:
        yield f"nothing more was read in the pictures: {inference.failure}; the same command tries again"
    for each in inference.fields:
        if each.reason:
            yield f"{each.field}: not read in the pictures: {each.reason}"
        elif not inference.failure:
            yield (
                f"{each.field}: read in the pictures of {each.products:,} of {each.empty:,} products without one; of"
                f" {each.labelled:,} whose value is known it is read in {each.coverage:.0%}, and {each.precision:.1%} of"
                " that is right"
            )
    if inference.captions:
        yield f"{inference.captions:,} have a caption made from their fields"


def _quote(quoted: list[Refusal], total: int) -> None:
    for refusal in quoted:
        click.echo(printable(f"  {refusal}"), err=True)
    if total > len(quoted):
        click.echo(f"  and {total - len(quoted):,} more", err=True)
