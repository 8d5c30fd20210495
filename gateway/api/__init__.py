"""Requests to values, values to messages, and the two services."""
