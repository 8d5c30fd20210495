"""The gateway's count of tokens held against a tokenizer of the rewriter's."""

from pathlib import Path

from tokenizers import Tokenizer

from gateway.conversation.history import tokens_of

REWRITER = Path(__file__).parents[2] / "rewriter"


def test_tokens_are_counted_rather_too_high_than_too_low() -> None:
    """Over hand-written turns in four languages the count is no less than a small vocabulary needs; nor half for any."""
    tokenizer = Tokenizer.from_file(str(REWRITER / "weights/small/tokenizer.json"))
    lines = (REWRITER / "quality/turns.txt").read_text(encoding="utf-8").splitlines()
    texts = [line.split("|")[2].strip() for line in lines if line and not line.startswith("#")]
    counted = [tokens_of(text) for text in texts]
    needed = [len(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts]
    assert len(texts) > 100
    assert sum(counted) >= sum(needed)
    assert all(2 * count >= need for count, need in zip(counted, needed, strict=True))
