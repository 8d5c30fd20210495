"""From a query to its hits, as a list of stages."""
