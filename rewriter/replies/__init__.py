"""Rewrites and sentences made of what was understood."""
