"""The rewriting sidecar: reads a shopper's turn in the light of the conversation and says what to search for."""
