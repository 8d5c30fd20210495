"""The async gRPC service: it combines Triton's embeddings, Milvus look-ups and the rewriter."""
