"""What the command says in one line, and its exit status."""

import click


class GpuBenchError(click.ClickException):
    """The measurement cannot be made; the message says why and what would help."""


class NoGpuError(GpuBenchError):
    """There is no GPU, no driver, or no library for it; the message says what is needed."""

    exit_code = 3
