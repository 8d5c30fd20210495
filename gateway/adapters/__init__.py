"""One adapter a vendor; adapters never import each other."""
