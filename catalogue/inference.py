"""What `vitrine index` asks to be read in pictures."""

import click

from vitrine.v1 import catalogue_pb2

ALL_FIELDS = "*"
"""The value of --infer-fields that is given without names."""


def inference_options(
    names: str | None, precision: float | None, *, captions: bool
) -> catalogue_pb2.InferenceOptions | None:
    """Return the options; None where nothing is asked for.

    Raises:
        click.UsageError: a precision without fields, or no name where names are given.
    """
    if names is None and precision is not None:
        raise click.UsageError("--precision goes with --infer-fields")
    if names is None and not captions:
        return None
    fields = [] if names in {None, ALL_FIELDS} else [each.strip() for each in str(names).split(",")]
    if not all(fields):
        raise click.UsageError(
            "--infer-fields= names fields, parted by commas, such as --infer-fields=colour,pattern"
        )
    return catalogue_pb2.InferenceOptions(
        fields=fields, all_fields=names == ALL_FIELDS, precision=precision, captions=captions
    )
