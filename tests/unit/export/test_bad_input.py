"""What a user may bring wrongly to `publish`: one plain line names the file, and nothing is half-written."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from encoders.testing import write_checkpoint
from export.cli import main


def of_another_family(weights: Path) -> None:
    card = json.loads((weights / "card.json").read_text())
    (weights / "card.json").write_text(json.dumps({**card, "family": "theirs"}))


def a_checkpoint_of_bert(weights: Path) -> None:
    (weights / "config.json").write_text(json.dumps({"model_type": "bert"}))


def a_clip_without_weights(weights: Path) -> None:
    write_checkpoint(weights, "clip")
    (weights / "model.safetensors").unlink()


def truncated_weights(weights: Path) -> None:
    path = weights / "text_encoder.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def another_vocabulary(weights: Path) -> None:
    tokenizer = json.loads((weights / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"] |= {f"word{number}": number + 3 for number in range(20)}
    (weights / "tokenizer.json").write_text(json.dumps(tokenizer))


def no_tokenizer(weights: Path) -> None:
    (weights / "tokenizer.json").write_text('{"model": {"type": "Nope"}}')


def a_damaged_choice(weights: Path) -> None:
    (weights / "precisions.json").write_text("{}")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (of_another_family, "card.json: of the family 'theirs', this code reads 'vitrine-small'"),
        (a_checkpoint_of_bert, "config.json: a checkpoint of 'bert'; this code reads clip, siglip, blip-2"),
        (a_clip_without_weights, "holds no model.safetensors"),
        (truncated_weights, "text_encoder.safetensors"),
        (another_vocabulary, "tokenizer.json: has 23 tokens, and the weights embed 12"),
        (no_tokenizer, "tokenizer.json: no tokenizer of the library `tokenizers`"),
        (a_damaged_choice, "precisions.json: not as `python -m export verify --adopt` writes it"),
    ],
)
def test_publishing_what_cannot_be_used(
    weights: Path, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    """The error is one line; neither a repository nor a scratch folder is left."""
    own = Path(shutil.copytree(weights, tmp_path / "weights"))
    damage(own)
    out = tmp_path / "repository"
    result = CliRunner().invoke(main, ["publish", "--weights", str(own), "--out", str(out)])
    assert result.exit_code == 1
    (line,) = result.output.splitlines()
    assert line.startswith("Error: ")
    assert message in line
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]
