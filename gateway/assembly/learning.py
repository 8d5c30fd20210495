"""Learnt ranking put together: the file of the ranker, and what answers are kept of for the next one."""

import logging
from pathlib import Path

from gateway.logs import log_event
from gateway.retrieval.ranker import LEARNT, Learning
from gateway.retrieval.ranker_file import UnusableRanker, read_ranker
from gateway.settings import Settings
from vitrine.process.settings import InvalidSettings

_logger = logging.getLogger(__name__)


def open_learning(settings: Settings) -> Learning | None:
    """Return what ranks by a model and keeps features; None where neither is wanted, so that a search does nothing more.

    Raises:
        InvalidSettings: the ranker's file may not serve.
    """
    ranker = None
    if settings.ranker and settings.learnt_share > 0:
        try:
            ranker, card = read_ranker(Path(settings.ranker))
        except UnusableRanker as error:
            raise InvalidSettings(f"GATEWAY_RANKER: {error}") from error
        log_event(_logger, logging.INFO, "ranker", trained=card.get("trained"), held_out=card.get("held_out"))
    keeps = settings.keeps_events and settings.answer_log_entries > 0
    if ranker is None and not keeps:
        return None
    return Learning(
        ranker=ranker,
        keeps_features=keeps,
        freshness_field=settings.freshness_field,
        exploration_share=settings.exploration_share if keeps else 0.0,
    )


def learnt_share(settings: Settings) -> dict[str, float]:
    """Return the share of the signal where there is a ranker, as answers tell it."""
    return {LEARNT: settings.learnt_share} if settings.ranker else {}
