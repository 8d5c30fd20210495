"""A protocol that does not saturate: composed queries among every product that is one word from the wanted one.

Around each wanted product, the centre, the gallery holds its whole neighbourhood: every product whose caption
differs from the centre's by one word, with one picture each. A query's picture is a new one of its reference and
not in the gallery; where the reference is one change away, another picture of it is. No centre is in a training set
or in any other test set.
"""

import hashlib
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from catalogue.grammar import SLOTS, Edit, Spec, caption, edited, modification_text, sample_edit, sample_spec
from catalogue.randomness import generator
from catalogue.splits import is_held, make_splits
from encoders.batches import edits_between
from encoders.phrases import ORDERS, say_relative

GALLERY_SEED = 300
QUERY_SEED = 301
"""Seeds of pictures; no other set uses them."""

KINDS = ("one_change", "half_paraphrased", "two_changes", "relative")
"""Changes of the second and third are paraphrased in half of the cases (catalogue.grammar.PARAPHRASED_SHARE), in words of training."""

_ONE_CHANGE = 3
_TWO_CHANGES = 2
"""Questions a centre."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A reference, what to change of it, and every product that is a right answer."""

    kind: str
    """One of KINDS."""
    unseen: bool
    """Whether the centre's combination of category, colour and pattern is kept out of training."""
    reference: Spec
    text: str
    wanted: tuple[Spec, ...]
    """The centre alone, or for a relative change everything that is longer, or shorter, as the text says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbourhoods:
    """A gallery and the questions that are asked of it."""

    name: str
    gallery: tuple[Spec, ...]
    """Without doubles."""
    questions: tuple[Question, ...]

    def references(self) -> tuple[Spec, ...]:
        """Return the references of the questions, without doubles."""
        return tuple(dict.fromkeys(question.reference for question in self.questions))

    def pictures(self) -> tuple[tuple[Spec, int], ...]:
        """Return what `render` takes: the pictures of the gallery, then those of the references."""
        gallery = [(spec, GALLERY_SEED) for spec in self.gallery]
        return (*gallery, *((spec, QUERY_SEED) for spec in self.references()))

    def digest(self) -> str:
        """Name the content: equal for equal galleries and questions."""
        digest = hashlib.sha256()
        for spec in self.gallery:
            digest.update(f"{caption(spec)}\n".encode())
        for question in self.questions:
            wanted = " | ".join(map(caption, question.wanted))
            digest.update(f"{caption(question.reference)} | {question.text} | {wanted}\n".encode())
        return digest.hexdigest()[:16]

    def describe(self) -> dict[str, Any]:
        """Return how large it is, and its digest."""
        kinds = Counter(question.kind for question in self.questions)
        return {
            "digest": self.digest(),
            "gallery": len(self.gallery),
            "questions": {kind: kinds[kind] for kind in KINDS},
        }


@dataclass(frozen=True, slots=True)
class Protocol:
    """Where designs are chosen, and where they are measured once they are chosen."""

    validation: Neighbourhoods
    """Centres of combinations that training has seen."""
    test: Neighbourhoods
    """Centres of combinations that training has seen, then as many that it has not; in one gallery."""

    def describe(self) -> dict[str, Any]:
        """Return the size and the digest of each set."""
        return {part.name: part.describe() for part in (self.validation, self.test)}


def make_protocol(*, seed: int = 7, validation_centres: int = 100, test_centres: int = 600) -> Protocol:
    """Draw both sets; equal arguments give equal sets."""
    rng = generator("neighbourhoods", seed)
    splits = make_splits(seed=seed)
    used = {spec for split in (splits.train, splits.iid, splits.ood) for spec in split.specs()}
    chosen = _draw_centres(rng, validation_centres, lambda spec: not is_held(spec), used)
    seen = _draw_centres(rng, test_centres // 2, lambda spec: not is_held(spec), used)
    unseen = _draw_centres(rng, test_centres - test_centres // 2, is_held, used)
    return Protocol(
        validation=_surround("validation", chosen, rng), test=_surround("test", [*seen, *unseen], rng)
    )


def neighbours(spec: Spec) -> list[Spec]:
    """Return every product that is one change from this one."""
    found = []
    for slot, values in SLOTS[spec.category].items():
        taken = {spec["colour"], spec["accent"]} if slot in {"colour", "accent"} else {spec[slot]}
        found += [edited(spec, Edit(slot, spec[slot], value)) for value in values if value not in taken]
    return found


def _draw_centres(
    rng: random.Random, count: int, allowed: Callable[[Spec], bool], used: set[Spec]
) -> list[Spec]:
    centres: list[Spec] = []
    while len(centres) < count:
        spec = sample_spec(rng)
        if allowed(spec) and spec not in used:
            used.add(spec)
            centres.append(spec)
    return centres


def _surround(name: str, centres: list[Spec], rng: random.Random) -> Neighbourhoods:
    gallery = dict.fromkeys(spec for centre in centres for spec in (centre, *neighbours(centre)))
    questions = tuple(question for centre in centres for question in _ask(centre, rng))
    return Neighbourhoods(name=name, gallery=tuple(gallery), questions=questions)


def _ask(centre: Spec, rng: random.Random) -> list[Question]:
    """Ask for the centre from references that are one change and two changes from it."""
    slots = tuple(SLOTS[centre.category])
    questions = []
    for slot in rng.sample(slots, _ONE_CHANGE):
        reference = edited(centre, sample_edit(rng, centre, slot))
        (edit,) = edits_between(reference, centre)
        questions += [
            _question("one_change", reference, modification_text(edit), centre),
            _question("half_paraphrased", reference, modification_text(edit, rng), centre),
        ]
    for _ in range(_TWO_CHANGES):
        reference = centre
        for slot in rng.sample(slots, 2):
            reference = edited(reference, sample_edit(rng, reference, slot))
        texts = [modification_text(edit, rng) for edit in edits_between(reference, centre)]
        questions.append(_question("two_changes", reference, " and ".join(texts), centre))
    ordered = [slot for slot in slots if slot in {"length", "sleeve"}]
    if ordered:
        questions.append(_ask_relatively(centre, rng.choice(ordered), rng))
    return questions


def _ask_relatively(centre: Spec, slot: str, rng: random.Random) -> Question:
    reference = edited(centre, sample_edit(rng, centre, slot))
    edit = Edit(slot, reference[slot], centre[slot])
    order = next(order for order in ORDERS if {edit.old, edit.new} <= set(order))
    start = order.index(edit.old)
    right = order[start + 1 :] if order.index(edit.new) > start else order[:start]
    wanted = tuple(edited(reference, Edit(slot, edit.old, value)) for value in right)
    return Question(
        kind="relative",
        unseen=is_held(centre),
        reference=reference,
        text=say_relative(edit, rng),
        wanted=wanted,
    )


def _question(kind: str, reference: Spec, text: str, centre: Spec) -> Question:
    return Question(kind=kind, unseen=is_held(centre), reference=reference, text=text, wanted=(centre,))
