"""The naive chain: FastAPI, the text encoder, then a search by pymilvus on a Milvus Lite of its own."""

import os
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from pymilvus import MilvusClient

from benchmarks.peers.model import Model

PRODUCTS = int(os.environ["PEER_PRODUCTS"])
LIMIT = 10
COLLECTION = "products"
HALVES = 2
"""A product's vector holds an embedding of its words and one of its picture, as ours do."""

app = FastAPI()
model = Model()
folder = TemporaryDirectory()
milvus = MilvusClient(os.path.join(folder.name, "milvus.db"))  # noqa: PTH118 - pymilvus takes no Path


class Body(BaseModel):
    """A text."""

    query: str


@app.post("/embed")
def search(body: Body) -> dict[str, list[dict[str, Any]]]:
    """Search by a text, in a thread of FastAPI's pool."""
    vector = model.encode([body.query])[0] * HALVES
    (hits,) = milvus.search(COLLECTION, [vector], limit=LIMIT, output_fields=["title", "brand", "price"])
    return {"hits": [{"id": hit["id"], "score": hit["distance"], **hit["entity"]} for hit in hits]}


def fill() -> None:
    """Fill the collection with random vectors."""
    dim = HALVES * model.embedding_dim
    milvus.create_collection(COLLECTION, dimension=dim, metric_type="IP")
    vectors = np.random.default_rng(0).standard_normal((PRODUCTS, dim), np.float32)
    rows = [
        {
            "id": number,
            "vector": vector.tolist(),
            "title": "red floral midi dress",
            "brand": "b",
            "price": 49.9,
        }
        for number, vector in enumerate(vectors)
    ]
    milvus.insert(COLLECTION, rows)


if __name__ == "__main__":
    fill()
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PEER_PORT"]), log_level="warning")
