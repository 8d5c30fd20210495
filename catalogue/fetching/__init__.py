"""Fetches pictures that a catalogue names by URL; the command line does so where it is asked to, never a service."""
