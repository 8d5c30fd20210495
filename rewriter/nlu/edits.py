"""Changes said in words: the modification that the fusion encoder reads, and the query after the change."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from rewriter.nlu.joining import Joining
from rewriter.nlu.lexicon import HEAD, Lexicon, Part
from rewriter.nlu.reading import Reading
from rewriter.nlu.tagging import VALUES, Tag, tag_text
from rewriter.nlu.vocabulary import SCALES, SCALES_OF, Role
from rewriter.nlu.words import fold
from vitrine.domain.limits import MAX_QUERY_LENGTH
from vitrine.domain.schema import Role as FieldRole


def modification(reading: Reading, reference: Mapping[str, str]) -> str:
    """Return the turn's changes to a reference, given its values by slot; empty where it changes nothing.

    The texts are those that fusion encoders are trained on: "replace A with B" where the old value is known, "make it
    B" where it is not.
    """
    parts = [*_replacements(reading, reference), *_steps(reading, reference)]
    words = reading.words
    if words:
        opening = words.split(" ", 1)[0]
        parts.append(words if opening in {"with", "without", "in", "not", "no"} else f"make it {words}")
    return shorten(" and ".join(dict.fromkeys(parts)))


def edited_query(query: str, reading: Reading, reference: Mapping[str, str] | None = None) -> str:
    """Return an earlier query with the turn's values in the place of its own, and without those that are excluded."""
    new = [*reading.wanted, *_stepped(reading, reference or {})]
    gone = {(tag.slot, tag.meaning.value) for tag in (*reading.unwanted, *reading.old)}
    merged: list[Tag] = []
    for earlier in tag_text(fold(query), reading.lexicon):
        taking_over = [tag for tag in new if _place(tag) == _place(earlier)]
        merged += taking_over
        new = [tag for tag in new if tag not in taking_over]
        replaced = taking_over or any(_place(tag) == _place(earlier) for tag in merged)
        replaced = replaced and not _stays(earlier, reading)
        leaves = (earlier.slot, earlier.meaning.value) in gone or reading.lifted.has(
            earlier.slot, earlier.meaning.value
        )
        if not (earlier.role in VALUES and (replaced or leaves)):
            merged.append(earlier)
    edited = replace(reading, tags=(*merged, *new), price=None).query
    return shorten(f"{edited} {reading.words}".strip())


def _stays(earlier: Tag, reading: Reading) -> bool:
    """Return whether a value stays beside the turn's of the same field."""
    several = reading.lexicon.is_multiple(earlier.slot)
    return reading.joining in {Joining.EITHER, Joining.BOTH} or (reading.joining is Joining.MORE and several)


def _place(tag: Tag) -> str | Part:
    """Return the place of a value in a query: its slot; a kind stands where the category does."""
    return Part.CATEGORY if tag.part in HEAD else tag.slot


def shorten(text: str) -> str:
    """Cut a text at the limit, between words where there are any."""
    if len(text) <= MAX_QUERY_LENGTH:
        return text
    cut = text[:MAX_QUERY_LENGTH]
    return cut.rsplit(" ", 1)[0] if " " in cut else cut


def _replacements(reading: Reading, reference: Mapping[str, str]) -> Iterator[str]:
    """Yield the new value of each slot once, with the old one where the turn or the reference tells it."""
    old = {tag.slot: tag.meaning.said for tag in reading.old}
    said: set[str] = set()
    for wanted in reading.wanted:
        slot, value = wanted.slot, wanted.meaning.said
        if wanted.part is Part.BRAND or slot in said:
            continue
        said.add(slot)
        before = old.get(slot) or fold(reference.get(slot, ""))
        if wanted.part is Part.ACCENT:
            yield value
        elif not before:
            yield f"make it {value}"
        elif before != value or wanted.part not in HEAD:
            yield f"replace {before} with {value}" if before != value else f"make it {value}"


def _steps(reading: Reading, reference: Mapping[str, str]) -> Iterator[str]:
    """Yield "longer" and "shorter" as the next value of the scale, or as they are where no scale tells it."""
    for current in reading.tags:
        if current.role is Role.STEP:
            pair = _step(current, reference, reading.lexicon)
            yield (f"replace {pair[0]} with {pair[1]}" if pair else f"make it {current.meaning.said}")


def _stepped(reading: Reading, reference: Mapping[str, str]) -> Iterator[Tag]:
    """Yield the values that the steps lead to, as if the shopper had named them."""
    for current in reading.tags:
        pair = _step(current, reference, reading.lexicon) if current.role is Role.STEP else None
        if pair:
            yield from (named for named in tag_text(pair[1], reading.lexicon) if named.role in VALUES)


def _step(current: Tag, reference: Mapping[str, str], lexicon: Lexicon) -> tuple[str, str] | None:
    """Return the reference's value and the next one in the step's direction; None where there is none."""
    value = fold(reference.get(current.slot, ""))
    category = fold(reference.get(lexicon.name_of(FieldRole.CATEGORY), ""))
    scales = (*SCALES_OF.get(category, {}).get(current.slot, ()), *SCALES.get(current.slot, ()))
    for scale in scales:
        if value in scale:
            after = scale.index(value) + int(current.meaning.value)
            return (value, scale[after]) if 0 <= after < len(scale) else None
    return None
