"""What a stream of products asks to be read in its pictures, and what became of it, as messages of vitrine.v1."""

import math

from gateway.errors import InvalidQuery
from gateway.indexing.inferring import Inference, InferenceReport
from gateway.indexing.learning import readable
from vitrine.domain import limits
from vitrine.domain.schema import Schema
from vitrine.v1 import catalogue_pb2

_LEAST_PRECISION = 0.5


def read_inference(message: catalogue_pb2.InferenceOptions) -> Inference:
    """Read the options; raises InvalidQuery for what breaks a limit."""
    path = "options.inference"
    precision = message.precision if message.HasField("precision") else Inference().precision
    if not (math.isfinite(precision) and _LEAST_PRECISION < precision < 1):
        raise InvalidQuery(
            f"{path}.precision", f"must be over {_LEAST_PRECISION} and under 1, got {precision:g}"
        )
    if not (message.fields or message.all_fields or message.captions):
        raise InvalidQuery(path, "must ask for fields or captions")
    return Inference(
        fields=tuple(dict.fromkeys(message.fields)),
        all_fields=message.all_fields,
        precision=precision,
        captions=message.captions,
    )


def check_fields(wanted: Inference, schema: Schema) -> None:
    """Refuse fields that pictures cannot tell, with InvalidQuery."""
    known = [each.name for each in readable(schema)]
    for position, name in enumerate(wanted.fields):
        if name not in known:
            raise InvalidQuery(
                f"options.inference.fields[{position}]",
                f"{name[: limits.MAX_FIELD_NAME_LENGTH]!r} is no field of keywords; these are:"
                f" {', '.join(known) or 'none'}",
            )


def report_message(report: InferenceReport) -> catalogue_pb2.InferenceReport:
    """Return what pictures told of a stream's products."""
    return catalogue_pb2.InferenceReport(
        fields=[
            catalogue_pb2.InferredField(
                field=each.field,
                products=each.products,
                empty=each.empty,
                labelled=each.measured.labelled,
                precision=each.measured.precision,
                coverage=each.measured.coverage,
                reason=each.reason,
            )
            for each in report.filled
        ],
        captions=report.captions,
        failure=report.failure,
    )
