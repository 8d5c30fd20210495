"""Real photographs: what is read of a shop's data, and what encoders find in it."""
