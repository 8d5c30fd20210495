"""Vitrine as a retriever of LangChain: `python examples/langchain/retriever.py "red floral midi dress"`.

Needs langchain-core beside the client; requirements/examples.txt has the version that is tested.
"""

import asyncio
import os
import sys
from typing import Any

from google.protobuf.json_format import MessageToDict
from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from vitrine.client import DEFAULT_ADDRESS, VitrineClient, VitrineError
from vitrine.filter_text import parse_filter
from vitrine.v1.search_pb2 import Hit, SearchRequest


class VitrineRetriever(BaseRetriever):
    """Finds products by words; each is a document with the product's title as its text, and all else as metadata."""

    address: str = DEFAULT_ADDRESS
    limit: int = 5
    filter: str = ""
    """Such as `category=dress and price<80`: it holds for every search."""

    async def _search(self, query: str) -> list[Document]:
        request = SearchRequest(text=query, limit=self.limit)
        if self.filter:
            request.filter.CopyFrom(parse_filter(self.filter))
        async with VitrineClient(self.address) as client:
            answer = await client.search(request)
        return [_document(hit) for hit in answer.hits]

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,  # noqa: ARG002 - LangChain's signature
    ) -> list[Document]:
        return await self._search(query)

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002 - LangChain's signature
    ) -> list[Document]:
        return asyncio.run(self._search(query))


def _document(hit: Hit) -> Document:
    product: dict[str, Any] = MessageToDict(hit.product, preserving_proto_field_name=True)
    return Document(
        id=hit.product_id, page_content=hit.product.title, metadata={"score": hit.score, **product}
    )


if __name__ == "__main__":
    retriever = VitrineRetriever(
        address=os.environ.get("VITRINE_ADDRESS", DEFAULT_ADDRESS), filter="price<80"
    )
    try:
        documents = retriever.invoke(" ".join(sys.argv[1:]) or "red floral midi dress")
    except VitrineError as failure:
        sys.exit(str(failure))
    for document in documents:
        print(f"{document.metadata['score']:.3f}  {document.id}  {document.page_content}")
