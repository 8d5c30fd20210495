"""Other ways to serve the same encoders, each in an environment of its own."""
