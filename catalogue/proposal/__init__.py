"""Looks at a catalogue and proposes its schema."""
