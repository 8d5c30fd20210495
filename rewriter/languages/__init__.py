"""What the rewriter knows of each language: one file of data a language."""
