"""Builds a procedural catalogue on disk: all of it or nothing, and only when something has changed."""

import fcntl
import hashlib
import json
import multiprocessing
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import simplejpeg
from tqdm import tqdm

from catalogue.layouts import LAYOUTS, Picture
from catalogue.render.picture import render

PICTURE_SIZE = 256
_JPEG_QUALITY = 88
_STAMP = "build.json"
_SOURCES = (
    "assortment.py",
    "build.py",
    "grammar.py",
    "layouts.py",
    "randomness.py",
    "splits.py",
    "render/*.py",
)
"""What decides the result beside the settings."""


class BuildError(Exception):
    """The catalogue cannot be built there; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSettings:
    """What is to be built; equal settings and equal code give equal files."""

    products: int
    seed: int
    layout: str = "products"


def build_catalogue(out: Path, settings: BuildSettings, *, processes: int = 2) -> bool:
    """Build the catalogue unless it lies there already; tell whether anything was done.

    It is built beside `out` and renamed, so that `out` is complete whenever it exists.

    Raises:
        BuildError: `out` holds something else, or another build of it is running.
    """
    stamp = json.dumps(asdict(settings) | {"code": _code_digest()}, indent=1) + "\n"
    if _read_stamp(out) == stamp:
        return False
    if out.exists() and not _read_stamp(out) and (not out.is_dir() or any(out.iterdir())):
        raise BuildError(f"{out} is not a catalogue built here: remove it, or choose another --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    with _locked(out.with_name(f".{out.name}.lock")):
        partial = out.with_name(f".{out.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir()
            pictures = LAYOUTS[settings.layout](partial, products=settings.products, seed=settings.seed)
            draw_pictures(partial, pictures, processes=processes)
            (partial / _STAMP).write_text(stamp)
            _replace(out, partial)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return True


def draw_pictures(folder: Path, pictures: Sequence[Picture], *, processes: int) -> None:
    """Draw every picture into its file, with a progress bar; one process means this one."""
    for place in {folder / picture.path.parent for picture in pictures}:
        place.mkdir(parents=True, exist_ok=True)
    jobs = [(folder, picture) for picture in pictures]
    with ExitStack() as stack:
        progress = stack.enter_context(tqdm(total=len(jobs), desc="drawing", unit="picture", disable=None))
        drawn: Iterable[None] = map(_draw, jobs)
        if processes > 1:
            pool = stack.enter_context(multiprocessing.Pool(processes))
            drawn = pool.imap_unordered(_draw, jobs, chunksize=16)
        for _ in drawn:
            progress.update()


def _draw(job: tuple[Path, Picture]) -> None:
    folder, picture = job
    pixels = render(picture.spec, picture.seed, PICTURE_SIZE)
    (folder / picture.path).write_bytes(simplejpeg.encode_jpeg(pixels, quality=_JPEG_QUALITY))


def _read_stamp(out: Path) -> str:
    try:
        return (out / _STAMP).read_text()
    except (FileNotFoundError, NotADirectoryError):
        return ""


def _code_digest() -> str:
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for pattern in _SOURCES:
        for source in sorted(root.glob(pattern)):
            digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the file's lock, which the system lets go when the process ends, however it ends."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BuildError(f"another build holds {path}: wait until it has ended") from None
        yield


def _replace(out: Path, partial: Path) -> None:
    """Put the new folder in the old one's place; between the two renames there is none."""
    if out.exists():
        old = out.with_name(f".{out.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        out.rename(old)
        partial.rename(out)
        shutil.rmtree(old)
    else:
        partial.rename(out)
