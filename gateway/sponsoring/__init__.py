"""Sponsored places: who is shown in them, for what price, and from which budget."""
