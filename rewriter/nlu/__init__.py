"""Natural language understanding: words to values, conditions and references."""
