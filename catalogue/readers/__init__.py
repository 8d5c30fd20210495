"""Readers of catalogues: each yields a Product or a RowError for every row, and none stops at a bad one."""
