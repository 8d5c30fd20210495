"""Texts become rows of token ids of one length."""

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer as Library
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from vitrine.preprocess import PAD_ID, Tokenizer
from vitrine.tensors import TEXT_LENGTH


@pytest.fixture
def tokenizer(tmp_path: Path) -> Tokenizer:
    library = Library(WordLevel({"[PAD]": 0, "[UNK]": 1, "red": 2, "dress": 3}, unk_token="[UNK]"))
    library.pre_tokenizer = Whitespace()
    path = tmp_path / "tokenizer.json"
    library.save(str(path))
    return Tokenizer.from_file(path)


def test_texts_are_padded(tokenizer: Tokenizer) -> None:
    """Every row has TEXT_LENGTH int64 ids; what the text leaves over is padding."""
    ids = tokenizer(["red dress", "blue"])
    assert ids.shape == (2, TEXT_LENGTH)
    assert ids.dtype == np.int64
    assert ids[0, :3].tolist() == [2, 3, PAD_ID]
    assert ids[1, :2].tolist() == [1, PAD_ID]


def test_long_texts_are_cut(tokenizer: Tokenizer) -> None:
    """Words beyond TEXT_LENGTH are dropped."""
    assert tokenizer(["red " * 500]).tolist() == [[2] * TEXT_LENGTH]


def test_row_does_not_depend_on_its_neighbours(tokenizer: Tokenizer) -> None:
    """A text alone has the ids that it has in a batch."""
    np.testing.assert_array_equal(tokenizer(["red dress", "red " * 50])[:1], tokenizer(["red dress"]))


def test_no_text_and_empty_text(tokenizer: Tokenizer) -> None:
    """No texts give no rows; an empty text is all padding."""
    assert tokenizer([]).shape == (0, TEXT_LENGTH)
    assert (tokenizer([""]) == PAD_ID).all()


def test_a_text_that_is_cut_is_told(tokenizer: Tokenizer) -> None:
    """A text that fills every place is whole; one word more is cut."""
    token_ids, cut = tokenizer.encode(["red", "red " * TEXT_LENGTH, "red " * (TEXT_LENGTH + 1)])
    assert token_ids.shape == (3, TEXT_LENGTH)
    assert cut.tolist() == [False, False, True]
