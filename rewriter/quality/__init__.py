"""Measures what reads turns: how often it is right, how fast it is, and what hostile words do to it."""
