"""The model repository, as committed and as published, holds what vitrine.tensors says."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from export.model_config import ARTEFACTS, Target, retarget_encoder
from vitrine.tensors import (
    ENCODERS,
    ENSEMBLES,
    MAX_BATCH_SIZE,
    MODELS,
    PREPROCESSORS,
    ModelSpec,
    TensorSpec,
)

REPOSITORY = Path(__file__).parents[2] / "model_repository"
TRITON_DTYPES = {
    "BYTES": "TYPE_STRING",
    "BOOL": "TYPE_BOOL",
    "UINT8": "TYPE_UINT8",
    "INT64": "TYPE_INT64",
    "FP32": "TYPE_FP32",
}
TARGETS: tuple[Target, ...] = ("local", "onnxruntime", "tensorrt")
MEMBERS = PREPROCESSORS + ENCODERS


def config_of(name: str) -> Any:
    text = (REPOSITORY / name / "config.pbtxt").read_text(encoding="utf-8")
    return text_format.Parse(text, model_config_pb2.ModelConfig())


def configured(tensors: Any) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(t.name, model_config_pb2.DataType.Name(t.data_type), tuple(t.dims)) for t in tensors]


def specified(tensors: tuple[TensorSpec, ...]) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(t.name, TRITON_DTYPES[t.dtype], t.shape) for t in tensors]


def test_a_folder_for_each_model_and_no_other() -> None:
    """The repository holds the ten models of vitrine.tensors."""
    assert {path.parent.name for path in REPOSITORY.glob("*/config.pbtxt")} == {m.name for m in MODELS}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_tensors_are_those_of_the_contract(model: ModelSpec) -> None:
    """Names, dtypes, dims and the largest batch of each model are written in vitrine.tensors."""
    config = config_of(model.name)
    assert config.name == model.name
    assert config.max_batch_size == MAX_BATCH_SIZE
    assert configured(config.input) == specified(model.inputs)
    assert configured(config.output) == specified(model.outputs)


@pytest.mark.parametrize("model", ENSEMBLES, ids=lambda model: model.name)
def test_ensembles_run_their_steps_and_every_tensor_has_a_source(model: ModelSpec) -> None:
    """Each step takes tensors that exist by then, of the dtype and dims that it wants."""
    members = {member.name: member for member in MEMBERS}
    known = {tensor.name: tensor for tensor in model.inputs}
    config = config_of(model.name)
    assert config.platform == "ensemble"
    assert tuple(step.model_name for step in config.ensemble_scheduling.step) == model.steps
    for step in config.ensemble_scheduling.step:
        member = members[step.model_name]
        assert set(step.input_map) == {tensor.name for tensor in member.inputs}
        for tensor in member.inputs:
            source = known[step.input_map[tensor.name]]
            assert (source.dtype, source.shape) == (tensor.dtype, tensor.shape)
        for tensor in member.outputs:
            name = step.output_map[tensor.name]
            known[name] = TensorSpec(name, tensor.dtype, tensor.shape)
    for output in model.outputs:
        assert known[output.name] == output


@pytest.mark.parametrize("model", ENSEMBLES, ids=lambda model: model.name)
def test_no_ensemble_runs_steps_side_by_side(model: ModelSpec) -> None:
    """Every step needs the one before: steps side by side hang tritonserver when one of them fails."""
    steps = config_of(model.name).ensemble_scheduling.step
    for before, step in pairwise(steps):
        assert set(before.output_map.values()) & set(step.input_map.values())


@pytest.mark.parametrize("model", MEMBERS, ids=lambda model: model.name)
def test_no_request_waits_for_company_and_no_queue_policy_makes_the_batcher_sleep(model: ModelSpec) -> None:
    """Batches form while an instance computes (decision 53); whom a queue keeps, and how long, is the gateway's to bound (25)."""
    config = config_of(model.name)
    batching = config.dynamic_batching
    assert config.HasField("dynamic_batching")
    assert batching.max_queue_delay_microseconds == 0
    assert not batching.HasField("default_queue_policy")
    assert not batching.priority_queue_policy


@pytest.mark.parametrize("model", MEMBERS, ids=lambda model: model.name)
def test_every_member_is_warm_before_it_is_ready(model: ModelSpec) -> None:
    """The smallest and the largest batch run once before the server says that it is ready."""
    warmups = config_of(model.name).model_warmup
    assert [warmup.batch_size for warmup in warmups] == [1, MAX_BATCH_SIZE]
    for warmup in warmups:
        given = sorted(specified(model.inputs))
        named = model_config_pb2.DataType.Name
        assert sorted((n, named(i.data_type), tuple(i.dims)) for n, i in warmup.inputs.items()) == given


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("model", ENCODERS, ids=lambda model: model.name)
def test_targets_differ_only_in_who_runs_an_encoder(model: ModelSpec, target: Target) -> None:
    """Backend, instances, artefact and the backend's own parameters change; all else stays."""
    config, local = config_of(model.name), config_of(model.name)
    retarget_encoder(config, target)
    runner = (config.backend, config.platform, config.default_model_filename)
    assert (
        runner
        == {
            "local": ("python", "", ""),
            "onnxruntime": ("onnxruntime", "", ARTEFACTS["onnxruntime"]),
            "tensorrt": ("tensorrt", "tensorrt_plan", ARTEFACTS["tensorrt"]),
        }[target]
    )
    for message in (config, local):
        for field in ("backend", "platform", "default_model_filename", "instance_group", "parameters"):
            message.ClearField(field)
    assert config == local
