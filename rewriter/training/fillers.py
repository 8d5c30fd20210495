"""The words that fill phrases, in two disjoint halves: those of training, and those held out to test new words."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from catalogue.grammar import BRANDS, CATEGORIES, COLOURS, PATTERNS, SLOTS
from rewriter.languages.files import languages
from rewriter.nlu.vocabulary import FAULT_OPENINGS, FAULTS, GLOSSARY, KINDS, STEPS, STYLES, SYNONYMS
from vitrine.v1 import rewrite_pb2

_OTHER_BRANDS = (
    "Acme", "Next", "Red Fox", "Harbour and Sons", "Nordvik", "Zephyr", "Orbita", "Tundra", "Marlow", "Pinecrest",
    "Solara", "Cobalt & Co", "Denali", "Glacier", "Larkspur", "Mosaic", "Nimbus", "Quill", "Talon", "Umbra",
)  # fmt: skip

_CATALOGUES = 20
_KNOWN_FIELDS: Mapping[int, tuple[str, ...]] = MappingProxyType(
    {0: ("brand",), 1: ("category", "brand"), 2: ("colour", "brand")}
)
"""The fields of those catalogues that have but some."""

_THINGS = (
    "sofa lamp necklace ring watch umbrella guitar belt scarf gloves tie socks table chair laptop phone-case mug blanket curtains "
    "bracelet earrings wallet suitcase bikini pyjamas sunglasses tent bicycle rug mirror candle notebook pillow apron poncho "
    "headphones camera tablet printer keyboard mouse monitor speaker charger battery torch toaster oven fridge kettle-bell bottle "
    "plate bowl fork knife spoon pan pot lid towel sponge broom bucket ladder hammer drill nail screw paint brush easel piano "
    "violin drum flute trumpet skates surfboard helmet racket ball net kite puzzle doll robot-toy crayons stickers balloon card "
    "perfume soap shampoo lipstick mascara razor comb toothbrush cream vitamins tea coffee chocolate cheese wine honey bread "
    "tights leggings-set stockings bra underwear nightgown kimono tuxedo suit waistcoat overalls dungarees jumpsuit raincoat "
    "wellies anklet choker brooch-pin hairband crown wig mask costume cape uniform lab-coat mittens earmuffs shawl veil bow-tie "
    "braces handkerchief parasol cane pram cot high-chair stroller crib diaper bib bookcase desk drawer wardrobe mattress bed duvet "
    "cushion carpet wallpaper clock fan heater radio television console game phone router cable plant flowerpot seeds spade hose"
)
_UNKNOWN = {
    False: tuple(thing.replace("-", " ") for thing in _THINGS.split()),
    True: ("kettle", "swimsuit", "bathrobe", "brooch", "skateboard", "vase", "bookshelf", "slippers", "cufflinks", "tablecloth"),
}  # fmt: skip
"""Things that no catalogue here has."""

_ADJECTIVES = (
    "warm elegant comfortable cosy vintage oversized lightweight waterproof breathable classic modern trendy chic bohemian retro "
    "sporty casual formal stylish sexy thick thin soft stretchy glittery shiny sparkly fluffy heavy big small large tall petite "
    "handmade organic sustainable designer luxury everyday basic smart loose tight backless strapless asymmetric ruffled "
    "embroidered metallic transparent ribbed padded lined foldable reversible adjustable romantic playful minimalist bold preppy "
    "flowing fitted structured roomy sturdy delicate crisp faded distressed quirky timeless rustic nautical tropical"
)
_QUALITIES = {
    False: tuple(_ADJECTIVES.split()),
    True: ("festive", "gothic", "airy", "rugged", "regal", "slouchy"),
}
"""How shoppers describe what no lexicon knows."""

_DESCRIBED = {
    False: ("wireless", "wooden", "electric", "folding", "garden", "kitchen", "baby", "golden", "antique", "waterproof", "tiny", "huge", "round"),
    True: ("glass", "inflatable", "vintage"),
}  # fmt: skip

_HELD: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "colour": frozenset({"teal", "burgundy", "olive", "orange"}),
        "pattern": frozenset({"checked"}),
        "category": frozenset({"trousers", "hat"}),
        "brand": frozenset({"Osterly", "Veranta", "Loom Nine", *_OTHER_BRANDS[-6:]}),
        "style": frozenset(
            {"flared", "suede", "canvas", "square-neck", "button", "longline", "a-line", "corduroy"}
        ),
    }
)

_ADDED = {
    False: (
        "for a wedding", "for a party", "for the office", "for work", "for summer", "for the beach", "for my sister",
        "with pockets", "with gold details", "for winter", "for dancing", "for travelling", "for a christening",
        "with a bow", "with ruffles", "for school", "for a date", "for running", "with embroidery", "for rainy days",
        "with laces", "with a belt", "for hiking", "for my uncle", "for a baptism", "for halloween", "for my honeymoon",
        "for a picnic", "for easter", "for the theatre", "for hot days", "for cold nights", "for long walks", "for the gym",
        "for cycling", "for a garden party", "for teenagers", "for the rain", "for sailing", "for every day", "for going out",
        "with a print", "with tassels", "with beads", "with studs", "with a strap", "with a lining", "with a collar", "with cut-outs",
        "with puffed shoulders", "with a high waist", "in my size", "in a size small", "to dance in", "to wear to church",
    ),
    True: (
        "for a funeral", "for graduation", "for the opera", "with sequins", "with fringes", "for a cruise", "for yoga",
        "with a slit", "for camping",
    ),
}  # fmt: skip
_COMPARED = {
    False: ("more elegant", "more formal", "darker", "lighter", "brighter", "more casual", "looser", "warmer", "simpler",
            "more colourful", "less formal", "fancier", "softer", "tighter"),
    True: ("more festive", "wider", "plainer", "more sporty", "less shiny", "dressier"),
}  # fmt: skip
_PLACES = {"es": ("para una {}", "para la {}"), "zh": ("{}穿的",), "ko": ("{}용",)}
_OCCASIONS = {False: ("wedding", "party", "beach", "summer"), True: ("office", "winter")}

_WITH: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "sleeveless": ("without sleeves", "with no sleeves"), "short-sleeve": ("with short sleeves",),
        "long-sleeve": ("with long sleeves", "with full sleeves"), "v-neck": ("with a v-neck", "with a v neckline"),
        "crew-neck": ("with a crew neck", "with a round neck"), "square-neck": ("with a square neckline",),
        "turtleneck": ("with a turtleneck", "with a high neck"), "hooded": ("with a hood",), "zip": ("with a zip",),
        "button": ("with buttons",), "lapel": ("with lapels",), "stand-collar": ("with a stand collar",),
        "striped": ("with stripes",), "floral": ("with flowers", "with a floral print"), "checked": ("with checks",),
        "polka-dot": ("with polka dots", "with dots"), "plain": ("without a pattern", "with no pattern"),
    }
)  # fmt: skip
_NOUNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "striped": ("stripes",), "polka-dot": ("polka dots", "dots"), "checked": ("checks", "plaid"),
        "floral": ("flowers", "floral prints"), "turtleneck": ("turtlenecks",), "zip": ("zips",), "hooded": ("hoods",),
        "leather": ("leather",), "denim": ("denim",), "wool": ("wool",), "suede": ("suede",), "button": ("buttons",),
    }
)  # fmt: skip
_ES_WITH = (
    "sin mangas",
    "con mangas largas",
    "con mangas cortas",
    "con capucha",
    "con cuello redondo",
    "de seda",
    "de lana",
)
_KO_WITH = ("반팔", "긴팔", "민소매", "후드")
_ORDINALS: Mapping[str, tuple[tuple[str, ...], ...]] = MappingProxyType(
    {
        "en": (("first", "1st"), ("second", "2nd"), ("third", "3rd"), ("fourth", "4th"), ("fifth", "5th"), ("last", "final")),
        "es": (("primero", "primera"), ("segundo", "segunda"), ("tercero", "tercera"), ("cuarto", "cuarta"),
               ("quinto", "quinta"), ("último", "última")),
        "zh": (("第一",), ("第二",), ("第三",), ("第四",), ("第五",), ("最后一",)),
        "ko": (("첫 번째", "첫번째"), ("두 번째", "두번째"), ("세 번째",), ("네 번째",), ("다섯 번째",), ("마지막",)),
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fillers:
    """The words of one half, as one tongue says them."""

    held: bool
    language: str

    def keeps(self, slot: str, value: str) -> bool:
        """Return whether the value belongs to this half."""
        kinds = [slot] if slot in _HELD else [*_HELD]  # a term may be a value of any kind
        return any(value in _HELD[kind] for kind in kinds) is self.held

    def values(self, slot: str, values: Sequence[str]) -> list[str]:
        """Return those of the values that belong to this half and have a name in this tongue; all, where none would be left."""
        named = [value for value in values if self._surfaces(slot, value)]
        return [value for value in named if self.keeps(slot, value)] or named

    def categories(self) -> list[str]:
        """Return the categories of this half."""
        return self.values("category", CATEGORIES)

    def colours(self) -> list[str]:
        """Return the colours of this half."""
        return self.values("colour", COLOURS)

    def patterns(self) -> list[str]:
        """Return the patterns of this half."""
        return self.values("pattern", PATTERNS)

    def brands(self, facets: Sequence[rewrite_pb2.Facet]) -> list[str]:
        """Return the brands of this half that the facets hold."""
        return self.values("brand", next(facet.values for facet in facets if facet.field == "brand"))

    def say(self, rng: random.Random, slot: str, value: str) -> str:
        """Return one of the value's names."""
        return rng.choice(self._surfaces(slot, value))

    def say_noun(self, rng: random.Random, category: str) -> str:
        """Name a category, or a kind of it."""
        kinds = [kind for kind in KINDS.get(category, ()) if self._surfaces("type", kind)]
        if kinds and rng.random() < 0.35:
            return self.say(rng, "type", rng.choice(kinds))
        return self.say(rng, "category", category)

    def say_unknown(self, rng: random.Random) -> str:
        """Name a thing that the catalogue lacks, with what describes it now and then."""
        described = f"{rng.choice(_DESCRIBED[self.held])} " if rng.random() < 0.35 else ""
        return described + rng.choice(_UNKNOWN[self.held])

    def say_quality(self, rng: random.Random) -> str:
        """Return what no lexicon knows of a thing: "warm"."""
        return rng.choice(_QUALITIES[self.held])

    def say_with(self, rng: random.Random, slots: Mapping[str, Sequence[str]]) -> str:
        """Phrase a value of the category as a thing that a product has: "with long sleeves"."""
        if self.language == "es":
            return rng.choice(_ES_WITH)
        if self.language != "en":
            return rng.choice(_KO_WITH)
        values = [
            value for slot, known in slots.items() for value in self.values(slot, known) if value in _WITH
        ]
        return rng.choice(_WITH[rng.choice(values)]) if values else rng.choice(_ADDED[self.held])

    def say_avoided(self, rng: random.Random) -> str:
        """Name what is not wanted as a thing: "stripes"."""
        if self.language != "en":
            return self.say(rng, "pattern", rng.choice(self.patterns()))
        values = [value for value in _NOUNS if self.keeps("pattern" if value in PATTERNS else "style", value)]
        return rng.choice(_NOUNS[rng.choice(values)])

    def say_step(self, rng: random.Random) -> str:
        """Phrase "longer" or "shorter"."""
        if self.language == "en":
            return rng.choice([phrase for phrases in STEPS for phrase in phrases])
        return rng.choice(self._names(rng.choice(("longer", "shorter"))))

    def say_added(self, rng: random.Random) -> str:
        """Phrase something that no lexicon knows: "for a wedding"."""
        if self.language == "en":
            return rng.choice(_ADDED[self.held])
        names = self._names(rng.choice(_OCCASIONS[self.held]))
        return rng.choice(_PLACES[self.language]).format(rng.choice(names))

    def say_compared(self, rng: random.Random) -> str:
        """Phrase "more elegant"."""
        return rng.choice(_COMPARED[self.held])

    def say_term(self, rng: random.Random) -> str:
        """Name a term that may need explaining."""
        known = [term for term in GLOSSARY if self._surfaces("term", term)]
        return self.say(rng, "term", rng.choice(self.values("term", known)))

    def say_fault(self, rng: random.Random) -> str:
        """Return what is wrong with what was shown: "too bright"."""
        if self.language != "en":
            known = languages()[self.language].table("names")
            faults = [value for value in known if value.startswith("too ")]
            return rng.choice(self._names(rng.choice(faults)))
        adjectives = [adjective for known in FAULTS.values() for adjective in known]
        held = [adjective for number, adjective in enumerate(adjectives) if (number % 5 == 0) is self.held]
        return f"{rng.choice(FAULT_OPENINGS)} {rng.choice(held)}"

    def say_position(self, rng: random.Random, position: int) -> str:
        """Phrase a position: "the second"; -1 is the last."""
        names = _ORDINALS[self.language]
        return rng.choice(names[-1] if position < 0 else names[position - 1])

    def _names(self, value: str) -> list[str]:
        """Return the names of an English value in this language."""
        return languages()[self.language].names_of(value)

    def _surfaces(self, slot: str, value: str) -> list[str]:
        """Return the names of a value in this tongue."""
        if slot == "brand":
            return [value]
        if self.language != "en":
            return self._names(value)
        names = [value, value.replace("-", " ")] if "-" in value else [value]
        names += SYNONYMS.get(slot, {}).get(value, ())[:2]
        names += next((styles[value][:2] for styles in STYLES.values() if value in styles), ())
        return [name for name in dict.fromkeys(names) if name]


@cache
def catalogues() -> tuple[tuple[rewrite_pb2.Facet, ...], ...]:
    """Return the facets of several catalogues, which differ in their brands."""
    rng = random.Random(0)
    made: list[tuple[rewrite_pb2.Facet, ...]] = []
    for _ in range(_CATALOGUES):
        brands = [*BRANDS, *rng.sample(_OTHER_BRANDS, 10)]
        fields = {"category": CATEGORIES, "colour": COLOURS, "pattern": PATTERNS, "brand": tuple(brands)}
        kept = _KNOWN_FIELDS.get(len(made), tuple(fields))
        made.append(tuple(rewrite_pb2.Facet(field=field, values=fields[field]) for field in kept))
    return tuple(made)


def held_of(slot: str) -> frozenset[str]:
    """Return the held-out values of a slot."""
    return _HELD[slot]


def slots_of(category: str) -> Mapping[str, Sequence[str]]:
    """Return the values of each slot that a shopper may change; accents are said in a way of their own."""
    return {slot: values for slot, values in SLOTS.get(category, {}).items() if slot != "accent"}
