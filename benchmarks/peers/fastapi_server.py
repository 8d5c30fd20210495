"""FastAPI and ONNX Runtime: what is written first, without batches."""

import os

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.peers.model import Model

app = FastAPI()
model = Model()


class Body(BaseModel):
    """A text, or a picture in base64."""

    query: str


@app.post("/embed")
def embed(body: Body) -> dict[str, list[float]]:
    """Embed one query, in a thread of FastAPI's pool."""
    return {"embedding": model.encode([body.query])[0]}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PEER_PORT"]), log_level="warning")
