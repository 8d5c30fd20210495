"""A chat-completions server as the engine."""
