"""Bulk insert: Milvus reads a collection's rows from Parquet files that it finds in its own storage.

A job inserts what a file holds and replaces nothing: rows whose keys are there already are there twice. So it is for a
collection that nobody else writes and that is begun anew after every failure.
"""

import asyncio

import grpc
from pymilvus.grpc_gen import common_pb2, milvus_pb2

from gateway.adapters.milvus.connection import MilvusConnection, MilvusError
from gateway.errors import DeadlineExceeded, VectorIndexError
from gateway.model import Deadline

_FAILED = (common_pb2.ImportState.ImportFailed, common_pb2.ImportState.ImportFailedAndCleaned)
_POLL_S = 0.5


class ImportFailed(VectorIndexError):  # noqa: N818
    """Milvus could not take a file in; what it inserted of it may be there."""


async def can_import(connection: MilvusConnection, *, timeout_s: float) -> bool:
    """Whether the server has bulk insert; Milvus Lite has none."""
    request = milvus_pb2.ListImportTasksRequest(limit=1)
    try:
        await connection.send(
            "ListImportTasks", request, milvus_pb2.ListImportTasksResponse, timeout_s=timeout_s
        )
    except MilvusError as error:
        if error.milvus_code is grpc.StatusCode.UNIMPLEMENTED:
            return False
        raise
    return True


async def import_file(connection: MilvusConnection, collection: str, path: str, *, timeout_s: float) -> int:
    """Have Milvus take a file in, by the path under which it finds it; return how many rows it had.

    Raises:
        ImportFailed: it did not.
        DeadlineExceeded: it has not ended in time; it may end yet.
    """
    deadline = Deadline.after(timeout_s)
    request = milvus_pb2.ImportRequest(collection_name=collection, files=[path])
    answer = await connection.send(
        "Import", request, milvus_pb2.ImportResponse, timeout_s=deadline.remaining_s()
    )
    asked = milvus_pb2.GetImportStateRequest(task=answer.tasks[0])
    while True:
        job = await connection.send(
            "GetImportState", asked, milvus_pb2.GetImportStateResponse, timeout_s=deadline.remaining_s()
        )
        if job.state == common_pb2.ImportState.ImportCompleted:
            return int(job.row_count)
        if job.state in _FAILED:
            raise ImportFailed
        if not deadline.remaining_s():
            raise DeadlineExceeded("the index did not take a file in within its time")
        await asyncio.sleep(_POLL_S)
