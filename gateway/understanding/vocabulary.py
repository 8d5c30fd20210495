"""The values of a catalogue that has more of them than a request lists: the rewriter learns them once, and turns name them.

A rewriter that never heard of vocabularies reads what the requests list, and so does one that is still learning. Several of
them stand behind one address: whichever answers that it does not know what is named has the others asked after too.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, zip_longest

from gateway.errors import DeadlineExceeded
from gateway.model import Deadline, FieldSummary
from gateway.ports import Rewriter, RewriterUnavailable
from vitrine.domain import limits
from vitrine.domain.messages import schema_message
from vitrine.domain.schema import KEYWORD_KINDS, Schema
from vitrine.v1 import rewrite_pb2

LEARN_S = 60.0
"""For a rewriter to learn a vocabulary, behind the turns."""
CHANGED_EVERY_S = 30.0
"""Between two vocabularies: values come and go while products are written."""
REFUSED_S = 60.0
"""After a rewriter did not take a vocabulary, as one of an older release does not."""
_DESCRIBE_S = 5.0
_ASKED = 8
"""Rewriters behind one address that are asked in a row, for the one that lacks what turns name."""
_VALUES_BYTES = limits.MAX_VOCABULARY_BYTES - 2 * limits.MAX_SCHEMA_BYTES
_FRAME_BYTES = 4
"""Of a value in a message, beside the value."""

Describe = Callable[[Deadline], Awaitable[tuple[Schema, tuple[FieldSummary, ...]]]]
"""Returns the schema of the index and what it holds of its fields, within the time."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """All values of a catalogue that words may be linked to."""

    schema: Schema
    data: bytes
    digest: bytes

    @classmethod
    def of(cls, schema: Schema, fields: Sequence[FieldSummary]) -> "Vocabulary | None":
        """Return the vocabulary of a catalogue; None where requests list all of its values.

        Of too many values, each field has as many as the others, its most frequent ones. The order of frequency is not told:
        it changes with every product that is written.
        """
        owned = [
            each
            for each in fields
            if (owner := schema.filtered.get(each.name)) and owner.kind in KEYWORD_KINDS
        ]
        if not any(field.rest for field in owned):
            return None
        kept: dict[str, list[str]] = {}
        left = _VALUES_BYTES
        for name, value in islice(_by_rank(owned), limits.MAX_VOCABULARY_VALUES):
            left -= len(value.encode()) + _FRAME_BYTES
            if left < 0:
                break
            kept.setdefault(name, []).append(value)
        message = rewrite_pb2.Vocabulary(
            schema=schema_message(schema),
            facets=[rewrite_pb2.Facet(field=name, values=sorted(values)) for name, values in kept.items()],
        )
        data = message.SerializeToString(deterministic=True)
        return cls(schema, data, hashlib.sha256(data).digest())


class Vocabularies:
    """Has the rewriter learn the catalogue's vocabulary; `keep` is called again and again, beside the calls."""

    def __init__(
        self, rewriter: Rewriter | None, describe: Describe, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rewriter = rewriter
        self._describe = describe
        self._clock = clock
        self._seen: tuple[Schema, tuple[FieldSummary, ...]] | None = None
        self._vocabulary: Vocabulary | None = None
        """Of the catalogue as it was last seen."""
        self._learnt: Vocabulary | None = None
        """What turns name: it was learnt by a rewriter at least."""
        self._is_missed = False
        self._changed_at = self._refused_at = float("-inf")

    def named(self, schema: Schema) -> bytes:
        """Return the digest that a turn by this schema names; empty for none."""
        learnt = self._learnt
        return learnt.digest if learnt is not None and learnt.schema.digest == schema.digest else b""

    def missed(self) -> None:
        """Note that a rewriter does not know what was named, as one that started since."""
        self._is_missed = True

    async def keep(self) -> None:
        """Have the rewriter learn the values where they have changed, or where one of several rewriters lacks them."""
        if self._rewriter is None:
            return
        seen = await self._describe(Deadline.after(_DESCRIBE_S))
        if self._seen is None or any(old is not new for old, new in zip(self._seen, seen, strict=True)):
            self._vocabulary = await asyncio.to_thread(Vocabulary.of, *seen)
            self._seen = seen
        if self._vocabulary is None:
            self._learnt = None
        elif self._clock() >= self._refused_at + REFUSED_S:
            try:
                await self._teach(self._rewriter, self._vocabulary)
            except (RewriterUnavailable, DeadlineExceeded):
                self._refused_at = self._clock()

    async def _teach(self, rewriter: Rewriter, vocabulary: Vocabulary) -> None:
        """Send a vocabulary that is new to one rewriter; one that a rewriter lacks, to one after the other until it is found."""
        learnt = self._learnt
        changed = learnt is None or learnt.digest != vocabulary.digest
        if changed and (learnt is None or self._clock() >= self._changed_at + CHANGED_EVERY_S):
            await rewriter.learn(_request(vocabulary), timeout_s=LEARN_S)
            self._learnt, self._changed_at = vocabulary, self._clock()
        elif learnt is not None and self._is_missed:
            self._is_missed = False
            for _ in range(_ASKED):
                if await rewriter.learn(_request(learnt), timeout_s=LEARN_S):
                    return


def _request(vocabulary: Vocabulary) -> rewrite_pb2.LearnRequest:
    return rewrite_pb2.LearnRequest(digest=vocabulary.digest, vocabulary=vocabulary.data)


def _by_rank(fields: Sequence[FieldSummary]) -> Iterator[tuple[str, str]]:
    """Yield the values of every field, each with its field's name: the most frequent ones of all fields first."""
    for values in zip_longest(*(chain(field.values, field.rest) for field in fields)):
        yield from (
            (field.name, value)
            for field, value in zip(fields, values, strict=True)
            if value is not None and len(value) <= limits.MAX_LINKED_LENGTH
        )
