"""Turns, sessions, and what answers instead of a search."""
