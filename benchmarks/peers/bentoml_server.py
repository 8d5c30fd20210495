"""BentoML with its adaptive batches of up to 32."""

import os
import sys

import bentoml

from benchmarks.peers.model import Model


@bentoml.service(workers=1, traffic={"timeout": 30})
class Embedder:
    """Embeds a batch in the worker's process."""

    def __init__(self) -> None:
        self.model = Model()

    @bentoml.api(batchable=True, max_batch_size=32, max_latency_ms=1000, route="/embed")
    def embed(self, queries: list[str]) -> list[list[float]]:
        """Embed the batch."""
        return self.model.encode(queries)


if __name__ == "__main__":
    program = os.path.join(os.path.dirname(sys.executable), "bentoml")  # noqa: PTH118, PTH120 - as it was started
    service = "benchmarks.peers.bentoml_server:Embedder"
    port = os.environ["PEER_PORT"]
    os.execv(program, [program, "serve", service, "--host", "127.0.0.1", "--port", port])  # noqa: S606
