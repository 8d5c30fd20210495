"""What goes wrong with weights."""


class CheckpointError(ValueError):
    """The weights cannot be used; says which file and why."""
