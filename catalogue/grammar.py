"""What products there can be: attributes by category, captions, one-word edits, brands and prices.

Captions follow the manner of Fashion200K: the attributes in a fixed order, then the noun, and two products are
neighbours when their captions differ by one word.
"""

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from catalogue.randomness import generator

COLOURS = (
    "black", "white", "grey", "red", "burgundy", "pink", "orange", "yellow",
    "green", "olive", "teal", "blue", "navy", "purple", "brown", "beige",
)  # fmt: skip
PATTERNS = ("plain", "striped", "polka-dot", "checked", "floral")
_SLEEVES = ("sleeveless", "short-sleeve", "long-sleeve")
_NECKS = ("crew-neck", "v-neck", "square-neck", "turtleneck")
_HEMS = ("mini", "midi", "maxi")

_SLOTS: dict[str, dict[str, tuple[str, ...]]] = {
    "dress": {
        "colour": COLOURS, "pattern": PATTERNS, "sleeve": _SLEEVES, "neck": _NECKS, "length": _HEMS,
    },
    "top": {
        "colour": COLOURS, "pattern": PATTERNS, "material": ("cotton", "knit", "silk"),
        "sleeve": _SLEEVES, "neck": _NECKS,
    },
    "skirt": {
        "colour": COLOURS, "pattern": PATTERNS, "material": ("cotton", "silk", "denim"),
        "shape": ("a-line", "pencil", "pleated"), "length": _HEMS,
    },
    "jacket": {
        "colour": COLOURS, "material": ("denim", "leather", "wool", "quilted"),
        "collar": ("hooded", "lapel", "stand-collar"), "closure": ("zip", "button"),
        "length": ("cropped", "hip-length", "longline"),
    },
    "trousers": {
        "colour": COLOURS, "pattern": PATTERNS, "material": ("cotton", "denim", "leather"),
        "fit": ("skinny", "straight-leg", "wide-leg", "flared"), "length": ("cropped", "full-length"),
    },
    "shoes": {
        "colour": COLOURS, "material": ("leather", "suede", "canvas"),
        "type": ("sneakers", "boots", "heels", "loafers", "sandals"),
    },
    "bag": {
        "colour": COLOURS, "pattern": PATTERNS, "material": ("leather", "canvas"),
        "type": ("tote", "backpack", "handbag", "clutch"),
    },
    "hat": {
        "colour": COLOURS, "pattern": PATTERNS, "material": ("cotton", "wool"),
        "type": ("cap", "beanie", "bucket-hat", "fedora"),
    },
}  # fmt: skip

SLOTS: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {category: MappingProxyType(slots | {"accent": COLOURS}) for category, slots in _SLOTS.items()}
)
"""The values of each slot, by category, in the order of the caption; the accent colour comes last."""

CATEGORIES = tuple(SLOTS)
_CATEGORY_WEIGHTS = (0.24, 0.18, 0.14, 0.14, 0.12, 0.07, 0.07, 0.04)
"""How often a category is drawn: the more attributes it has, the more often."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What a product looks like: a category and a value for each of its slots, in the order of SLOTS.

    Raises:
        ValueError: the category or a value is unknown, or main and accent colour are one.
    """

    category: str
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        slots = SLOTS.get(self.category)
        if slots is None:
            raise ValueError(f"unknown category {self.category!r}")
        for (slot, known), value in zip(slots.items(), self.values, strict=True):
            if value not in known:
                raise ValueError(f"{self.category} has no {slot} {value!r}")
        if self["colour"] == self["accent"]:
            raise ValueError(f"colour and accent are both {self['colour']!r}")

    def __getitem__(self, slot: str) -> str:
        return self.attributes[slot]

    @property
    def attributes(self) -> dict[str, str]:
        """The value of each slot."""
        return dict(zip(SLOTS[self.category], self.values, strict=True))

    def get(self, slot: str, default: str = "") -> str:
        """Return the value of the slot, or the default where the category has no such slot."""
        return self.attributes.get(slot, default)


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of one slot from the old value to the new one."""

    slot: str
    old: str
    new: str


def make_spec(category: str, **attributes: str) -> Spec:
    """Return the spec of the category with these attributes; every slot must be named."""
    return Spec(category, tuple(attributes[slot] for slot in SLOTS[category]))


def sample_spec(rng: random.Random, category: str | None = None) -> Spec:
    """Draw a spec; every value of a slot is equally likely."""
    category = category or rng.choices(CATEGORIES, _CATEGORY_WEIGHTS)[0]
    slots = SLOTS[category]
    attributes = {slot: rng.choice(values) for slot, values in slots.items() if slot != "accent"}
    accent = rng.choice([colour for colour in slots["accent"] if colour != attributes["colour"]])
    return Spec(category, (*attributes.values(), accent))


def sample_edit(rng: random.Random, spec: Spec, slot: str | None = None) -> Edit:
    """Draw a change of the slot, or of any slot, whose outcome is a spec again."""
    slots = SLOTS[spec.category]
    slot = slot or rng.choice(tuple(slots))
    taken = {spec["colour"], spec["accent"]} if slot in {"colour", "accent"} else {spec[slot]}
    return Edit(slot, spec[slot], rng.choice([value for value in slots[slot] if value not in taken]))


def edited(spec: Spec, edit: Edit) -> Spec:
    """Return the spec after the change."""
    return make_spec(spec.category, **spec.attributes | {edit.slot: edit.new})


def edit_between(source: Spec, target: Spec) -> Edit | None:
    """Return the change that leads from one spec to the other, or None unless it is one slot of one category."""
    if source.category != target.category:
        return None
    pairs = zip(SLOTS[source.category], source.values, target.values, strict=True)
    edits = [Edit(slot, old, new) for slot, old, new in pairs if old != new]
    return edits[0] if len(edits) == 1 else None


def caption(spec: Spec) -> str:
    """Return everything in words: "navy checked sleeveless square-neck maxi dress with yellow accents"."""
    return partial_caption(spec, tuple(SLOTS[spec.category]))


def partial_caption(spec: Spec, slots: Collection[str]) -> str:
    """Return only those slots in words, as a shopper does: "navy maxi dress"; a type stands for its category's noun."""
    words = [spec[slot] for slot in SLOTS[spec.category] if slot in slots and slot != "accent"]
    if "type" not in SLOTS[spec.category] or "type" not in slots:
        words.append(spec.category)
    if "accent" in slots:
        words.append(f"with {spec['accent']} accents")
    return " ".join(words)


PARAPHRASED_SHARE = 0.5
"""How many of the drawn modification texts are not the canonical one."""

_PHRASES: Mapping[str, tuple[str, ...]] = {
    "colour": ("in {new}", "the same in {new}", "same but in {new}", "in {new} instead of {old}"),
    "accent": (
        "with {new} accents", "{new} accents instead of {old}", "change the {old} accents to {new}",
        "the accents in {new}",
    ),
    "material": ("in {new}", "made of {new}", "{new} instead of {old}"),
    "pattern": ("with {said}", "the same with {said}"),
    "sleeve": ("with {said}", "the same with {said}", "but with {said}"),
    "neck": ("with {said}", "the same with {said}", "but with {said}"),
    "collar": ("with {said}", "the same with {said}", "{said} instead of {old}"),
    "closure": ("with {said}", "{said} instead of {old}", "closed with {said}"),
}  # fmt: skip

_ANY_SLOT = (
    "make it {new}", "the same but {new}", "same but {new}", "{new} instead of {old}", "change {old} to {new}",
    "is {new}, not {old}", "{new}", "i want it {new}", "change it from {old} to {new}",
)  # fmt: skip

_SAID = {
    "plain": "no pattern", "striped": "stripes", "polka-dot": "polka dots", "checked": "checks",
    "floral": "flowers", "sleeveless": "no sleeves", "short-sleeve": "short sleeves",
    "long-sleeve": "long sleeves", "crew-neck": "a crew neck", "v-neck": "a v-neck",
    "square-neck": "a square neck", "turtleneck": "a turtleneck", "hooded": "a hood", "lapel": "lapels",
    "stand-collar": "a stand collar", "zip": "a zip", "button": "buttons",
}  # fmt: skip
"""How a value is said after "with"."""


def modification_text(edit: Edit, rng: random.Random | None = None) -> str:
    """Return the change: "replace blue with red", or with a generator a paraphrase half of the time."""
    if rng is None or rng.random() >= PARAPHRASED_SHARE:
        return f"replace {edit.old} with {edit.new}"
    phrases = _PHRASES.get(edit.slot, ())
    if edit.slot != "accent":  # "make it red" speaks of the main colour alone
        phrases += _ANY_SLOT
    text = rng.choice(phrases).format(old=edit.old, new=edit.new, said=_SAID.get(edit.new, edit.new))
    return text.replace("with no ", "without ")


_BRANDS = {
    "Alder & Finch": 1.25, "Northlane": 0.95, "Miravelle": 1.4, "Osterly": 0.8, "Kestrel Row": 1.0,
    "Juno & Pine": 1.1, "Haldenby": 1.55, "Piccola Via": 0.7, "Veranta": 0.85, "Loom Nine": 1.15,
}  # fmt: skip
"""Invented names, each with its level of prices."""

BRANDS = tuple(_BRANDS)

_BASE_PRICES = {
    "dress": 70, "top": 32, "skirt": 45, "jacket": 120, "trousers": 60, "shoes": 90, "bag": 85, "hat": 25,
}  # fmt: skip
_MATERIAL_FACTORS = {"leather": 1.9, "silk": 1.6, "suede": 1.5, "wool": 1.4, "quilted": 1.3}


def brand_and_price(spec: Spec, seed: int) -> tuple[str, float]:
    """Return a brand and a price in euros; it depends on category, material and brand, and varies by a quarter."""
    rng = generator("offer", caption(spec), seed)
    brand = rng.choice(BRANDS)
    factor = _BRANDS[brand] * _MATERIAL_FACTORS.get(spec.get("material"), 1.0)
    price = _BASE_PRICES[spec.category] * factor * rng.lognormvariate(0, 0.25)
    return brand, max(5, round(price)) - 0.05
