"""Kinds of turns that were read wrongly, each by several turns of its own in the languages that the rewriter knows."""

import pytest

from rewriter.engines.port import Engine
from rewriter.quality.turns import Expected, state_request

Read = tuple[str, str, str, str]

KINDS: dict[str, dict[tuple[str, str], Read]] = {
    "two kinds that stand together": {
        ("electronics", "a phone charger"): ("text", "category=charger", "", ""),
        ("electronics", "Laptop Tastatur in schwarz"): ("text", "category=keyboard; colour=black", "", ""),
        ("grocery", "tomato soup"): ("text", "category=soup", "", ""),
        ("grocery", "apple juice"): ("text", "", "", ""),
        ("grocery", "milk bread butter"): ("text", "category in (milk, bread, butter)", "", ""),
    },
    "what a thing goes with": {
        ("first", "shoes for a black dress"): ("text", "category=shoes", "", ""),
        ("first", "zapatos para un vestido negro"): ("text", "category=shoes", "", ""),
        ("first", "eine Tasche passend zu meinen roten Schuhen"): ("text", "category=bag", "", ""),
        ("first", "un sac pour aller avec ma robe rouge"): ("text", "category=bag", "", ""),
        ("furniture", "curtains for the living room"): ("text", 'kind=curtain; room="living room"', "", ""),
    },
    "one kind and not another": {
        ("first", "not heels, sandals"): ("text", "category=shoes", "", ""),
        ("grocery", "keine Milch, sondern Joghurt"): ("text", "category=yogurt", "", ""),
        ("grocery", "no quiero leche sino yogur"): ("text", "category=yogurt", "", ""),
        ("grocery", "不要牛奶,要酸奶"): ("text", "category=yogurt", "", ""),
        ("grocery", "우유 말고 요거트"): ("text", "category=yogurt", "", ""),
    },
    "a word of several kinds": {
        ("grocery", "wine from italy"): (
            "text",
            'category in ("red wine", "white wine"); origin=Italy',
            "",
            "",
        ),
        ("grocery", "Wein unter 9 Euro"): ("text", 'category in ("red wine", "white wine"); price<9', "", ""),
        ("grocery", "not beer, wine"): ("text", 'category in ("red wine", "white wine")', "", ""),
        ("grocery", "wines, red wine please"): ("text", 'category="red wine"', "", ""),
    },
    "several exclusions": {
        ("bags", "pas de noir ni de marron"): ("text", "category=bag; not colour in (black, brown)", "", ""),
        ("bags", "kein schwarz und kein braun"): (
            "text",
            "category=bag; not colour in (black, brown)",
            "",
            "",
        ),
        ("bags", "不要黑色和棕色"): ("text", "category=bag; not colour in (black, brown)", "", ""),
        ("bags", "검은색이랑 갈색 빼고"): ("text", "category=bag; not colour in (black, brown)", "", ""),
        ("furniture", "a table with neither glass nor black"): (
            "text",
            "kind=table; not colour=black; not material=glass",
            "",
            "",
        ),
        ("first", "tout sauf des robes rouges"): ("text", "category=dress; not colour=red", "", ""),
        ("electronics", "charger, not apple"): ("text", "category=charger; without apple", "", ""),
        ("dresses", "any with dots?"): ("text", "category=dress; pattern=polka-dot; price<100", "", ""),
    },
    "all of several keywords": {
        ("grocery", "vegan and gluten free biscuits"): (
            "text",
            "category=biscuits; diet=gluten-free; diet=vegan",
            "",
            "",
        ),
        ("grocery", "lait bio sans lactose"): (
            "text",
            "category=milk; diet=lactose-free; diet=organic",
            "",
            "",
        ),
        ("grocery", "kosher or halal beef"): ("text", "category=beef; diet in (kosher, halal)", "", ""),
    },
    "another amount": {
        ("dresses", "sorry, 40"): ("text", "category=dress; price<40", "", ""),
        ("dresses", "no wait, 120"): ("text", "category=dress; price<120", "", ""),
        ("dresses", "perdón, 80"): ("text", "category=dress; price<80", "", ""),
        ("dresses", "Entschuldigung, 80 meinte ich"): ("text", "category=dress; price<80", "", ""),
        ("dresses", "不对,是80"): ("text", "category=dress; price<80", "", ""),
        ("dresses", "아니요, 80이요"): ("text", "category=dress; price<80", "", ""),
        ("first", "not too expensive jacket under 100"): ("text", "category=jacket; price<100", "", ""),
    },
    "no amount any more": {
        ("dresses", "any price is fine"): ("text", "category=dress", "", ""),
        ("dresses", "Preis egal"): ("text", "category=dress", "", ""),
        ("dresses", "peu importe le prix"): ("text", "category=dress", "", ""),
        ("dresses", "价格不限"): ("text", "category=dress", "", ""),
        ("dresses", "what about under 200"): ("text", "category=dress; price<200", "", ""),
        ("first", "shoes that don't cost more than 80"): ("text", "category=shoes; price ..80", "", ""),
    },
    "words that exclude in scripts without spaces": {
        ("grocery", "不辣的薯片"): ("text", "category=crisps; not flavour=spicy", "", ""),
        ("cheeses", "프랑스산 말고"): ("text", "category=cheese; not origin=France; price<10", "", ""),
        ("bags", "有没有白色的"): ("text", "category=bag; colour=white", "", ""),
        ("grocery", "매운 거 빼고 감자칩"): ("text", "category=crisps; not flavour=spicy", "", ""),
        ("first", "검정 말고 갈색 구두"): ("text", "category=shoes; colour=brown", "", ""),
        ("electronics", "防水蓝牙音箱"): ("text", "category=speaker; waterproof=true", "", ""),
    },
    "what is named alone": {
        ("dresses", "red is fine too"): ("text", "category=dress; colour=red; price<100", "", ""),
        ("dresses", "nichts mit Blumen"): ("text", "category=dress; not pattern=floral; price<100", "", ""),
        ("dresses", "none of these"): ("text", "category=dress; price<100", "", ""),
        ("dresses", "is the blue one available in green"): (
            "refine",
            "category=dress; colour=green; price<100",
            "b1",
            "",
        ),
        ("electronics", "ratón inalámbrico"): ("text", "category=mouse", "", ""),
    },
    "another subject": {
        ("dresses", "nvm, shoes"): ("text", "category=shoes", "", ""),
        ("dresses", "vergiss es, zeig mir Schuhe"): ("text", "category=shoes", "", ""),
        ("dresses", "laisse tomber, montre-moi des sacs"): ("text", "category=bag", "", ""),
        ("dresses", "nah, bags instead"): ("text", "category=bag", "", ""),
        ("dresses", "en fait plutôt une jupe"): ("text", "category=skirt; price<100", "", ""),
        ("dresses", "actually a skirt"): ("text", "category=skirt; price<100", "", ""),
        ("cheeses", "jetzt noch Brot"): ("text", "category=bread", "", ""),
    },
    "orders": {
        ("dresses", "du moins cher au plus cher"): (
            "text",
            "category=dress; price<100",
            "",
            "price_ascending",
        ),
        ("dresses", "de más caro a más barato"): (
            "text",
            "category=dress; price<100",
            "",
            "price_descending",
        ),
        ("sofas", "which of these is the cheapest"): ("text", "kind=sofa; price<900", "", "price_ascending"),
        ("sofas", "lequel coûte le moins ?"): ("text", "kind=sofa; price<900", "", "price_ascending"),
        ("headphones", "la mieux notée ?"): (
            "text",
            "category=headphones; price<200",
            "",
            "rating_descending",
        ),
        ("headphones", "el mejor valorado"): (
            "text",
            "category=headphones; price<200",
            "",
            "rating_descending",
        ),
        ("headphones", "am besten bewertet"): (
            "text",
            "category=headphones; price<200",
            "",
            "rating_descending",
        ),
    },
    "measures in other languages": {
        ("electronics", "tv bigger than 50 inches"): ("text", "category=television; screen>50", "", ""),
        ("electronics", "monitor 24 to 27 inch"): ("text", "category=monitor; screen 24..27", "", ""),
        ("electronics", "50寸以上的电视"): ("text", "category=television; screen 50..", "", ""),
    },
    "questions about a product": {
        ("sofas", "welche Farbe hat das dritte?"): ("chat", "", "s3", ""),
        ("sofas", "de quelle couleur est le premier ?"): ("chat", "", "s1", ""),
        ("headphones", "how many stars does the second have"): ("chat", "", "h2", ""),
        ("headphones", "what brand is the first?"): ("chat", "", "h1", ""),
        ("sofas", "does the last one come in leather"): (
            "refine",
            "kind=sofa; material=leather; price<900",
            "s3",
            "",
        ),
        ("sofas", "do any of these come in green"): ("text", "colour=green; kind=sofa; price<900", "", ""),
        ("sofas", "the first one but bigger"): ("refine", "kind=sofa; price<900", "s1", ""),
    },
    "whether a thing is sold": {
        ("first", "do you sell umbrellas?"): ("text", "", "", ""),
        ("grocery", "verkauft ihr Tofu?"): ("text", "", "", ""),
        ("grocery", "¿venden tofu?"): ("text", "", "", ""),
        ("first", "what do you sell"): ("chat", "", "", ""),
    },
}
"""By kind: the state and the words, and route, conditions, references and order that they should have."""


@pytest.mark.parametrize("kind", KINDS)
async def test_turns_of_a_kind_are_read_rightly(kind: str, engine: Engine) -> None:
    """Every one of them."""
    wrong: dict[str, Read] = {}
    for (state, text), expected in KINDS[kind].items():
        request = state_request(state)
        request.text = text
        read = Expected.of(await engine.rewrite(request, timeout_s=30))
        found = (read.route, "; ".join(sorted(read.conditions)), " ".join(read.references), read.sort)
        wrong |= {text: found} if found != expected else {}
    assert wrong == {}
