"""The shop's documents put together."""

from gateway.api.document_servicer import DocumentServicer
from gateway.documents.library import DocumentRules, Library
from gateway.documents.shelving import Shelves
from gateway.encoders import Encoders
from gateway.metrics import Metrics
from gateway.model import Deadline, Embedding
from gateway.ports import DocumentStore
from gateway.retrieval.pipeline import Retrieval
from gateway.settings import Settings


def open_library(settings: Settings, store: DocumentStore, retrieval: Retrieval, metrics: Metrics) -> Library:
    """Return what answers from the documents."""

    async def embed(words: str, deadline: Deadline) -> tuple[str, Embedding]:
        manifest, (embedding,) = await retrieval.embed_texts([words], deadline)
        return manifest, embedding

    rules = DocumentRules(least=settings.documents_least, share=settings.documents_similarity_share)
    return Library(store, rules, embed, metrics)


def open_documents(
    settings: Settings, store: DocumentStore, encoders: Encoders, library: Library
) -> DocumentServicer:
    """Return what keeps the documents; the encoders are those of ingests."""
    return DocumentServicer(Shelves(store, encoders, library), margin_s=settings.deadline_margin_ms / 1e3)
