"""The engine behind an OpenAI-compatible server: vLLM, llama.cpp, TGI, SGLang or a hosted one."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NotRequired, TypedDict, Unpack

import httpx

from rewriter.answer_schema import answer_form
from rewriter.catalogues import schema_of
from rewriter.engines.chat.prompt import Ids, messages, parse
from rewriter.engines.port import EngineError, Failure
from rewriter.engines.rules.decide import more_of
from rewriter.nlu.lexicon import LexiconCache
from vitrine.process.authorities import Authorities
from vitrine.process.secrets import Secret, bearer
from vitrine.process.tracing import hop_context, span
from vitrine.v1 import rewrite_pb2

MAX_ANSWER_BYTES = 64 * 1024


class ServerAccess(TypedDict):
    """How the server is reached."""

    url: str
    """Where its API begins."""
    api_key: Secret
    connections: int
    """At once."""
    authorities: NotRequired[Authorities | None]
    """Who may sign its certificate; None: the usual ones."""


class ChatCompletions:
    """Asks for one JSON object per turn; at most `connections` turns at once, the next one fails as busy."""

    def __init__(self, client: httpx.AsyncClient, *, model: str, max_tokens: int, connections: int) -> None:
        self._client = client
        self._model = model
        self._max_tokens = max_tokens
        self._places = Places(connections)
        self._lexicons = LexiconCache()

    @property
    def version(self) -> str:
        """Return the name of the model; which weights the server has under that name, it alone knows."""
        return self._model

    async def rewrite(self, request: rewrite_pb2.RewriteRequest, *, timeout_s: float) -> rewrite_pb2.Rewrite:
        """Return the model's reading of the turn; raises EngineError when there is no valid one in time.

        A turn that asks for the next page needs no model.
        """
        lexicon = self._lexicons.get(request.facets, schema_of(request))
        if (rewrite := more_of(request, lexicon)) is not None:
            return rewrite
        ids = Ids.of(request)
        body = {
            "model": self._model,
            "messages": messages(request, ids),
            "temperature": 0,
            "max_tokens": self._max_tokens,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "rewrite", "strict": True, "schema": answer_form(request).schema},
            },
        }
        async with self._places.one(timeout_s=timeout_s):
            content = await ask(self._client, body)
        return parse(content, request, ids, source=self._model)


async def ask(client: httpx.AsyncClient, body: Mapping[str, Any]) -> str:
    """Send a prompt to a server of chat completions and return its message.

    Raises:
        EngineError: another status, an answer that is too long, or none.
    """
    async with client.stream("POST", "chat/completions", json=body, headers=dict(hop_context())) as response:
        if response.status_code != httpx.codes.OK:
            raise EngineError(Failure.STATUS, str(response.status_code))
        answer = bytearray()
        async for chunk in response.aiter_bytes():
            answer += chunk
            if len(answer) > MAX_ANSWER_BYTES:
                raise EngineError(Failure.TOO_LONG, f"over {MAX_ANSWER_BYTES} bytes")
        return _content(bytes(answer))


class Places:
    """The calls that may be made at once; one more fails as busy, and a late or failed one by its reason."""

    def __init__(self, places: int) -> None:
        self._free = places

    @asynccontextmanager
    async def one(self, *, timeout_s: float) -> AsyncIterator[None]:
        """Hold a place for a call.

        Raises:
            EngineError: there is none, the time is over, or the server cannot be reached.
        """
        if self._free <= 0:
            raise EngineError(Failure.BUSY)
        self._free -= 1
        try:
            with span("model chat/completions", **{"peer.service": "model"}):
                async with asyncio.timeout(timeout_s):
                    yield
        except TimeoutError:
            raise EngineError(Failure.TIMEOUT) from None
        except httpx.HTTPError as error:
            raise EngineError(Failure.UNREACHABLE, type(error).__name__) from error
        finally:
            self._free += 1


@asynccontextmanager
async def open_client(**server: Unpack[ServerAccess]) -> AsyncIterator[httpx.AsyncClient]:
    """Hold the connections to the server whose API begins at the URL."""
    connections, authorities = server["connections"], server.get("authorities")
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    # No timeout of httpx: the whole call has one, and httpx would only bound the gaps between its parts.
    async with httpx.AsyncClient(
        base_url=server["url"],
        auth=bearer(server["api_key"]),
        limits=limits,
        timeout=None,  # noqa: S113 - as said above
        trust_env=False,
        **(authorities.options if authorities is not None else {}),
    ) as client:
        yield client


@asynccontextmanager
async def open_chat_completions(
    *, model: str, max_tokens: int, **server: Unpack[ServerAccess]
) -> AsyncIterator[ChatCompletions]:
    """Open the engine behind the server whose API begins at the URL."""
    async with open_client(**server) as client:
        yield ChatCompletions(client, model=model, max_tokens=max_tokens, connections=server["connections"])


def _content(answer: bytes) -> str:
    """Take the message out of the server's answer; one that was cut off is none."""
    try:
        body: Any = json.loads(answer)
    except ValueError:
        raise EngineError(Failure.NOT_JSON, "the server's own answer") from None
    match body:
        case {"choices": [{"finish_reason": "length"}, *_]}:
            raise EngineError(Failure.TOO_LONG, "finish_reason=length")
        case {"choices": [{"message": {"content": str(content)}}, *_]}:
            return content
        case _:
            raise EngineError(Failure.SCHEMA, "the server's own answer")
