"""What keeps an export from happening."""


class ExportError(Exception):
    """The export cannot be made or must not be used; the message says why and what to do."""
