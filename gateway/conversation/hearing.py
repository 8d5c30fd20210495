"""Hearing what was said: its words become those of the query, before anything reads or searches them.

Who only spoke learns why nobody heard it. Who wrote or showed something besides gets that answered, and is told in
`degraded` that what was said is not in it.
"""

import re
import time
from dataclasses import dataclass, replace

from gateway.context import time_for_hop
from gateway.errors import DeadlineExceeded, FailedPrecondition, InvalidQuery, Overloaded, SpeechError
from gateway.metrics import Metrics
from gateway.model import Deadline, Transcript
from gateway.ports import Transcriber
from gateway.retrieval.query import Query, SearchResult
from gateway.texts import check_text
from vitrine.domain import limits

PART = "speech"
"""The name of this work in `degraded`."""
STAGE = "hear"

_SHARE = 0.8
"""Of a caller's time at most: after it the search must still fit."""
_LANGUAGE = re.compile(r"[a-z]{2,3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """A query with the words that were said."""

    query: Query
    heard: Transcript | None = None
    """None where nothing was said, or nobody could hear it."""
    degraded: tuple[str, ...] = ()
    seconds: float = 0.0
    """How long it took to hear it."""

    def told(self, result: SearchResult) -> SearchResult:
        """Return the result with what became of the words that were said."""
        if not self.seconds:
            return replace(result, degraded=(*result.degraded, *self.degraded)) if self.degraded else result
        timings = replace(
            result.timings,
            total_s=result.timings.total_s + self.seconds,
            stages_s={STAGE: self.seconds, **result.timings.stages_s},
        )
        return replace(result, degraded=(*result.degraded, *self.degraded), timings=timings)


class Hearing:
    """Hears recordings, where there is a speech service."""

    def __init__(
        self, transcriber: Transcriber | None, *, budget_s: float, margin_s: float, metrics: Metrics
    ) -> None:
        self._transcriber = transcriber
        self._budget_s = budget_s
        self._margin_s = margin_s
        self._metrics = metrics

    @property
    def offered(self) -> bool:
        """Whether there is a speech service."""
        return self._transcriber is not None

    async def hear(self, query: Query, audio: bytes, deadline: Deadline) -> Spoken:
        """Return the query with the words of a recording after its own; as it is without a recording.

        Raises:
            InvalidQuery: the recording cannot be decoded or breaks a limit, or nothing in it was understood and there is
                nothing else to search by.
            SpeechError, DeadlineExceeded, Overloaded, FailedPrecondition: nobody could hear it, and there is nothing else.
        """
        if not audio:
            return Spoken(query=query)
        started = time.perf_counter()
        alone = not (query.text or query.image or query.product_id)
        try:
            heard = await self._ask(audio, query.locale, deadline)
        except (SpeechError, DeadlineExceeded, Overloaded, FailedPrecondition) as error:
            if alone:
                raise
            self._metrics.degraded.labels(PART, _reason(error)).inc()
            return Spoken(query=query, degraded=(PART,), seconds=time.perf_counter() - started)
        if heard.text:
            text = check_text("text", f"{query.text} {heard.text}", limit=limits.MAX_QUERY_LENGTH)
            query = replace(query, text=text, typed=text)
        elif alone:
            raise InvalidQuery("audio", "nothing was understood in it: say it again, or write it")
        else:
            self._metrics.degraded.labels(PART, "nothing").inc()
        return Spoken(
            query=query,
            heard=heard,
            degraded=() if heard.text else (PART,),
            seconds=time.perf_counter() - started,
        )

    async def _ask(self, audio: bytes, locale: str, deadline: Deadline) -> Transcript:
        if self._transcriber is None:
            raise FailedPrecondition(
                "audio: nobody hears here: the setting GATEWAY_SPEECH names no speech service"
            )
        timeout_s = min(self._budget_s, _SHARE * time_for_hop(deadline, margin_s=self._margin_s))
        with self._metrics.dependency("speech"):
            heard = await self._transcriber.transcribe(
                audio, language=locale.partition("-")[0].lower(), timeout_s=timeout_s
            )
        return _checked(heard)


def _checked(heard: Transcript) -> Transcript:
    """Return what was heard within the limits: what hears may be anybody's server."""
    words = "".join(each if each.isprintable() else " " for each in heard.text)
    text = " ".join(words.split())[: limits.MAX_TRANSCRIPT_LENGTH].strip()
    language = heard.language if _LANGUAGE.fullmatch(heard.language) else ""
    return Transcript(text=text, language=language, seconds=min(max(0.0, heard.seconds), limits.MAX_AUDIO_S))


def _reason(error: Exception) -> str:
    """Return what the metric calls the reason, as the rewriter's does."""
    match error:
        case DeadlineExceeded():
            return "late"
        case Overloaded():
            return "busy"
        case FailedPrecondition():
            return "absent"
    return "unavailable"
