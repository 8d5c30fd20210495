"""A store of documents in memory."""

from dataclasses import dataclass, field

from gateway.errors import Aborted, SearchError
from gateway.model import DocumentSet


@dataclass
class FakeDocuments:
    """Obeys `gateway.ports.DocumentStore`; fails as it was told to."""

    held: DocumentSet = field(default_factory=DocumentSet)
    error: SearchError | None = None

    async def digest(self, *, timeout_s: float) -> str:
        """Return the digest of the set that is held."""
        return (await self.read(timeout_s=timeout_s)).digest

    async def read(self, *, timeout_s: float) -> DocumentSet:
        """Return the set that is held."""
        del timeout_s
        if self.error is not None:
            raise self.error
        return self.held

    async def replace(self, documents: DocumentSet, *, before: str, timeout_s: float) -> None:
        """Hold another set."""
        if (await self.read(timeout_s=timeout_s)).digest != before:
            raise Aborted("documents", "another writer has exchanged them: begin again")
        self.held = documents
