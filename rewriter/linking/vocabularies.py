"""Vocabularies: the values of catalogues that have more of them than requests list, learnt once and named by their digest."""

import asyncio
import hashlib
import logging
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from google.protobuf.message import DecodeError

from rewriter.checks import InvalidRequest
from rewriter.linking.meanings import keep
from rewriter.linking.turn import Catalogue
from rewriter.nlu.lexicon import IsCommon, build_lexicon
from rewriter.synonyms import Synonyms
from vitrine.domain import limits
from vitrine.domain.messages import read_schema_message
from vitrine.domain.schema import Schema, SchemaError
from vitrine.process.logs import log_event
from vitrine.v1 import rewrite_pb2

_KEPT = 4
"""Vocabularies that are kept, those asked for last."""

_WAITING = 4
"""Vocabularies that wait to be learnt, the one that is being learnt among them."""

_logger = logging.getLogger(__name__)


class TooManyVocabularies(Exception):  # noqa: N818 - refused at the door; no work was done
    """As many vocabularies wait to be learnt as may."""


class Vocabularies:
    """Learns vocabularies, one at a time in a thread, and keeps the last ones."""

    def __init__(self, *, is_common: IsCommon | None, synonyms: Synonyms) -> None:
        self._learn = partial(_learnt, is_common=is_common, synonyms=synonyms)
        self._learnt: OrderedDict[bytes, Catalogue] = OrderedDict()
        self._learning: dict[bytes, asyncio.Future[Catalogue]] = {}
        self._thread = ThreadPoolExecutor(1, "links-vocabularies")

    def get(self, digest: bytes, schema: Schema) -> Catalogue | None:
        """Return what was learnt under a digest; None for nothing, or where it was learnt by another schema."""
        catalogue = self._learnt.get(digest)
        if catalogue is None or catalogue.lexicon.schema.digest != schema.digest:
            return None
        self._learnt.move_to_end(digest)
        return catalogue

    async def learn(self, digest: bytes, data: bytes) -> tuple[Catalogue, bool]:
        """Return the catalogue of a serialised vocabulary, and whether it was not known before.

        A caller that gives up leaves the learning to end by itself.

        Raises:
            InvalidRequest: names the field that breaks a rule, and the rule.
            TooManyVocabularies: others wait to be learnt.
        """
        if digest in self._learnt:
            self._learnt.move_to_end(digest)
            return self._learnt[digest], False
        if digest not in self._learning:
            if len(self._learning) >= _WAITING:
                raise TooManyVocabularies
            made = asyncio.get_running_loop().run_in_executor(self._thread, self._learn, digest, data)
            self._learning[digest] = made
            made.add_done_callback(partial(self._ended, digest))
        return await asyncio.shield(self._learning[digest]), True

    def close(self) -> None:
        """Stop learning; what is under way is left to end by itself."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _ended(self, digest: bytes, made: "asyncio.Future[Catalogue]") -> None:
        del self._learning[digest]
        if not made.cancelled() and made.exception() is None:
            keep(self._learnt, digest, made.result(), _KEPT)


def _learnt(digest: bytes, data: bytes, *, is_common: IsCommon | None, synonyms: Synonyms) -> Catalogue:
    """Check a vocabulary and gather what words are held against."""
    began = time.perf_counter()
    if len(data) > limits.MAX_VOCABULARY_BYTES:
        raise InvalidRequest(
            "vocabulary", f"at most {limits.MAX_VOCABULARY_BYTES:,} bytes, got {len(data):,}"
        )
    if hashlib.sha256(data).digest() != digest:
        raise InvalidRequest("digest", "must be the SHA-256 of the vocabulary")
    try:
        vocabulary = rewrite_pb2.Vocabulary.FromString(data)
        schema = read_schema_message(vocabulary.schema)
    except DecodeError:
        raise InvalidRequest("vocabulary", "must be a Vocabulary, serialised") from None
    except SchemaError as error:
        raise InvalidRequest("vocabulary.schema", error.reason) from None
    values = sum(len(facet.values) for facet in vocabulary.facets)
    if values > limits.MAX_VOCABULARY_VALUES:
        raise InvalidRequest(
            "vocabulary.facets", f"at most {limits.MAX_VOCABULARY_VALUES:,} values, got {values:,}"
        )
    lexicon = build_lexicon(vocabulary.facets, schema, is_common=is_common, synonyms=synonyms.of(schema.name))
    catalogue = Catalogue.of(lexicon)
    seconds = round(time.perf_counter() - began, 2)
    log_event(_logger, logging.INFO, "vocabulary_learnt", values=values, seconds=seconds)
    return catalogue
