"""What ends a run."""


class BulkError(Exception):
    """The run cannot go on; the message is one line for people. What was embedded is kept, and a further run goes on with it."""
