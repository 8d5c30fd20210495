"""Products into the index."""
