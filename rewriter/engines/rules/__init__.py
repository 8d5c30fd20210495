"""The engine of rules."""
