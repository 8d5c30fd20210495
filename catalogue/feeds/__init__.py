"""Feeds that shops really have: one TOML file each, and what reads these files."""
