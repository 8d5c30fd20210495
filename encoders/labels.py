"""Attributes as integers, so that "this text describes that picture" is a comparison of rows."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from catalogue.grammar import CATEGORIES, SLOTS, Spec

Labels = NDArray[np.int64]
"""(n, len(SLOT_VALUES)): the position of the value in its slot; ABSENT where there is none."""

ABSENT = -1


def _slot_values() -> dict[str, tuple[str, ...]]:
    values: dict[str, dict[str, None]] = {"category": dict.fromkeys(CATEGORIES)}
    for slots in SLOTS.values():
        for slot, known in slots.items():
            values.setdefault(slot, {}).update(dict.fromkeys(known))
    return {slot: tuple(known) for slot, known in values.items()}


SLOT_VALUES: Mapping[str, tuple[str, ...]] = _slot_values()
"""Every value of every slot over all categories; the category itself comes first."""

_POSITIONS = {
    slot: {value: position for position, value in enumerate(values)} for slot, values in SLOT_VALUES.items()
}


def encode_attributes(rows: Iterable[Mapping[str, str]]) -> Labels:
    """Return one row of labels for each set of attributes."""
    labels = [[_POSITIONS[slot].get(row.get(slot, ""), ABSENT) for slot in SLOT_VALUES] for row in rows]
    return np.array(labels, dtype=np.int64).reshape(-1, len(SLOT_VALUES))


def encode_specs(specs: Sequence[Spec]) -> Labels:
    """Return the labels of every spec, its category included."""
    return encode_attributes({"category": spec.category, **spec.attributes} for spec in specs)


def describes(named: Labels, products: Labels) -> NDArray[np.bool_]:
    """Return, for each row of `named` (m) and of `products` (n), whether the product has all that is named: (m, n)."""
    asked = (named != ABSENT).sum(axis=1, dtype=np.float32)
    # A matrix product counts what agrees: comparing row by row takes ten times as long for thousands of products.
    agrees: NDArray[np.bool_] = _one_hot(named) @ _one_hot(products).T == asked[:, None]
    return agrees


def _one_hot(labels: Labels) -> NDArray[np.float32]:
    """Return (n, every value of every slot), with nothing where there is none."""
    parts = [
        column[:, None] == np.arange(len(values))
        for column, values in zip(labels.T, SLOT_VALUES.values(), strict=True)
    ]
    return np.concatenate(parts, axis=1, dtype=np.float32)
