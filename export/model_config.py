"""The config.pbtxt of each model: the committed form is that of the target `local`, the others are made of it.

Names, batching, queues and ensembles are equal in all targets and families; dims are the family's. What differs is
who runs an encoder: its backend, its instance group and the file that holds its graph.
"""

from pathlib import Path
from typing import Any, Literal

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from export.errors import ExportError
from vitrine.tensors import FUSION_ENCODER, MANIFEST_PARAMETER, TEXT_ENCODER, ModelSpec

Target = Literal["local", "onnxruntime", "tensorrt"]
Precision = Literal["fp32", "fp16", "int8"]
WantedPrecision = Literal["auto", "fp32", "fp16", "int8"]
"""auto is what export.choice says of the weights."""

CONFIG_FILE = "config.pbtxt"
ARTEFACTS: dict[Target, str] = {"local": "model.onnx", "onnxruntime": "model.onnx", "tensorrt": "model.plan"}
"""The file name of an encoder's graph in its version folder."""

# A Triton ModelConfig; its generated module carries no types.
Config = Any


def read_config(path: Path) -> Config:
    """Read a config.pbtxt.

    Raises:
        ExportError: it is missing or does not parse.
    """
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), model_config_pb2.ModelConfig())
    except FileNotFoundError:
        raise ExportError(f"{path}: missing") from None
    except text_format.ParseError as error:
        raise ExportError(f"{path}: {error}") from None


def write_config(path: Path, config: Config) -> None:
    """Write a config.pbtxt."""
    path.write_text(text_format.MessageToString(config), encoding="utf-8")


def resize(config: Config, spec: ModelSpec) -> None:
    """Set the dims of every tensor to those of the spec, in place; the committed ones are those of the family `small`."""
    shapes = {tensor.name: tensor.shape for tensor in (*spec.inputs, *spec.outputs)}
    warm = [(name, tensor) for warmup in config.model_warmup for name, tensor in warmup.inputs.items()]
    for name, tensor in [(t.name, t) for t in (*config.input, *config.output)] + warm:
        tensor.dims[:] = shapes[name]


def read_text_in_fusion(config: Config, spec: ModelSpec) -> None:
    """Give the fusion encoder the text encoder's embedding instead of tokens, in place; `spec` is of such a family.

    The committed configurations are those of a fusion that reads tokens. An ensemble with such a fusion gets the text encoder as
    a step before it; the fusion encoder gets the other input.
    """
    wanted = {tensor.name: tensor for tensor in spec.inputs}
    for tensor in config.input:
        if tensor.name == "token_ids" and "text_embedding" in wanted:
            tensor.name, tensor.data_type = "text_embedding", model_config_pb2.TYPE_FP32
    for warmup in config.model_warmup:
        if "text_embedding" in wanted and "token_ids" in warmup.inputs:
            warm = warmup.inputs["text_embedding"]
            warm.CopyFrom(warmup.inputs["token_ids"])
            warm.data_type = model_config_pb2.TYPE_FP32
            del warmup.inputs["token_ids"]
    steps = config.ensemble_scheduling.step
    if [step.model_name for step in steps] == list(spec.steps):
        return
    fusion = next(step for step in steps if step.model_name == FUSION_ENCODER.name)
    encode = type(fusion)(model_name=TEXT_ENCODER.name, model_version=-1)
    encode.input_map["token_ids"] = fusion.input_map["token_ids"]
    encode.output_map["text_embedding"] = "text_embedding"
    del fusion.input_map["token_ids"]
    fusion.input_map["text_embedding"] = "text_embedding"
    steps.insert(len(steps) - 1, encode)


def retarget_encoder(config: Config, target: Target) -> None:
    """Turn the `local` configuration of an encoder into that of the target, in place."""
    if target == "local":
        return
    del config.instance_group[:]
    if target == "onnxruntime":
        config.backend = "onnxruntime"
        # The GPU where there is one, else the CPU: one repository serves both.
        config.instance_group.add(count=1, kind=model_config_pb2.ModelInstanceGroup.KIND_AUTO)
        # On the CPU a session keeps to one thread, as in `local`: Triton scales by instances.
        config.parameters["intra_op_thread_count"].string_value = "1"
    else:
        config.backend = "tensorrt"
        config.platform = "tensorrt_plan"
        config.instance_group.add(count=1, kind=model_config_pb2.ModelInstanceGroup.KIND_GPU)
    config.default_model_filename = ARTEFACTS[target]


def stamp(config: Config, digest: str) -> None:
    """Put the manifest's digest where clients of an ensemble read it, and a member that loads, in place."""
    config.parameters[MANIFEST_PARAMETER].string_value = digest
