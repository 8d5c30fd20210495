"""A run: the lease and a new collection, parts embedded by the workers and written by this process, then the swap.

    open the index -> the lease, and a new collection -> chunks embedded on the workers -> parts, in order, into the collection
        -> what was written meanwhile taken over -> as many products as there must be -> swap

It keeps what a rebuild by a gateway keeps, by the same code: one writer at a time over all gateways, readers that get whole
answers from one of the two collections, and acknowledged writes that survive.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from bulk.cluster import check_address, finished_parts, ray_at
from bulk.embedding import EncoderPlace
from bulk.errors import BulkError
from bulk.inserting import FilesPlace, InsertedFiles
from bulk.loading import BAD_ROWS, Loader, Tally
from bulk.screening import open_screening
from bulk.source import CatalogueSource
from bulk.work import Work, run_key
from catalogue.indexing import source_digest
from catalogue.readers.opening import OpenCatalogue, open_catalogue
from catalogue.readers.rows import CatalogueError
from gateway.adapters.milvus.building import MilvusBuild
from gateway.adapters.milvus.index import MilvusIndex, open_milvus
from gateway.assembly.access import behind
from gateway.encoders import Encoders, Served
from gateway.errors import FailedPrecondition, SearchError
from gateway.indexing.rebuild import finish_rebuild
from gateway.model import Replaced
from gateway.settings import Settings
from vitrine.domain.schema import Schema

_TIMEOUT_S = 30.0
_WRITE_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is indexed, where, and with what."""

    path: Path
    schema: Schema | None
    work: str
    address: str
    """Ray's; empty: one of this run's own."""
    workers: int
    repository: str
    """Empty: Triton embeds."""
    most_bad: float
    confirm_shrink: bool
    allow_outside: bool
    lease_s: float
    """After which others may go on where this run has died; Milvus must answer its beats in four fifths of it."""
    insert_from: str = ""
    """A place that Milvus reads files from; empty: rows are upserted."""
    insert_as: str = ""
    """Its path as Milvus sees it; empty: the same, in a bucket from the bucket's root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What a run has done."""

    tally: Tally
    index: str
    """In use now."""
    replaced: Replaced | None
    bad_rows: str
    """The file that lists them."""
    files_refused: bool = False
    """Whether Milvus should have taken files in and has no bulk insert: rows were upserted."""


async def run(
    plan: Plan, settings: Settings, *, began: Callable[[int], None], progress: Callable[[Tally], None]
) -> Ended:
    """Index the catalogue; `began` is told about how many rows there are.

    Raises:
        BulkError: it cannot go on; what was embedded is kept.
    """
    if plan.address:
        check_address(plan.address)
    access = behind(settings)
    try:
        async with AsyncExitStack() as stack:
            index = await stack.enter_async_context(
                open_milvus(
                    settings.milvus,
                    token=access.milvus_token,
                    tls=access.milvus,
                    write_timeout_s=_WRITE_TIMEOUT_S,
                    lease_s=plan.lease_s,
                )
            )
            screening = await open_screening(
                settings, index.blocked, by_triton=not plan.repository, timeout_s=_TIMEOUT_S
            )
            place = EncoderPlace(
                repository=plan.repository, triton=settings.triton, tls=access.triton, screening=screening
            )
            encoders = Encoders([await place.open(stack)])
            served = await encoders.newest(timeout_s=_TIMEOUT_S)
            in_use = await _schema_in_use(index)
            catalogue = open_catalogue(
                plan.path, plan.schema, usual=lambda: in_use, allow_outside=plan.allow_outside
            )
            began(catalogue.estimate)
            stack.enter_context(ray_at(plan.address, workers=plan.workers))
            return await _rebuild(
                plan, catalogue, index, encoders=encoders, served=served, place=place, progress=progress
            )
    except (SearchError, CatalogueError) as error:
        raise BulkError(str(error)) from error


async def _rebuild(
    plan: Plan,
    catalogue: OpenCatalogue,
    index: MilvusIndex,
    *,
    encoders: Encoders,
    served: Served,
    place: EncoderPlace,
    progress: Callable[[Tally], None],
) -> Ended:
    source = source_digest(catalogue.files, catalogue.schema)
    screened = () if place.screening is None else (place.screening.digest,)
    key = run_key(source, catalogue.schema.digest, served.manifest, *screened)
    work = Work(f"{plan.work.rstrip('/')}/{key}")
    done = work.parts()
    by_files = bool(plan.insert_from) and await index.can_insert_files()
    # A source of its own name: what a gateway has begun with the same files is not gone on with here. And none that was
    # ever used where files are taken in: what was there already would be there twice.
    own = f"bulk {key}{f' {token_hex(8)}' if by_files else ''}"
    build = await index.build(served.manifest, own, catalogue.schema, embedding_dim=served.embedding_dim)
    try:
        files = await _files(plan, build) if by_files else None
        loader = Loader(files or build, work, most_bad=plan.most_bad, done=done, progress=progress)
        rows = CatalogueSource(
            plan.path.resolve(), catalogue.schema, allow_outside=plan.allow_outside, done=done
        )
        parts = finished_parts(rows, work, build.version, place, workers=plan.workers)
        async with AsyncExitStack() as stack:
            if files is not None:
                stack.push_async_callback(files.close)
            await loader.load(await stack.enter_async_context(aclosing(parts)))
            if files is not None:
                await files.finish()
        if source_digest(catalogue.files, catalogue.schema) != source:
            raise BulkError(
                f"{plan.path} was changed while it was read: the index in use stays; run it again"
            )
        await _check_encoders(encoders, served)
        replaced = await finish_rebuild(build, loader.kept, index, confirm_shrink=plan.confirm_shrink)
        await asyncio.to_thread(work.forget_parts)
        return Ended(
            tally=loader.tally,
            index=build.version.collection,
            replaced=replaced,
            bad_rows=f"{work.location}/{BAD_ROWS}",
            files_refused=bool(plan.insert_from) and not by_files,
        )
    finally:
        await build.close()


async def _files(plan: Plan, build: MilvusBuild) -> InsertedFiles:
    files = InsertedFiles(build, FilesPlace(plan.insert_from, plan.insert_as))
    await files.open()
    return files


async def _check_encoders(encoders: Encoders, served: Served) -> None:
    try:
        await encoders.of(served.manifest, timeout_s=_TIMEOUT_S)
    except FailedPrecondition:
        raise BulkError("the encoders were exchanged during the run: run it again") from None


async def _schema_in_use(index: MilvusIndex) -> Schema | None:
    try:
        return (await index.version(timeout_s=_TIMEOUT_S)).schema
    except FailedPrecondition:
        return None
