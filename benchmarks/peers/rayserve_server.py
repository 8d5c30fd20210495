"""Ray Serve with batches of up to 32, and the delay of our own batcher."""

import os
import signal
from typing import Any

import ray
from ray import serve

from benchmarks.peers.model import Model


@serve.deployment(max_ongoing_requests=128)
class Embedder:
    """Embeds a batch in the replica's process."""

    def __init__(self) -> None:
        self.model = Model()

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.0005)
    async def embed(self, queries: list[str]) -> list[list[float]]:
        """Embed the batch."""
        return self.model.encode(queries)

    async def __call__(self, request: Any) -> dict[str, list[float]]:
        """Take the query out of the JSON, and put the embedding into JSON."""
        body = await request.json()
        return {"embedding": await self.embed(body["query"])}


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    serve.start(http_options=serve.HTTPOptions(host="127.0.0.1", port=int(os.environ["PEER_PORT"])))
    deployment: Any = Embedder  # the decorator made one of it, which its type does not say
    serve.run(deployment.bind(), route_prefix="/embed")
    signal.pause()
