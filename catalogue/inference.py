"""What `vitrine index` asks to be read in pictures."""

import os
from collections.abc import Mapping
from pathlib import Path

import click

from catalogue.captioning import KEY_VARIABLE, CaptionError, CaptionSettings
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


def caption_settings(
    url: str, model: str, *, captions: bool, environment: Mapping[str, str] = os.environ
) -> CaptionSettings | None:
    """Return which server writes captions; None where the service makes them of the fields.

    Raises:
        click.UsageError: an option lacks the other, or breaks a rule.
    """
    if not url and not model:
        return None
    if not (captions and url and model):
        raise click.UsageError("--captions-url and --captions-model go together, and with --captions")
    home = Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    try:
        return CaptionSettings(
            url=url, model=model, key=environment.get(KEY_VARIABLE, ""), cache=home / "vitrine" / "captions"
        )
    except CaptionError as error:
        raise click.UsageError(str(error)) from error
