"""vitrine.v1.DocumentService: keeps the shop's documents."""

from typing import Any

from grpc import aio

from gateway.context import current_call, time_for_hop
from gateway.documents.passages import check_document
from gateway.documents.shelving import Document, Shelves
from gateway.errors import InvalidQuery
from gateway.model import Deadline, DocumentSet
from vitrine.domain import limits
from vitrine.v1 import documents_pb2, documents_pb2_grpc

_Context = aio.ServicerContext[Any, Any]


class DocumentServicer(documents_pb2_grpc.DocumentServiceServicer):
    """Answers DocumentService."""

    def __init__(self, shelves: Shelves, *, margin_s: float) -> None:
        self._shelves = shelves
        self._margin_s = margin_s

    async def ReplaceDocuments(  # noqa: N802 - gRPC's name
        self, request: documents_pb2.ReplaceDocumentsRequest, context: _Context
    ) -> documents_pb2.ReplaceDocumentsResponse:
        """Put documents in the place of all that are there."""
        del context
        documents = _read(request)
        shelved = await self._shelves.replace(documents, self._deadline())
        current_call().notes.update(documents=len(documents), passages=len(shelved.documents.passages))
        return documents_pb2.ReplaceDocumentsResponse(
            digest=shelved.documents.digest,
            documents=len(documents),
            passages=len(shelved.documents.passages),
            embedded=shelved.embedded,
        )

    async def ListDocuments(  # noqa: N802
        self, request: documents_pb2.ListDocumentsRequest, context: _Context
    ) -> documents_pb2.ListDocumentsResponse:
        """Return which documents are in use."""
        del request, context
        documents = await self._shelves.documents(self._deadline())
        return documents_pb2.ListDocumentsResponse(
            digest=documents.digest, documents=_listed(documents), model=documents.manifest
        )

    async def RemoveDocuments(  # noqa: N802
        self, request: documents_pb2.RemoveDocumentsRequest, context: _Context
    ) -> documents_pb2.RemoveDocumentsResponse:
        """Remove documents by name."""
        del context
        if not 1 <= len(request.names) <= limits.MAX_DOCUMENTS:
            raise InvalidQuery("names", f"must be 1 to {limits.MAX_DOCUMENTS}, got {len(request.names)}")
        removed, left = await self._shelves.remove(list(request.names), self._deadline())
        current_call().notes.update(removed=len(removed), passages=len(left.passages))
        return documents_pb2.RemoveDocumentsResponse(removed=removed, digest=left.digest)

    def _deadline(self) -> Deadline:
        return Deadline.after(time_for_hop(current_call().deadline, margin_s=self._margin_s))


def _read(request: documents_pb2.ReplaceDocumentsRequest) -> list[Document]:
    """Return the documents of a request, each held to its limits."""
    if len(request.documents) > limits.MAX_DOCUMENTS:
        raise InvalidQuery("documents", f"at most {limits.MAX_DOCUMENTS}, got {len(request.documents)}")
    names: set[str] = set()
    size = 0
    for i, each in enumerate(request.documents):
        check_document(f"documents[{i}]", each.name, each.text)
        if each.name in names:
            raise InvalidQuery(f"documents[{i}].name", f"{each.name} is there twice")
        names.add(each.name)
        size += len(each.text.encode())
    if size > limits.MAX_DOCUMENTS_BYTES:
        raise InvalidQuery(
            "documents", f"at most {limits.MAX_DOCUMENTS_BYTES:,} bytes together, got {size:,}"
        )
    return [Document(each.name, each.text) for each in request.documents]


def _listed(documents: DocumentSet) -> list[documents_pb2.ListedDocument]:
    listed: dict[str, documents_pb2.ListedDocument] = {}
    for passage in documents.passages:
        each = listed.setdefault(
            passage.document,
            documents_pb2.ListedDocument(
                name=passage.document, title=passage.title, digest=passage.document_digest
            ),
        )
        each.passages += 1
    return list(listed.values())
