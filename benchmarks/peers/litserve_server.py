"""LitServe with batches of up to 32, and the delay of our own batcher."""

import os

import litserve

from benchmarks.peers.model import Model


class Embedder(litserve.LitAPI):
    """Embeds a batch in the worker's process."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe's signature
        """Open the graphs."""
        self.model = Model()

    def decode_request(self, request: dict[str, str]) -> str:
        """Take the query out of the JSON."""
        return request["query"]

    def predict(self, x: list[str]) -> list[list[float]]:
        """Embed the batch."""
        return self.model.encode(x)

    def encode_response(self, output: list[float]) -> dict[str, list[float]]:
        """Put the embedding into JSON."""
        return {"embedding": output}


if __name__ == "__main__":
    api = Embedder(max_batch_size=32, batch_timeout=0.0005, api_path="/embed")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1", port=int(os.environ["PEER_PORT"]), generate_client_file=False, log_level="warning"
    )
