"""Text to tokens and back, and the grammar that leaves the model nothing but a plan's choices."""

import json
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path

from llguidance import LLMatcher, LLTokenizer
from tokenizers import Tokenizer

from rewriter.engines.model.plan import plan_schema
from rewriter.engines.model.prompt import END, tokens_of_prompts

MAX_PROMPT_TOKENS = 160
_GRAMMARS = 512
"""Grammars kept, by the marks of their turns."""


class PromptTooLong(ValueError):  # noqa: N818 - a fact about the turn
    """The turn has more tokens than the model is made for."""


class Tokens:
    """The model's tokenizer, and the matchers that hold its answers to the schema."""

    def __init__(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        self._tokenizer = Tokenizer.from_str(text)
        # What a shopper types is never a special token, however it looks.
        self._tokenizer.encode_special_tokens = True
        # Special tokens come first in the vocabulary, in this order.
        self._special = {token: number for number, token in enumerate(tokens_of_prompts())}
        assert all(self._tokenizer.token_to_id(token) == number for token, number in self._special.items())
        self.end = self._special[END]
        self.size = self._tokenizer.get_vocab_size()
        self._guide = LLTokenizer(text, eos_token=self.end)
        self._grammars: OrderedDict[tuple[str, ...], LLMatcher] = OrderedDict()

    def encode(self, parts: Iterable[tuple[str, bool]]) -> list[int]:
        """Return the tokens of a prompt's parts; raises PromptTooLong."""
        ids: list[int] = []
        words: list[str] = []
        for text, special in parts:
            if not special:
                words.append(text)
                continue
            ids += self._encode_words(words)
            words = []
            ids.append(self._special[text])
        ids += self._encode_words(words)
        if len(ids) > MAX_PROMPT_TOKENS:
            raise PromptTooLong(f"{len(ids)} tokens of at most {MAX_PROMPT_TOKENS}")
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of an answer's tokens."""
        return str(self._tokenizer.decode([token for token in ids if token != self.end]))

    def token_text(self, token: int) -> bytes:
        """Return the bytes of a token."""
        return bytes(self._guide.decode_bytes([token]))

    def matcher(self, marks: tuple[str, ...]) -> LLMatcher:
        """Return a matcher for the plan of a turn with these marks, at its beginning."""
        grammar = self._grammars.get(marks)
        if grammar is None:
            schema = json.dumps(plan_schema(marks))
            grammar = LLMatcher(self._guide, LLMatcher.grammar_from_json_schema(schema))
            assert not grammar.is_error(), grammar.get_error()
            self._grammars[marks] = grammar
            if len(self._grammars) > _GRAMMARS:
                self._grammars.popitem(last=False)
        self._grammars.move_to_end(marks)
        return grammar.deep_copy()

    def _encode_words(self, words: Sequence[str]) -> list[int]:
        if not words:
            return []
        return list(self._tokenizer.encode(" " + " ".join(words), add_special_tokens=False).ids)
