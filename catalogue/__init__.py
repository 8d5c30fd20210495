"""Product data: the Product type, readers of catalogues, and the procedural catalogue."""
