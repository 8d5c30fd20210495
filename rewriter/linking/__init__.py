"""Words of a turn to values of the catalogue: by their form, by their spelling, and by their meaning."""
