"""What the settings may come to, held against the memory that there is."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from gateway.assembly.footprint import BLOCKED, check_memory, memory_limit, parts
from gateway.settings import Settings
from vitrine.moderation.fingerprints import blocked_hashes
from vitrine.moderation.judging import BlockedPicture, Blocklist
from vitrine.process.settings import InvalidSettings
from vitrine.tensors import EMBEDDING_DIM


def test_settings_that_cannot_fit_are_refused_in_words() -> None:
    """The refusal says how much it would be, what the limit is, and which setting takes most."""
    settings = Settings(max_session_bytes=900_000_000)
    with pytest.raises(InvalidSettings) as refused:
        check_memory(settings, 1 << 30)
    assert "may come to 1,712 MB of memory, and the limit is 1,074 MB" in str(refused.value)
    assert "lower one of GATEWAY_MAX_SESSION_BYTES 900 MB, GATEWAY_MAX_RECEIVING 192 MB" in str(refused.value)


def test_the_limit_is_the_settings_or_the_containers(tmp_path: Path) -> None:
    """A setting goes before the container; a container without a limit has none."""
    limited, unlimited, missing = tmp_path / "limited", tmp_path / "max", tmp_path / "missing"
    limited.write_text("1073741824\n")
    unlimited.write_text("max\n")
    settings = Settings()
    assert memory_limit(Settings(memory_limit_bytes=7), (limited,)) == 7
    assert memory_limit(settings, (missing, limited)) == 1 << 30
    assert memory_limit(settings, (unlimited,)) is None
    check_memory(settings, None)


def test_sessions_in_redis_take_none_of_it() -> None:
    """Their bytes are another process's."""
    here, there = Settings(), Settings(sessions="redis://localhost")
    assert sum(parts(here).values()) - sum(parts(there).values()) == here.max_session_bytes


def test_a_budget_has_room_for_one_message() -> None:
    """A budget that is smaller than the largest message would be none."""
    with pytest.raises(InvalidSettings, match="must be at least GATEWAY_MAX_MESSAGE_BYTES"):
        Settings(max_request_bytes=1_000)


def test_blocked_pictures_take_no_more_than_is_counted_for_them() -> None:
    """Two lists, as while one takes the place of another, of pictures in as many borders as are taken off."""
    pixels = np.arange(224 * 224 * 3, dtype=np.uint32).reshape(224, 224, 3).astype(np.uint8)
    for width, colour in ((30, 10), (20, 200), (10, 90)):
        pixels[:width] = pixels[-width:] = pixels[:, :width] = pixels[:, -width:] = colour
    kept = blocked_hashes(pixels, (224, 224))
    assert kept is not None
    assert len(kept.copies) == 4

    def read() -> Blocklist:
        return Blocklist(
            [
                BlockedPicture(
                    id=f"{number:032}",
                    label="asked for by the maker",
                    added_ms=number,
                    manifest="m",
                    embedding=np.zeros(EMBEDDING_DIM, np.float32),
                    copies=kept.copies.copy(),
                    windows=kept.windows.copy(),
                )
                for number in range(200)
            ]
        )

    tracemalloc.start()
    before = read()
    after = read()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(before) == len(after) == 200
    assert peak <= 200 * BLOCKED
