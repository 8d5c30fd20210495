"""The contract of Vitrine: its API, its tensors, its preprocessing and a thin client."""
