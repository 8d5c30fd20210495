"""How well the shop's documents are found, measured."""
