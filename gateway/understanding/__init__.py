"""The rewriter's answer, asked for within a budget and checked before it is used."""
