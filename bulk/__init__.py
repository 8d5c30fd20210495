"""Embeds and indexes catalogues too large for one machine, with Ray Data."""
