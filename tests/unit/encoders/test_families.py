"""A folder's family and everything that follows from it are read from the folder alone."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from encoders.families import CheckpointError, Family, open_tokenizer, read_family
from encoders.paper.loading import load_paper
from encoders.pretrained import load_pretrained
from encoders.testing import (
    EMBEDDING_DIM,
    FAMILIES,
    IMAGE_SIZE,
    TEXT_LENGTH,
    WORDS,
    FamilyName,
    write_checkpoint,
)
from vitrine.preprocess import Tokenizer
from vitrine.tensors import Dimensions

SMALL = Path(__file__).parents[3] / "encoders/weights/small"


@pytest.fixture(params=FAMILIES)
def checkpoint(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A tiny checkpoint that a test may damage."""
    write_checkpoint(tmp_path, request.param)
    return tmp_path


def load(family: Family) -> object:
    return load_paper(family) if family.name == "paper" else load_pretrained(family)


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_the_committed_weights_are_of_the_default_dimensions() -> None:
    """`small` is the family whose dims vitrine.tensors names."""
    family = read_family(SMALL)
    assert (family.name, family.dimensions) == ("vitrine-small", Dimensions())
    assert family.vocabulary == 707
    assert list(family.weights) == ["image_encoder", "text_encoder", "fusion_encoder"]


def test_a_checkpoint_says_its_dimensions(checkpoint: Path) -> None:
    """Image size, text length, embedding length and normalisation come from its files."""
    family = read_family(checkpoint)
    assert family.dimensions == Dimensions(
        image_size=IMAGE_SIZE, text_length=TEXT_LENGTH, embedding_dim=EMBEDDING_DIM
    )
    assert family.pixel_mean == (0.48, 0.46, 0.41)
    assert family.pixel_deviation == (0.27, 0.26, 0.28)
    assert set(family.weights) == {path.stem for path in checkpoint.glob("*.safetensors")}


def test_the_tokenizer_pads_as_the_checkpoint_says(checkpoint: Path) -> None:
    """Marks around a text stay, and the rest is the padding token up to the family's length."""
    tokenizer = Tokenizer(open_tokenizer(read_family(checkpoint)).to_str())
    pad, bos, eos = (WORDS.index(word) for word in ("[PAD]", "[BOS]", "[EOS]"))
    (ids,) = tokenizer(["red dress"]).tolist()
    assert ids == [bos, 3, 5, eos] + [pad] * (TEXT_LENGTH - 4)
    (long,) = tokenizer(["red " * 50]).tolist()
    assert (len(long), long[-1]) == (TEXT_LENGTH, eos)


@pytest.mark.parametrize("name", ["clip", "siglip"])
@torch.inference_mode()
def test_networks_give_what_the_model_gives(tmp_path: Path, name: FamilyName) -> None:
    """Pixels are normalised as the checkpoint's own processor would, and embeddings to length one."""
    write_checkpoint(tmp_path, name)
    checkpoint = tmp_path
    family = read_family(checkpoint)
    parts = load_pretrained(family)
    model = AutoModel.from_pretrained(checkpoint)
    pixels = torch.randint(0, 256, (3, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=torch.uint8)
    mean, deviation = torch.tensor(family.pixel_mean), torch.tensor(family.pixel_deviation)
    values = ((pixels / 255 - mean) / deviation).permute(0, 3, 1, 2)
    expected = model.get_image_features(pixel_values=values).pooler_output
    given = parts["image_encoder"](pixels)
    assert torch.nn.functional.cosine_similarity(given, expected).min() > 0.99999
    assert torch.allclose(given.norm(dim=1), torch.ones(3))
    ids = torch.from_numpy(Tokenizer(open_tokenizer(family).to_str())(["red dress", "blue bag", ""]))
    texts = parts["text_encoder"](ids)
    expected = model.get_text_features(input_ids=ids).pooler_output
    assert torch.nn.functional.cosine_similarity(texts, expected).min() > 0.99999
    composed = parts["fusion_encoder"](given, ids)
    assert torch.allclose(composed, torch.nn.functional.normalize(given + texts, dim=1), atol=1e-6)


def test_another_family_is_named(checkpoint: Path) -> None:
    """A checkpoint of a model that Vitrine cannot serve says what it is and what is served."""
    edit(checkpoint / "config.json", model_type="bert")
    with pytest.raises(
        CheckpointError, match=r"config\.json: a checkpoint of 'bert'; .* clip, siglip, blip-2"
    ):
        read_family(checkpoint)


def test_a_tokenizer_of_other_weights_is_refused(checkpoint: Path) -> None:
    """A token that the weights have no row for would crash the server."""
    tokenizer = json.loads((checkpoint / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["another"] = len(WORDS)
    (checkpoint / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(CheckpointError, match="has 12 tokens, and the weights embed 11"):
        read_family(checkpoint)


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        '{"model": {"type": "Nope"}}',
        '{"model": {"type": "WordLevel", "vocab": {"a": 0}}, "padding": 3}',
    ],
)
def test_json_that_is_no_tokenizer_is_named(checkpoint: Path, content: str) -> None:
    """What the library cannot read ends with the file's name and the library's reason."""
    (checkpoint / "tokenizer.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: no tokenizer of the library"):
        read_family(checkpoint)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vision_config": {"image_size": "large"}}, r"config\.json: .*image_size"),
        ({"vision_config": {"image_size": 0}}, "image_size must be a whole number above 0, got 0"),
        ({"text_config": 5}, r"config\.json: .*text_config"),
    ],
)
def test_a_configuration_without_sense_is_named(
    checkpoint: Path, change: dict[str, Any], message: str
) -> None:
    """Whatever config.json says wrongly, it is named with the field."""
    edit(checkpoint / "config.json", **change)
    with pytest.raises(CheckpointError, match=f"(?s){message}"):
        read_family(checkpoint)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tokenizer.json", r"tokenizer\.json: missing"),
        ("preprocessor_config.json", r"preprocessor_config\.json: missing"),
        ("tokenizer_config.json", r"tokenizer_config\.json: missing"),
        ("model.safetensors", "holds no model.safetensors"),
    ],
)
def test_a_missing_file_is_named(checkpoint: Path, name: str, message: str) -> None:
    """Whatever the checkpoint lacks, its file is named."""
    (checkpoint / name).unlink()
    with pytest.raises(CheckpointError, match=message):
        read_family(checkpoint)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "preprocessor_config.json"])
def test_a_corrupt_file_is_named(checkpoint: Path, name: str) -> None:
    """Bytes that are no JSON end with the file's name."""
    (checkpoint / name).write_text("{")
    with pytest.raises(CheckpointError, match=name.replace(".", r"\.")):
        read_family(checkpoint)


def test_a_normalisation_of_other_channels_is_refused(checkpoint: Path) -> None:
    """Three channels need three numbers."""
    edit(checkpoint / "preprocessor_config.json", image_mean=[0.5])
    with pytest.raises(CheckpointError, match="must give image_mean and image_std"):
        read_family(checkpoint)


def test_a_saved_processor_gives_the_normalisation(checkpoint: Path) -> None:
    """Transformers 5 saves it inside of processor_config.json."""
    path = checkpoint / "preprocessor_config.json"
    stated = json.loads(path.read_text())
    path.unlink()
    (checkpoint / "processor_config.json").write_text(json.dumps({"image_processor": stated}))
    assert read_family(checkpoint).pixel_mean == (0.48, 0.46, 0.41)
    (checkpoint / "processor_config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"processor_config\.json: must give image_mean"):
        read_family(checkpoint)


def test_corrupt_weights_are_named(checkpoint: Path) -> None:
    """A truncated file of weights is no model."""
    path = checkpoint / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    family = read_family(checkpoint)
    with pytest.raises(CheckpointError, match=str(checkpoint)):
        load(family)


def test_missing_tensors_are_named(checkpoint: Path) -> None:
    """A tensor that would be drawn at random is an error."""
    path = checkpoint / "model.safetensors"
    tensors = load_file(path)
    dropped = max(tensors)
    save_file({name: each for name, each in tensors.items() if name != dropped}, path, {"format": "pt"})
    with pytest.raises(CheckpointError, match=f"1 tensors are missing, the first is {dropped}"):
        load(read_family(checkpoint))
