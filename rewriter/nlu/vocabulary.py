"""The English that the router knows without a catalogue: cues, styles, synonyms and a glossary. Tables alone.

A phrase list is one string with bars between the phrases; words are matched by stem, so plurals need no entry.
"""

from collections.abc import Mapping
from enum import Enum, auto
from types import MappingProxyType


class Role(Enum):
    """What a word or phrase does in a turn."""

    VALUE = auto()  # a value of a facet: "red", "dress"
    STYLE = auto()  # a value that no filter knows: "long-sleeve", "midi"
    WORD = auto()  # anything else that carries meaning
    FILLER = auto()  # politeness and scaffolding
    GLUE = auto()  # prepositions between words
    ARTICLE = auto()
    JOIN = auto()  # and, or, comma
    POINT = auto()  # this, that, it
    ONE = auto()  # one, ones
    ORDINAL = auto()
    NUMBER = auto()
    PICTURE = auto()
    NOT = auto()
    SAME = auto()
    BUT = auto()
    MAKE = auto()
    IN = auto()
    WITH = auto()
    REPLACE = auto()
    INSTEAD = auto()
    INSTEAD_OF = auto()
    STEP = auto()  # longer, shorter: along a scale
    COMPARATIVE = auto()  # darker, more formal: no scale is known
    ACCENT = auto()
    SIMILAR = auto()
    CHEAPER = auto()
    DEARER = auto()
    CHEAPEST = auto()
    DEAREST = auto()
    COMPARE = auto()
    WHICH = auto()
    RESET = auto()
    CORRECT = auto()
    DEFINE = auto()
    GREET = auto()
    THANK = auto()
    LEAVE = auto()
    SERVICE = auto()  # questions that no search answers
    FAULT = auto()  # what is wrong with what was shown: "too bright"


CUES: Mapping[Role, str] = MappingProxyType(
    {
        Role.FILLER: "show | show me | find | find me | get | get me | give me | i | i am | i'm | im | me | my | you "
        "| your | we | us | want | i want | would | like | i'd like | i would like | need | i need | looking | look "
        "| looking for | look for | search | search for | searching for | see | let me see | can | can you | could "
        "| could you | do | do you | have | do you have | got | any | some | something | anything | please | pls "
        "| thx | hmm | um | uh | so | well | ok | okay | just | only | really | very | is | are | be | there | also "
        "| available | buy | shopping for | to buy | help | maybe | perhaps | bit | a bit | a little | kind of "
        "| sort of | now | then | too | as well | i prefer | prefer | rather have | how about | what about | should "
        "| it's | its | that's | they | come | yes | yeah | hey there | colour | color | pattern | brand | version "
        "| what | whatever | ideally | if possible | am | will | was | by the way | btw | i spotted | spotted this | spotted that "
        "| spotted it | spotted one",
        Role.GLUE: "than | for | of | to | on | at | by | from | as | into | my | your",
        Role.ARTICLE: "the | a | an",
        Role.JOIN: "and | or | , | ; | nor | plus",
        Role.POINT: "this | that | it | these | those | them",
        Role.ONE: "one",
        Role.PICTURE: "picture | photo | image | the picture | the photo | the image | my picture | my photo "
        "| uploaded | what i uploaded | photograph",
        Role.NOT: "not | no | without | except | excluding | but not | anything but | other than | nothing | non "
        "| isn't | aren't | don't | don't want | no more | avoid | never | don't like | hate | besides",
        Role.SAME: "same | the same | same one | same thing | the exact same | identical",
        Role.BUT: "but | only with | except in",
        Role.MAKE: "make | make it | make that | make them | change it to | turn it | i want it | can it be | want it "
        "| do you have it | do you have them | have it | does it come | do they come | comes in | come in | get it",
        Role.IN: "in | made of | made from | made out of",
        Role.WITH: "with | having | that has | has",
        Role.REPLACE: "replace | swap | change | switch | exchange | substitute | turn",
        Role.INSTEAD: "instead | rather",
        Role.INSTEAD_OF: "instead of | rather than | in place of | in lieu of",
        Role.COMPARATIVE: "darker | lighter | brighter | looser | tighter | bigger | smaller | wider | narrower "
        "| warmer | softer | simpler | fancier | dressier | more | less | slimmer | higher | lower | plainer",
        Role.ACCENT: "accent | trim | trimming | detail | detailing | contrast",
        Role.SIMILAR: "similar | similar to | more like | like this | like that | like it | look like | looks like "
        "| alike | look alike | lookalike | resembling | more of | matching | along the lines of | in this style "
        "| in that style | same style as",
        Role.CHEAPER: "cheaper | less expensive | more affordable | lower price | lower priced | less pricey "
        "| too expensive | too pricey | too dear | too much money | budget option | affordable | inexpensive "
        "| more economical | less costly | not so expensive | not as expensive | can't afford | costs less | on a budget",
        Role.DEARER: "more expensive | pricier | dearer | higher price | more upmarket | costs more | higher end",
        Role.CHEAPEST: "cheapest | least expensive | lowest price | cheapest first | cheapest one | most affordable "
        "| lowest priced | sort by price | by price | price ascending | price low to high | low to high",
        Role.DEAREST: "most expensive | priciest | dearest | highest price | most expensive first | highest priced "
        "| price descending | price high to low | high to low",
        Role.COMPARE: "compare | comparison | versus | vs | difference between | differences between | side by side "
        "| what's the difference | what is the difference | difference | how do they differ | compared",
        Role.WHICH: "which | which one | which is | which one is | which of | which are | what is | what's",
        Role.RESET: "new search | start over | start again | start afresh | forget that | forget it | never mind "
        "| nevermind | something else | something different | different thing | scrap that | moving on | let's look for "
        "| let's look at | reset | clear that | change of plan | forget about that | on second thoughts",
        Role.CORRECT: "no , | no the | no i | no i meant | i meant | i mean | actually | sorry | not that | not this "
        "| not those | not these | not that one | wrong | should have said | rather the | no no",
        Role.DEFINE: "what is a | what is an | what's a | what's an | what does | what is meant by | define "
        "| meaning of | explain | mean | tell me what",
        Role.GREET: "hi | hello | hey | good morning | good afternoon | good evening | hello there | hi there | greetings",
        Role.THANK: "thank | thank you | thanks a lot | many thanks | thank you so much | thank you very much | cheers "
        "| great | perfect | nice | cool | awesome | lovely | wonderful | love it | i love it | brilliant | good",
        Role.LEAVE: "bye | goodbye | good bye | see you | that's all | that is all | that will be all | good night",
        Role.SERVICE: "shipping | ship to | delivery | deliver | refund | return policy | my order | warranty | paypal "
        "| who are you | what can you do | are you a robot | tell me a joke | who made you | opening hours "
        "| track my order | gift card | customer service | how are you | what's your name | what is your name "
        "| how does this work | voucher | discount code | return it",
    }
)
"""The phrases of each role. Where two roles list one phrase, the later wins; a longer phrase beats a shorter one."""

STYLES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "sleeve": {
            "sleeveless": "sleeveless | without sleeves | no sleeves | without any sleeves | sleeve less",
            "short-sleeve": "short sleeve | short sleeved",
            "long-sleeve": "long sleeve | long sleeved | full sleeve",
        },
        "neck": {
            "crew-neck": "crew neck | crewneck | round neck | crew neckline",
            "v-neck": "v neck | vneck | v neckline | v necked",
            "square-neck": "square neck | square neckline",
            "turtleneck": "turtleneck | turtle neck | roll neck | polo neck | high neck",
        },
        "length": {
            "mini": "mini | mini length",
            "midi": "midi | knee length | mid length | midi length",
            "maxi": "maxi | floor length | ankle length | maxi length",
            "cropped": "cropped | crop | cropped length",
            "hip-length": "hip length",
            "longline": "longline | long line",
            "full-length": "full length",
        },
        "material": {
            word: word
            for word in (
                "cotton", "knit", "silk", "denim", "leather", "wool", "quilted", "suede", "canvas", "linen", "velvet",
                "satin", "cashmere", "lace", "nylon", "fleece", "corduroy", "tweed", "polyester",
            )
        } | {"knit": "knit | knitted", "wool": "wool | woollen | woolen", "silk": "silk | silky"},
        "shape": {"a-line": "a line", "pencil": "pencil", "pleated": "pleated | pleat"},
        "collar": {
            "hooded": "hooded | with a hood | with hood | hood",
            "lapel": "lapel",
            "stand-collar": "stand collar | stand up collar | standing collar | mandarin collar",
        },
        "closure": {
            "zip": "zip | zipped | zip up | zipper | with a zip | zippered",
            "button": "button | buttoned | button up | button down",
        },
        "fit": {
            "skinny": "skinny | slim fit | slim",
            "straight-leg": "straight leg | straight cut",
            "wide-leg": "wide leg | wide legged",
            "flared": "flared | flare | bell bottom | bootcut",
        },
        "type": {
            "sneakers": "sneaker | trainer | running shoe", "boots": "boot", "heels": "heel | high heel | pump | stiletto",
            "loafers": "loafer | slip on", "sandals": "sandal | flip flop",
            "tote": "tote | tote bag", "backpack": "backpack | rucksack", "handbag": "handbag | hand bag | purse",
            "clutch": "clutch | clutch bag | evening bag",
            "cap": "cap | baseball cap", "beanie": "beanie | bobble hat | woolly hat", "bucket-hat": "bucket hat",
            "fedora": "fedora | trilby",
        },
    }
)  # fmt: skip
"""Values that catalogues seldom have as a facet, by slot; each is said as training captions say it."""

SCALES: Mapping[str, tuple[tuple[str, ...], ...]] = MappingProxyType(
    {
        "length": (
            ("mini", "midi", "maxi"),
            ("cropped", "hip-length", "longline"),
            ("cropped", "full-length"),
        ),
        "sleeve": (("sleeveless", "short-sleeve", "long-sleeve"),),
    }
)
"""Ordered values along which "longer" and "shorter" step."""

TROUSER_SCALE = ("cropped", "full-length")
"""The one of two scales that holds for trousers."""

STEPS: Mapping[str, tuple[str, int]] = MappingProxyType(
    {
        "longer | too short": ("length", 1),
        "shorter | too long": ("length", -1),
        "longer sleeves | with longer sleeves": ("sleeve", 1),
        "shorter sleeves | with shorter sleeves": ("sleeve", -1),
    }
)
"""Phrases that move a slot's value up or down its scale, the plainest first."""

FAULTS: Mapping[str, str] = MappingProxyType(
    {
        "colour": "bright | dark | loud | light | pale | dull | garish | gloomy | colourful | flashy | vivid | gaudy | drab "
        "| intense | neon",
        "pattern": "busy | patterned | plain | childish | kitschy | wild",
        "fit": "tight | loose | baggy | wide | narrow | big | small | boxy | clingy",
        "material": "thin | heavy | thick | itchy | shiny | stiff | scratchy | warm | sheer | rough | flimsy",
        "style": "formal | casual | fancy | simple | boring | old-fashioned | girly | sporty | revealing | frumpy | basic",
    }
)
"""What may be said to be too much, by the attribute that it finds fault with; length and price have words of their own."""

FAULT_OPENINGS = ("too", "way too", "far too", "a bit too", "much too", "so", "overly", "bit too")

SYNONYMS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "colour": {
            "grey": "gray | charcoal | silver", "red": "scarlet | crimson", "burgundy": "maroon | wine red | bordeaux",
            "pink": "rose | magenta | fuchsia", "yellow": "mustard | lemon", "green": "emerald | lime",
            "olive": "khaki | olive green", "teal": "turquoise | petrol | aqua", "blue": "cobalt | azure | royal blue",
            "navy": "navy blue | dark blue | midnight blue", "purple": "violet | lilac | lavender | mauve",
            "brown": "chocolate | tan | camel", "beige": "cream | sand | ecru | nude", "white": "ivory | off white",
            "black": "jet black",
        },
        "pattern": {
            "plain": "plain | solid | no pattern | without pattern | without a pattern | unpatterned | patternless",
            "striped": "stripe | stripy | stripey | pinstripe | pinstriped", "polka-dot": "polka dot | dotted | dot | spotted",
            "checked": "check | checkered | chequered | plaid | tartan | gingham",
            "floral": "flower | flowery | flowered | floral print",
        },
        "category": {
            "dress": "gown | frock", "trousers": "pants | slacks | bottoms", "hat": "headwear", "shoes": "footwear",
            "jacket": "outerwear",
        },
    }
)  # fmt: skip
"""Words that mean a value; each holds only where a facet has that value."""

HYPONYMS: Mapping[str, str] = MappingProxyType(
    {
        "shoes": "sneakers | boots | heels | loafers | sandals",
        "bag": "tote | backpack | handbag | clutch",
        "hat": "cap | beanie | bucket-hat | fedora",
        "top": "shirt | blouse | t-shirt | sweater | jumper | cardigan | tank top | pullover | hoodie",
        "jacket": "coat | blazer | parka | bomber | anorak",
        "trousers": "jeans | chinos | leggings",
    }
)
"""Kinds of a category: the category goes into the filter, the kind itself stays in the query."""

GLOSSARY: Mapping[str, str] = MappingProxyType(
    {
        "mini": "Mini means cut well above the knee.",
        "midi": "Midi means cut between the knee and the ankle.",
        "maxi": "Maxi means reaching to the ankle or the floor.",
        "cropped": "Cropped means cut shorter than usual.",
        "longline": "Longline means cut longer than usual, below the hip.",
        "a-line": "A-line means narrow at the waist and wider towards the hem.",
        "pencil": "A pencil skirt is straight and narrow.",
        "pleated": "Pleated means folded into regular, pressed folds.",
        "crew-neck": "A crew neck is round and close to the throat.",
        "v-neck": "A v-neck opens in the shape of a V.",
        "square-neck": "A square neck is cut straight across with square corners.",
        "turtleneck": "A turtleneck is a high, folded collar.",
        "lapel": "Lapels are the folded flaps at the front of a jacket.",
        "fedora": "A fedora is a felt hat with a brim and a creased crown.",
        "beanie": "A beanie is a close-fitting knitted hat.",
        "clutch": "A clutch is a small bag without a strap, carried in the hand.",
        "tote": "A tote is a large open bag with two handles.",
        "loafers": "Loafers are low shoes that slip on without laces.",
        "polka-dot": "Polka-dot means a pattern of round spots.",
        "checked": "Checked means a pattern of crossing stripes or squares.",
        "striped": "Striped means a pattern of parallel bands.",
        "floral": "Floral means a pattern of flowers.",
        "suede": "Suede is leather with a soft, napped surface.",
        "denim": "Denim is the strong cotton twill that jeans are made of.",
    }
)
"""What a term means, for a shopper who asks."""

NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_ORDINAL_WORDS = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
)  # fmt: skip
_ENDINGS = {1: "st", 2: "nd", 3: "rd"}
ORDINALS: Mapping[str, int] = MappingProxyType(
    {word: position for position, word in enumerate(_ORDINAL_WORDS, start=1)}
    | {f"{position}{_ENDINGS.get(position, 'th')}": position for position in range(1, 21)}
    | {f"{noun} {n}": n for noun in ("number", "option", "item") for n in range(1, 21)}
    | {f"number {word}": n for n, word in enumerate(NUMBERS, start=1)}
    | {"last": -1, "final": -1}
)
"""Positions among the products shown, from 1; negative ones count from the end."""
