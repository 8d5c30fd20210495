"""How shoppers say a product or a change: shorter, in another order, and in other words than captions do.

The grammar's captions name every attribute in a fixed order. Real queries name a few, in any order, with plurals,
synonyms, commas and small talk. Whatever is said here comes with the attributes that it names, so that training
knows every picture that it describes.
"""

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from catalogue.grammar import SLOTS, Edit, Spec, caption, modification_text, partial_caption

_ADJECTIVES: Mapping[str, tuple[str, ...]] = {
    "grey": ("gray",),
    "burgundy": ("dark red", "wine red"),
    "navy": ("navy blue", "dark blue"),
    "olive": ("olive green",),
    "purple": ("violet",),
    "plain": ("solid", "plain coloured"),
    "striped": ("stripy", "stripe"),
    "polka-dot": ("dotted", "spotted", "polka dot"),
    "checked": ("checkered", "chequered", "plaid"),
    "floral": ("flowery", "flower print"),
    "sleeveless": ("no sleeves",),
    "short-sleeve": ("short sleeved", "short sleeve"),
    "long-sleeve": ("long sleeved", "long sleeve"),
    "crew-neck": ("round neck", "crew neck"),
    "turtleneck": ("roll neck", "high neck"),
    "hooded": ("hoodie style",),
    "stand-collar": ("stand up collar",),
    "knit": ("knitted",),
    "mini": ("short",),
    "maxi": ("long", "floor length"),
    "longline": ("long",),
    "straight-leg": ("straight",),
}
"""What else may stand for a value before the noun."""

_WITH: Mapping[str, tuple[str, ...]] = {
    "striped": ("stripes",),
    "polka-dot": ("polka dots", "dots"),
    "checked": ("checks",),
    "floral": ("flowers", "a floral print"),
    "short-sleeve": ("short sleeves",),
    "long-sleeve": ("long sleeves",),
    "crew-neck": ("a crew neck", "a round neck"),
    "v-neck": ("a v-neck", "a v neck"),
    "square-neck": ("a square neck",),
    "turtleneck": ("a turtleneck", "a roll neck"),
    "hooded": ("a hood",),
    "lapel": ("lapels", "a lapel collar"),
    "stand-collar": ("a stand collar",),
    "zip": ("a zip", "a zipper"),
    "button": ("buttons",),
}
"""How a value is said after the noun."""

_NOUNS: Mapping[str, tuple[str, ...]] = {
    "dress": ("dresses", "gown"),
    "top": ("tops", "shirt", "t-shirt"),
    "skirt": ("skirts",),
    "jacket": ("jackets", "coat"),
    "trousers": ("pants",),
    "shoes": ("footwear",),
    "bag": ("bags",),
    "hat": ("hats",),
    "sneakers": ("trainers",),
    "tote": ("tote bag", "totes", "shopper"),
    "backpack": ("backpacks", "rucksack"),
    "handbag": ("handbags", "purse"),
    "clutch": ("clutch bag",),
    "cap": ("caps", "baseball cap"),
    "beanie": ("beanies", "beanie hat"),
    "bucket-hat": ("bucket hats",),
    "fedora": ("fedoras", "fedora hat"),
}

_OPENINGS = (
    "a",
    "show me a",
    "show me",
    "i want a",
    "i am looking for a",
    "looking for",
    "find me a",
    "women's",
)

ORDERS: tuple[tuple[str, ...], ...] = (
    ("sleeveless", "short-sleeve", "long-sleeve"),
    ("mini", "midi", "maxi"),
    ("cropped", "hip-length", "longline"),
    ("cropped", "full-length"),
)
"""Values from short to long."""

_LONGER = ("longer", "make it longer", "a longer one", "same but longer", "a bit longer")
_SHORTER = ("shorter", "make it shorter", "a shorter one", "same but shorter", "a bit shorter")


@dataclass(frozen=True, slots=True)
class Description:
    """A text and the attributes that it names; "category" is one of them where the noun is said or implied."""

    text: str
    named: Mapping[str, str]


def describe(spec: Spec, rng: random.Random) -> Description:
    """Phrase a few of the product's attributes, mostly with its noun."""
    names = tuple(SLOTS[spec.category])
    count = min(len(names), rng.choice((1, 2, 2, 2, 3, 3, 4, 5)))
    # Colour, pattern and type are what people name first.
    weights = {"colour": 4.0, "pattern": 2.5, "type": 4.0, "accent": 0.6}
    ranked = sorted(names, key=lambda name: rng.random() ** (1 / weights.get(name, 1.0)), reverse=True)
    chosen = ranked[:count]
    named = {name: spec[name] for name in chosen}
    if rng.random() < 0.08 and "type" not in named:  # noqa: PLR2004 - a few queries lack the noun
        return Description(_say(spec, chosen, rng, noun=False), named)
    return Description(_say(spec, chosen, rng, noun=True), named | {"category": spec.category})


def describe_fully(spec: Spec, rng: random.Random) -> str:
    """Phrase every attribute: half of the time as the caption does."""
    if rng.random() < 0.5:  # noqa: PLR2004 - half
        return caption(spec)
    return _say(spec, tuple(SLOTS[spec.category]), rng, noun=True)


def say_edits(edits: Collection[Edit], rng: random.Random) -> str:
    """Phrase one change or several: the grammar's texts, or relative and descriptive ones."""
    return rng.choice((" and ", ", ", " and ")).join(_say_edit(edit, rng) for edit in edits)


def add_unknown_word(text: str, rng: random.Random) -> str:
    """Put a word of random letters somewhere into the text: a name, a misspelling, what no caption says."""
    words = text.split()
    unknown = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(3, 9)))
    words.insert(rng.randint(0, len(words)), unknown)
    return " ".join(words)


def _say_edit(edit: Edit, rng: random.Random) -> str:
    draw = rng.random()
    if draw < 0.12 and edit.slot in {"length", "sleeve"}:  # noqa: PLR2004 - one text of eight is relative
        return say_relative(edit, rng)
    if draw < 0.3 and edit.slot != "accent":  # noqa: PLR2004 - one of five in other words
        said = _WITH.get(edit.new)
        if said and rng.random() < 0.5:  # noqa: PLR2004 - half
            return rng.choice(("with ", "but with ", "same with ")) + rng.choice(said)
        word = rng.choice((edit.new, *_ADJECTIVES.get(edit.new, ())))
        return rng.choice(("{}", "make it {}", "in {}", "the same but {}", "a {} one")).format(word)
    return modification_text(edit, rng)


def say_relative(edit: Edit, rng: random.Random) -> str:
    """Phrase a change of length or sleeves as longer or shorter, without the value that is wanted."""
    order = next(order for order in ORDERS if {edit.old, edit.new} <= set(order))
    longer = order.index(edit.new) > order.index(edit.old)
    if edit.slot == "sleeve":
        return "with longer sleeves" if longer else "with shorter sleeves"
    return rng.choice(_LONGER if longer else _SHORTER)


def _say(spec: Spec, slots: Collection[str], rng: random.Random, *, noun: bool) -> str:
    """Return the slots in one of three manners: as captions do, as a list, or around the noun."""
    manner = rng.random()
    if noun and manner < 0.35:  # noqa: PLR2004 - a third as captions do
        return partial_caption(spec, slots)
    words, tail = _words(spec, slots, rng)
    head = _noun(spec, slots, rng) if noun else ""
    if manner < 0.5:  # noqa: PLR2004 - one of seven as a list
        parts = [part for part in (head, *words, *tail) if part]
        rng.shuffle(parts)
        return rng.choice((", ", " ")).join(parts)
    text = " ".join(part for part in (*words, head) if part)
    if tail:
        text += " with " + " and ".join(tail)
    if noun and rng.random() < 0.3:  # noqa: PLR2004 - a third with small talk
        text = f"{rng.choice(_OPENINGS)} {text}"
    return text


def _words(spec: Spec, slots: Collection[str], rng: random.Random) -> tuple[list[str], list[str]]:
    """Return what is said before the noun, shuffled, and what is said after it."""
    words: list[str] = []
    tail: list[str] = []
    for slot in slots:
        value = spec[slot]
        if slot == "type":
            continue
        if slot == "accent":
            tail.append(rng.choice((f"{value} accents", f"{value} trim", f"{value} details")))
        elif value in _WITH and rng.random() < 0.4:  # noqa: PLR2004 - adjectives are the commoner form
            tail.append(rng.choice(_WITH[value]))
        else:
            words.append(rng.choice((value, value, *_ADJECTIVES.get(value, ()))))
    if rng.random() < 0.5:  # noqa: PLR2004 - half in the caption's order
        rng.shuffle(words)
    return words, tail


def _noun(spec: Spec, slots: Collection[str], rng: random.Random) -> str:
    word = spec["type"] if "type" in slots else spec.category
    return rng.choice((word, word, *_NOUNS.get(word, ())))
