"""What reads turns: rules, the embedded model, or a chat server."""
