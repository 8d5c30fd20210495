"""How fast a GPU runs the encoders, in an environment of its own without torch, gRPC or a server (`make bench-gpu`)."""
