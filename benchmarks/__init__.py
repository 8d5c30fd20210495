"""Load against a running service, its results as JSON, and the documents made from them."""
