"""Which rules of moderation a measurement chooses."""

from benchmarks.moderation import _SIMILARITIES, ENOUGH, MUST_FIND, Looked, _choose, _share
from vitrine.moderation.fingerprints import BITS

_FAR = BITS


def _crop(bits: int, likeness: float) -> Looked:
    """Return what a crop looks like that is as near and as alike as this."""
    return Looked(
        copy=_FAR,
        tile=_FAR,
        crops=tuple(bits if likeness >= least else _FAR for least in _SIMILARITIES),
    )


def _edits(crops: list[Looked]) -> dict[str, list[Looked]]:
    found = Looked(copy=0, tile=_FAR, crops=(_FAR,) * len(_SIMILARITIES))
    return {name: crops if name == "crop" else [found] * len(crops) for name in MUST_FIND}


def test_the_fewest_false_alarms_count_once_enough_is_found() -> None:
    """Rules that find a little more, and take one more picture for a blocked one, are not chosen."""
    crops = [_crop(20, 0.95)] * 199 + [_crop(30, 0.95)]
    innocent = [_crop(28, 0.95)] + [_crop(_FAR, 0.0)] * 1_999
    rules = _choose(_edits(crops), innocent)
    assert rules.crop_bits < 28
    assert _share(innocent, rules) == 0
    assert _share(crops, rules) >= ENOUGH


def test_where_not_enough_can_be_found_most_is() -> None:
    """What finds most is chosen then, within the false alarms that may be."""
    crops = [_crop(20, 0.95)] * 50 + [_crop(30, 0.95)] * 40 + [_crop(_FAR, 0.0)] * 10
    innocent = [_crop(28, 0.95)] + [_crop(_FAR, 0.0)] * 1_999
    rules = _choose(_edits(crops), innocent)
    assert rules.crop_bits >= 30
    assert _share(crops, rules) == 0.9
