"""The paper's model is BLIP-2 with a LoRA and the projections into a shared space; each of its files is held to that."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional
from transformers import Blip2ForConditionalGeneration, Blip2Model

from encoders.families import CheckpointError, read_family
from encoders.paper.loading import load_paper
from encoders.testing import EMBEDDING_DIM, IMAGE_SIZE, QUERIES, TEXT_LENGTH, WORDS, write_checkpoint

IDS = torch.tensor([[2, 3, 5, 10] + [0] * (TEXT_LENGTH - 4), [2, 8, 9, 4, 10] + [0] * (TEXT_LENGTH - 5)])


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A tiny checkpoint that a test may damage."""
    write_checkpoint(tmp_path, "paper")
    return tmp_path


def merged(checkpoint: Path) -> Any:
    """The model with LoRA's products added by hand."""
    model = Blip2ForConditionalGeneration.from_pretrained(checkpoint, attn_implementation="eager").eval()
    adapter = load_file(checkpoint / "adapter_model.safetensors")
    for name, parameter in model.named_parameters():
        first = adapter.get(f"base_model.model.{name.removesuffix('.weight')}.lora_A.weight")
        if first is not None:
            second = adapter[f"base_model.model.{name.removesuffix('.weight')}.lora_B.weight"]
            parameter.data += second @ first / 2
    return model


@torch.inference_mode()
def test_a_text_is_what_the_adapted_t5_answers(checkpoint: Path) -> None:
    """The first position of the decoder, projected; the prompt is read before the words, and padding is not."""
    model = merged(checkpoint).language_model
    prompted = torch.cat([torch.full((2, 1), WORDS.index("make")), IDS], dim=1)
    answered = model(
        input_ids=prompted,
        attention_mask=(prompted != 0).long(),
        decoder_input_ids=torch.zeros((2, 1), dtype=torch.int64),
        output_hidden_states=True,
    ).decoder_hidden_states[-1][:, 0]
    weights = load_file(checkpoint / "retrieval.safetensors")
    expected = functional.normalize(
        functional.linear(answered, weights["embedding.weight"], weights["embedding.bias"])
    )
    given = load_paper(read_family(checkpoint))["text_encoder"](IDS)
    torch.testing.assert_close(given, expected, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_a_picture_is_its_query_tokens_side_by_side(checkpoint: Path) -> None:
    """Each token of the Q-Former has an equal share of the embedding."""
    family = read_family(checkpoint)
    pixels = torch.randint(0, 256, (2, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=torch.uint8)
    mean, deviation = torch.tensor(family.pixel_mean), torch.tensor(family.pixel_deviation)
    values = ((pixels / 255 - mean) / deviation).permute(0, 3, 1, 2)
    tokens = Blip2Model.from_pretrained(checkpoint).eval().get_qformer_features(pixel_values=values)
    weights = load_file(checkpoint / "retrieval.safetensors")
    shares = functional.linear(tokens - weights["centre"], weights["image.weight"], weights["image.bias"])
    assert shares.shape == (2, QUERIES, EMBEDDING_DIM // QUERIES)
    given = load_paper(family)["image_encoder"](pixels)
    torch.testing.assert_close(given, functional.normalize(shares.flatten(1)), atol=1e-5, rtol=0)


@torch.inference_mode()
def test_a_change_depends_on_picture_and_words(checkpoint: Path) -> None:
    """The fusion reads the tokens out of the reference, and gives rows of length one."""
    fusion = load_paper(read_family(checkpoint))["fusion_encoder"]
    references = functional.normalize(torch.randn(2, EMBEDDING_DIM))
    given = fusion(references, IDS)
    torch.testing.assert_close(given.norm(dim=1), torch.ones(2))
    # Far beyond the last bits: random weights read little of a picture.
    assert (given - fusion(references.flip(0), IDS)).abs().amax(1).min() > 1e-5
    assert (given * fusion(references, IDS.flip(0))).sum(1).max() < 0.9999


@torch.inference_mode()
def test_a_change_is_read_through_the_pretrained_projection(checkpoint: Path) -> None:
    """The T5 reads prompt, picture and words; the picture's tokens come out of the embedding by BLIP-2's own matrix."""
    model = merged(checkpoint)
    weights = load_file(checkpoint / "retrieval.safetensors")
    references = functional.normalize(torch.randn(2, EMBEDDING_DIM))
    shares = references.unflatten(1, (QUERIES, -1))
    tokens = (
        functional.linear(shares, weights["reference.weight"], weights["reference.bias"]) + weights["centre"]
    )
    t5 = model.language_model
    red, make = (t5.shared(torch.full((2, 1), WORDS.index(word))) for word in ("red", "make"))
    read = torch.cat([red, model.language_projection(tokens), make, t5.shared(IDS)], dim=1)
    mask = torch.cat([torch.ones(2, QUERIES + 2, dtype=torch.int64), (IDS != 0).long()], dim=1)
    answered = t5(
        inputs_embeds=read,
        attention_mask=mask,
        decoder_input_ids=torch.zeros((2, 1), dtype=torch.int64),
        output_hidden_states=True,
    ).decoder_hidden_states[-1][:, 0]
    expected = functional.normalize(
        functional.linear(answered, weights["embedding.weight"], weights["embedding.bias"])
    )
    given = load_paper(read_family(checkpoint))["fusion_encoder"](references, IDS)
    torch.testing.assert_close(given, expected, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_without_an_adapter_the_t5_is_as_it_is(checkpoint: Path) -> None:
    """A LoRA that was merged before saving needs no file."""
    before = load_paper(read_family(checkpoint))["text_encoder"](IDS)
    (checkpoint / "adapter_model.safetensors").unlink()
    (checkpoint / "adapter_config.json").unlink()
    after = load_paper(read_family(checkpoint))["text_encoder"](IDS)
    assert (before * after).sum(1).max() < 0.9999


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("retrieval.safetensors", r"retrieval\.safetensors: missing"),
        ("adapter_config.json", r"adapter_config\.json: missing; peft saves it"),
    ],
)
def test_a_missing_part_is_named(checkpoint: Path, name: str, message: str) -> None:
    """What training adds to a BLIP-2 is asked for by name."""
    (checkpoint / name).unlink()
    with pytest.raises(CheckpointError, match=message):
        load_paper(read_family(checkpoint))


@pytest.mark.parametrize("name", ["retrieval.safetensors", "adapter_model.safetensors"])
def test_a_corrupt_part_is_named(checkpoint: Path, name: str) -> None:
    """A truncated file ends with its name."""
    path = checkpoint / name
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(CheckpointError, match=name):
        load_paper(read_family(checkpoint))


def test_an_adapter_of_another_model_is_refused(checkpoint: Path) -> None:
    """A layer that the T5 does not have is named."""
    path = checkpoint / "adapter_model.safetensors"
    save_file({name.replace("block.0", "block.7"): each for name, each in load_file(path).items()}, path)
    with pytest.raises(CheckpointError, match=r"does not fit at .*block\.7"):
        load_paper(read_family(checkpoint))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"use_dora": True}, "use_dora is not merged here"), ({"r": 0}, "must give r and lora_alpha")],
)
def test_an_adapter_of_another_kind_is_refused(
    checkpoint: Path, change: dict[str, object], message: str
) -> None:
    """What plain LoRA would merge wrongly is not merged at all."""
    path = checkpoint / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CheckpointError, match=message):
        load_paper(read_family(checkpoint))


def test_another_language_model_is_refused(checkpoint: Path) -> None:
    """A BLIP-2 with an OPT has no encoder to read picture and words."""
    path = checkpoint / "config.json"
    config = json.loads(path.read_text())
    config["text_config"] = {"model_type": "opt"}
    path.write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="its language model is 'opt'; the family paper reads 't5'"):
        read_family(checkpoint)


def test_an_embedding_that_the_tokens_cannot_share_is_refused(checkpoint: Path) -> None:
    """Every query token has the same number of numbers."""
    path = checkpoint / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "num_query_tokens": 5}))
    with pytest.raises(CheckpointError, match="embeddings of 24 numbers cannot be shared by 5 query tokens"):
        read_family(checkpoint)
