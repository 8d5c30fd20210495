"""The index on Milvus."""
