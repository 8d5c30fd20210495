"""Names, dtypes and dims of every model that Triton serves: the one place where they are written.

The config.pbtxt files, the exported graphs and the gateway are held against these values by contract tests.
Shapes leave the batch dimension out, as Triton's model configuration does. The dims are those of the family `small`;
`sized` gives a model the dims of another family.
"""

from dataclasses import dataclass, replace
from typing import Literal

IMAGE_SIZE = 64
"""Side of the square picture that the image encoder sees, in pixels."""

TEXT_LENGTH = 32
"""Tokens of a text, padding included; longer texts are cut."""

EMBEDDING_DIM = 256
"""Length of one embedding: one half of a product's vector."""

MAX_BATCH_SIZE = 32
"""Rows that one execution of any model may carry."""

Dtype = Literal["BYTES", "BOOL", "UINT8", "INT64", "FP32"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimensions:
    """What a family of encoders decides about the tensors; the defaults are those of `small`."""

    image_size: int = IMAGE_SIZE
    text_length: int = TEXT_LENGTH
    embedding_dim: int = EMBEDDING_DIM
    fusion_reads_text: bool = False
    """Whether the fusion encoder takes the text encoder's embedding instead of tokens, so that words are embedded once."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output; BYTES holds UTF-8 text or an encoded picture."""

    name: str
    dtype: Dtype
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model of the repository, an ensemble or a member of one."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    steps: tuple[str, ...] = ()
    """The members that an ensemble runs, in order; empty for a member."""


def sized(spec: ModelSpec, dimensions: Dimensions) -> ModelSpec:
    """Return the model with the dims of a family: every dtype carries one kind of value, the manifest's digest aside."""
    shapes: dict[Dtype, tuple[int, ...]] = {
        "BYTES": (1,),
        "BOOL": (1,),
        "UINT8": (dimensions.image_size, dimensions.image_size, 3),
        "INT64": (dimensions.text_length,),
        "FP32": (dimensions.embedding_dim,),
    }
    inputs, outputs = (
        tuple(t if t == MANIFEST else replace(t, shape=shapes[t.dtype]) for t in tensors)
        for tensors in (spec.inputs, spec.outputs)
    )
    if dimensions.fusion_reads_text:
        inputs = tuple(
            replace(_TEXT_EMBEDDING, shape=shapes["FP32"])
            if spec.name == FUSION_ENCODER.name and t.name == _TOKEN_IDS.name
            else t
            for t in inputs
        )
    return replace(spec, inputs=inputs, outputs=outputs, steps=_steps(spec, dimensions))


def _steps(spec: ModelSpec, dimensions: Dimensions) -> tuple[str, ...]:
    if not dimensions.fusion_reads_text or FUSION_ENCODER.name not in spec.steps:
        return spec.steps
    place = spec.steps.index(FUSION_ENCODER.name)
    return (*spec.steps[:place], TEXT_ENCODER.name, *spec.steps[place:])


_IMAGE = TensorSpec("image", "BYTES", (1,))
_TEXT = TensorSpec("text", "BYTES", (1,))
_PIXELS = TensorSpec("pixels", "UINT8", (IMAGE_SIZE, IMAGE_SIZE, 3))
_TOKEN_IDS = TensorSpec("token_ids", "INT64", (TEXT_LENGTH,))
_REFERENCE = TensorSpec("reference_embedding", "FP32", (EMBEDDING_DIM,))
_TEXT_EMBEDDING = TensorSpec("text_embedding", "FP32", (EMBEDDING_DIM,))
EMBEDDING = TensorSpec("embedding", "FP32", (EMBEDDING_DIM,))
TEXT_CUT = TensorSpec("text_cut", "BOOL", (1,))
"""Whether a text is longer than what the encoder reads."""
MANIFEST = TensorSpec("manifest", "UINT8", (32,))
"""SHA-256 of the manifest of the models that compute the row; it comes with every inference, and is equal in all families."""

IMAGE_DECODE = ModelSpec("image_decode", (_IMAGE,), (_PIXELS, MANIFEST))
TEXT_TOKENIZE = ModelSpec("text_tokenize", (_TEXT,), (_TOKEN_IDS, TEXT_CUT, MANIFEST))
QUERY_PREPARE = ModelSpec("query_prepare", (_IMAGE, _TEXT), (_PIXELS, _TOKEN_IDS, TEXT_CUT, MANIFEST))
IMAGE_ENCODER = ModelSpec(
    "image_encoder", (_PIXELS,), (TensorSpec("image_embedding", "FP32", (EMBEDDING_DIM,)),)
)
TEXT_ENCODER = ModelSpec("text_encoder", (_TOKEN_IDS,), (_TEXT_EMBEDDING,))
FUSION_ENCODER = ModelSpec(
    "fusion_encoder",
    (_REFERENCE, _TOKEN_IDS),
    (TensorSpec("composed_embedding", "FP32", (EMBEDDING_DIM,)),),
)

EMBED_TEXT = ModelSpec(
    "embed_text", (_TEXT,), (EMBEDDING, TEXT_CUT, MANIFEST), ("text_tokenize", "text_encoder")
)
EMBED_IMAGE = ModelSpec("embed_image", (_IMAGE,), (EMBEDDING, MANIFEST), ("image_decode", "image_encoder"))
EMBED_COMPOSED = ModelSpec(
    "embed_composed",
    (_IMAGE, _TEXT),
    (EMBEDDING, TEXT_CUT, MANIFEST),
    ("query_prepare", "image_encoder", "fusion_encoder"),
)
EMBED_REFINED = ModelSpec(
    "embed_refined", (_REFERENCE, _TEXT), (EMBEDDING, TEXT_CUT, MANIFEST), ("text_tokenize", "fusion_encoder")
)

NUDITY = ModelSpec(
    "nudity", (TensorSpec("pixels", "UINT8", (-1, -1, 3)),), (TensorSpec("nudity", "FP32", (1,)),)
)
"""An option of moderation, which takes the pixels of any family; no ensemble runs it, and it is none of MODELS."""

PREPROCESSORS = (IMAGE_DECODE, TEXT_TOKENIZE, QUERY_PREPARE)
ENCODERS = (IMAGE_ENCODER, TEXT_ENCODER, FUSION_ENCODER)
ENSEMBLES = (EMBED_TEXT, EMBED_IMAGE, EMBED_COMPOSED, EMBED_REFINED)
MODELS = PREPROCESSORS + ENCODERS + ENSEMBLES

MANIFEST_PARAMETER = "manifest"
"""The parameter of every model's config that carries the manifest's digest."""
