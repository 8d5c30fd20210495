"""The template around the words: what the T5 reads before a text, and around a picture that a text changes."""

import json
from dataclasses import asdict, dataclass

from tokenizers import Tokenizer

from encoders.families import CheckpointError
from encoders.paper.networks import PromptIds

WORDS, PICTURE = "{words}", "{picture}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    """Two templates; the words come last, since the tokenizer ends them with the T5's end of text."""

    text: str = "Product: {words}"
    change: str = "Picture: {picture} Change: {words}"

    def ids(self, tokenizer: Tokenizer) -> PromptIds:
        """Return the token ids of the fixed parts.

        Raises:
            CheckpointError: a template does not end with its words, or that of a change names no picture.
        """
        if not self.text.endswith(WORDS) or not self.change.endswith(WORDS):
            raise CheckpointError(f"prompt: {self.text!r} and {self.change!r} must end with {WORDS}")
        before, found, after = self.change.removesuffix(WORDS).partition(PICTURE)
        if not found:
            raise CheckpointError(f"prompt: {self.change!r} must name {PICTURE}")
        return PromptIds(
            text=_ids(self.text.removesuffix(WORDS), tokenizer),
            before_picture=_ids(before, tokenizer),
            after_picture=_ids(after, tokenizer),
        )

    def to_json(self) -> str:
        """Return the templates as they stand in a file's metadata."""
        return json.dumps(asdict(self))


NO_PROMPTS = Prompts(text=WORDS, change=PICTURE + WORDS)
"""What weights have that name no templates."""


def read_prompts(content: str | None) -> Prompts:
    """Read the templates of a file's metadata; without them there are none.

    Raises:
        CheckpointError: they are not as `to_json` writes them.
    """
    if content is None:
        return NO_PROMPTS
    try:
        return Prompts(**json.loads(content))
    except (TypeError, ValueError):
        raise CheckpointError(
            f"prompts: {content!r} are not as `python -m encoders train` writes them"
        ) from None


def _ids(text: str, tokenizer: Tokenizer) -> tuple[int, ...]:
    if not text.strip():
        return ()
    plain = Tokenizer.from_str(tokenizer.to_str())
    plain.no_padding()
    plain.no_truncation()
    return tuple(plain.encode(text.strip(), add_special_tokens=False).ids)
