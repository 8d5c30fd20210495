"""The speech service: hears what was said in a recording, for the gateway."""
