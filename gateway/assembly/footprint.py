"""How much memory a gateway needs at most, held against what it may have before it serves.

The sum is of what its settings let in at the same time; what it came to under the largest requests is in
docs/decisions/0018. What a catalogue itself costs, the values of its fields above all, is in the base.
"""

from pathlib import Path

from gateway.retrieval.results import MAX_KEPT_HITS
from gateway.settings import MEMORY, PREFIX, Settings
from gateway.sponsoring.candidates import MAX_OFFERS
from gateway.sponsoring.caps import MAX_COUNTS
from vitrine.domain import limits
from vitrine.process.settings import InvalidSettings, variable

BASE = 200_000_000
"""Of the process with its libraries, its threads and the summary of a catalogue, and of the products and answers that were
shown of late: `gateway.memory.KEPT_PRODUCTS` and `gateway.api.responses.MAX_REPEATED`."""
COPIES = 4
"""Of a request that is answered: its message, its fields, and what is sent to Triton."""
WINDOW = 65_536
"""Of a call that is not read from yet."""
EMBEDDING, PRODUCT, READING, TASTE = 4_000, 4_000, 2_000, 8_000
"""Bytes of what the caches hold, each; rather too much for most catalogues."""

BLOCKED = 44_000
"""Bytes of a blocked picture's hashes and vector, twice: the list is exchanged as a whole."""
CAMPAIGNS = 4 * limits.MAX_CAMPAIGNS * limits.MAX_CAMPAIGN_BYTES + 200 * MAX_COUNTS
"""Of all campaigns, their values some four times their messages, and of the counts for their caps."""

_CGROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_UNLIMITED = 1 << 60


def parts(settings: Settings) -> dict[str, int]:
    """Return the bytes that each setting may come to, by the name of its variable; those of the process by ''."""
    kept = MAX_KEPT_HITS + (MAX_OFFERS if settings.sells_places else 0)
    return {
        "": BASE,
        _variable("max_receiving"): settings.max_receiving * settings.max_message_bytes,
        _variable("max_request_bytes"): COPIES * settings.max_request_bytes,
        _variable("max_ingest_bytes"): COPIES * settings.max_ingest_bytes,
        _variable("max_concurrent_calls"): settings.max_concurrent_calls * WINDOW,
        _variable("max_session_bytes"): settings.max_session_bytes if settings.sessions == MEMORY else 0,
        _variable("embedding_cache_entries"): settings.embedding_cache_entries * EMBEDDING,
        _variable("product_cache_entries"): settings.product_cache_entries * PRODUCT,
        _variable("result_cache_entries"): settings.result_cache_entries * kept * PRODUCT,
        _variable("campaigns"): CAMPAIGNS if settings.sells_places else 0,
        _variable("taste_cache_entries"): settings.taste_cache_entries * TASTE
        if settings.keeps_events
        else 0,
        _variable("moderation_uploads"): BLOCKED * limits.MAX_BLOCKED_IMAGES
        if settings.moderation_uploads or settings.moderation_catalogue
        else 0,
        _variable("rewrite_cache_entries"): 2 * settings.rewrite_cache_entries * READING,
    }


def check_memory(settings: Settings, limit: int | None) -> None:
    """Hold the settings against the bytes that the process may have; None: as many as it likes.

    Raises:
        InvalidSettings: they may come to more; names the settings, the largest first.
    """
    needed = parts(settings)
    if limit is None or sum(needed.values()) <= limit:
        return
    ranked = sorted(((size, name) for name, size in needed.items() if name), reverse=True)
    told = ", ".join(f"{name} {_megabytes(size)}" for size, name in ranked if size)
    raise InvalidSettings(
        f"the settings may come to {_megabytes(sum(needed.values()))} of memory, and the limit is {_megabytes(limit)}:"
        f" raise the limit, or lower one of {told}"
    )


def memory_limit(settings: Settings, cgroups: tuple[Path, ...] = _CGROUPS) -> int | None:
    """Return the bytes that the process may have, by its setting or its container; None where neither says."""
    if settings.memory_limit_bytes:
        return settings.memory_limit_bytes
    for path in cgroups:
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        if text.isdecimal() and int(text) < _UNLIMITED:
            return int(text)
    return None


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"


def _variable(name: str) -> str:
    return variable(PREFIX, name)
