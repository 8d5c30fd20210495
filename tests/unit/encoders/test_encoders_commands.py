"""The commands leave usable weights, and say in a line what is wrong."""

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from catalogue.splits import make_splits
from encoders.__main__ import main
from encoders.checkpoint import TOKENIZER_FILE, load_encoders, read_card
from encoders.train import train
from encoders.training import Settings
from vitrine.preprocess import Tokenizer


@pytest.mark.slow
def test_a_training_run_leaves_weights_tokenizer_card_and_plot(tmp_path: Path) -> None:
    """What `make train` writes can be loaded and says how it came to be."""
    settings = Settings(
        seed=3, joint_steps=1, joint_clusters=2, text_steps=1, fusion_steps=1, fixed_clusters=2, views=1
    )
    split = make_splits(seed=3, train_clusters=3, test_clusters=1, seen_clusters=1).train
    train(tmp_path / "weights", tmp_path / "work", settings, split)
    encoders = load_encoders(tmp_path / "weights")
    token_ids = Tokenizer.from_file(tmp_path / "weights" / TOKENIZER_FILE)(["red dress"])
    assert token_ids.max() < encoders.sizes.vocabulary
    assert encoders.text(torch.from_numpy(token_ids)).isfinite().all()
    card = read_card(tmp_path / "weights")
    assert card["training"]["seed"] == 3
    assert card["training"]["captions"] == 12
    assert card["environment"]["torch"] == torch.__version__
    assert set(card["losses"]) >= {"joint: caption", "fusion: image"}
    assert (tmp_path / "weights" / "loss.png").exists()


def test_evaluating_what_is_not_there_ends_in_one_line(tmp_path: Path) -> None:
    """Missing weights are an error message and an exit status, not a traceback."""
    result = CliRunner().invoke(main, ["evaluate", "--weights", str(tmp_path)])
    assert result.exit_code == 1
    assert result.output.splitlines() == [f"Error: {tmp_path}/card.json: missing; `make train` writes it"]
