"""Replies in a language model's own words: it is given what is to be said, and says that and nothing else.

Whoever asks holds the answer against what was to be said; here it only has to lead nowhere out of the shop.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Unpack

import httpx

from rewriter.answer_schema import TEXTS
from rewriter.engines.chat.completions import Places, ServerAccess, ask, open_client
from rewriter.engines.chat.reply import form_violation
from rewriter.engines.port import EngineError, Failure
from vitrine.domain.limits import MAX_REPLY_LENGTH
from vitrine.v1 import rewrite_pb2


class ChatPhrasing:
    """Asks for one short text per reply; at most `connections` replies at once, the next one fails as busy."""

    def __init__(self, client: httpx.AsyncClient, *, model: str, max_tokens: int, connections: int) -> None:
        self._client = client
        self._model = model
        self._max_tokens = max_tokens
        self._places = Places(connections)

    async def phrase(self, request: rewrite_pb2.PhraseRequest, *, timeout_s: float) -> str:
        """Return the reply in the model's words; raises EngineError when there is none in time that may be shown."""
        document = {"say": request.reply, "language": request.locale, "shopper": request.text}
        body = {
            "model": self._model,
            "messages": [
                {"role": "system", "content": TEXTS["phrase"].strip()},
                {"role": "user", "content": json.dumps(document, ensure_ascii=False)},
            ],
            "temperature": 0,
            "max_tokens": self._max_tokens,
        }
        async with self._places.one(timeout_s=timeout_s):
            said = (await ask(self._client, body)).strip()
        if not said or len(said) > MAX_REPLY_LENGTH:
            raise EngineError(Failure.INVALID, "reply: empty or too long")
        if forbidden := form_violation(said):
            raise EngineError(Failure.INVALID, f"reply: holds {forbidden}")
        return said


@asynccontextmanager
async def open_phrasing(
    *, model: str, max_tokens: int, **server: Unpack[ServerAccess]
) -> AsyncIterator[ChatPhrasing]:
    """Open what phrases replies, behind the server whose API begins at the URL."""
    async with open_client(**server) as client:
        yield ChatPhrasing(client, model=model, max_tokens=max_tokens, connections=server["connections"])
