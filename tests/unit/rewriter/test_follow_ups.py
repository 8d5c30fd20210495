"""Kinds of turns that go on with a search: what they give up, add, correct or ask, in the languages that the rewriter knows."""

import pytest

from rewriter.engines.port import Engine
from rewriter.quality.turns import Expected, condition_set, state_request
from vitrine.filter_text import parse_filter

Read = tuple[str, str, str, str]

KINDS: dict[str, dict[tuple[str, str, str], Read]] = {
    "a field that no longer matters": {
        ("dresses", "category=dress and colour=red and price<100", "whatever pattern, and the colour is irrelevant"): (
            "text", "category=dress; price<100", "", "",
        ),
        ("dresses", "category=dress and pattern=floral and price<100", "das Muster spielt keine Rolle"): (
            "text", "category=dress; price<100", "", "",
        ),
        ("bags", "category=bag and colour=brown", "n'importe quelle couleur"): ("text", "category=bag", "", ""),
        ("bags", "category=bag and brand=Osterly", "no me importa la marca"): ("text", "category=bag", "", ""),
        ("bags", "category=bag and colour=brown", "什么颜色都行"): ("text", "category=bag", "", ""),
        ("novels", "genre=novel and language=German and price<20", "언어는 중요하지 않아요"): (
            "text", "genre=novel; price<20", "", "",
        ),
        ("sofas", "kind=sofa and colour=grey and price<900", "any colour but yellow"): (
            "text", "kind=sofa; not colour=yellow; price<900", "", "",
        ),
        ("drills", "category=drill and voltage>=18", "the voltage doesn't matter"): ("text", "category=drill", "", ""),
        ("drills", "category=drill and price<150", "the budget is flexible"): ("text", "category=drill", "", ""),
    },
    "a value that is no longer needed": {
        ("cheeses", "category=cheese and diet=vegan and price<10", "they don't have to be vegan any more"): (
            "text", "category=cheese; price<10", "", "",
        ),
        ("headphones", "category=headphones and waterproof=true", "wasserdicht müssen sie nicht sein"): (
            "text", "category=headphones", "", "",
        ),
        ("sofas", "kind=sofa and material=velvet", "no hace falta que sea de terciopelo"): ("text", "kind=sofa", "", ""),
        ("drills", "category=drill and cordless=true", "sans fil n'est pas indispensable"): (
            "text", "category=drill", "", "",
        ),
        ("headphones", "category=headphones and waterproof=true", "不一定要防水"): ("text", "category=headphones", "", ""),
        ("drills", "category=drill and cordless=true", "무선 아니어도 괜찮아요"): ("text", "category=drill", "", ""),
    },
    "values beside those before": {
        ("sofas", "kind=sofa and colour=grey and price<900", "or maybe pink"): (
            "text", "colour in (grey, pink); kind=sofa; price<900", "", "",
        ),
        ("sofas", "kind=sofa and colour=grey", "Gelb ginge auch"): ("text", "colour in (grey, yellow); kind=sofa", "", ""),
        ("bags", "category=bag and colour=red", "el verde también me vale"): (
            "text", "category=bag; colour in (red, green)", "", "",
        ),
        ("bags", "category=bag and colour=red", "ou bien du vert"): ("text", "category=bag; colour in (red, green)", "", ""),
        ("cheeses", "category=cheese and origin=Spain", "丹麦的也行"): (
            "text", "category=cheese; origin in (Spain, Denmark)", "", "",
        ),
        ("bags", "category=bag and colour=red", "초록색도 괜찮아요"): ("text", "category=bag; colour in (red, green)", "", ""),
        ("cheeses", "category=cheese and diet=vegan", "and organic"): ("text", "category=cheese; diet=organic; diet=vegan", "", ""),
        ("cheeses", "category=cheese and diet=vegan", "or vegetarian"): (
            "text", "category=cheese; diet in (vegan, vegetarian)", "", "",
        ),
        ("bags", "category=bag and colour=red", "or rather green"): ("text", "category=bag; colour=green", "", ""),
        ("bags", "category=bag and colour=red", "oder doch lieber grün"): ("text", "category=bag; colour=green", "", ""),
    },
    "a slip put right": {
        ("drills", "category=drill and power=electric and price<150", "oops, I meant a grinder"): (
            "text", "category=grinder; power=electric; price<150", "", "",
        ),
        ("drills", "category=drill and power=electric", "Entschuldigung, ich meinte eine Säge"): (
            "text", "category=saw; power=electric", "", "",
        ),
        ("drills", "category=drill and power=electric", "je voulais dire une ponceuse"): (
            "text", "category=sander; power=electric", "", "",
        ),
        ("novels", "genre=novel and language=German and price<20", "perdona, quería decir en inglés"): (
            "text", "genre=novel; language=English; price<20", "", "",
        ),
        ("headphones", "", "oh no, blue"): ("text", "category=headphones; colour=blue; price<200", "", ""),
    },
    "the one in the middle, and the last but one": {
        ("sofas", "", "what does the middle one cost?"): ("chat", "", "s2", ""),
        ("sofas", "", "die mittlere in Grün"): ("refine", "colour=green; kind=sofa; price<900", "s2", ""),
        ("novels", "", "¿cuántas páginas tiene el del medio?"): ("chat", "", "v2", ""),
        ("drills", "", "algo parecido al penúltimo"): ("similar", "category=drill; price<150", "d2", ""),
        ("headphones", "", "第2个有黑色的吗"): ("refine", "category=headphones; colour=black; price<200", "h2", ""),
        ("novels", "", "가운데 거 얼마예요?"): ("chat", "", "v2", ""),
        ("sofas", "", "vergleiche Nummer 1 und Nummer 3"): ("compare", "", "s1 s3", ""),
    },
    "questions about one of them": {
        ("headphones", "", "would the second one fit under a helmet?"): ("chat", "", "h2", ""),
        ("sofas", "", "is the blue one comfortable enough for a nap?"): ("chat", "", "s2", ""),
        ("drills", "", "ist der zweite groß genug für Beton?"): ("chat", "", "d2", ""),
        ("drills", "", "which is better, the first or the second?"): ("compare", "", "d1 d2", ""),
        ("drills", "", "welcher ist besser, der erste oder der dritte?"): ("compare", "", "d1 d3", ""),
        ("sofas", "", "den zweiten, aber in Gelb"): ("refine", "colour=yellow; kind=sofa; price<900", "s2", ""),
    },
    "how many there are": {
        ("novels", "", "so how many do you have in all"): ("chat", "", "", ""),
        ("novels", "", "und wie viele sind das?"): ("chat", "", "", ""),
        ("novels", "", "¿cuántos tienes?"): ("chat", "", "", ""),
        ("novels", "", "il y en a combien ?"): ("chat", "", "", ""),
        ("novels", "", "总共多少本?"): ("chat", "", "", ""),
        ("novels", "", "몇 권 있어요?"): ("chat", "", "", ""),
    },
    "what is asked of all": {
        ("headphones", "", "they have to be waterproof"): ("text", "category=headphones; price<200; waterproof=true", "", ""),
        ("sofas", "", "es muss aus Leder sein"): ("text", "kind=sofa; material=leather; price<900", "", ""),
        ("sofas", "", "tiene que ser de cuero"): ("text", "kind=sofa; material=leather; price<900", "", ""),
        ("headphones", "", "要防水的"): ("text", "category=headphones; price<200; waterproof=true", "", ""),
        ("headphones", "", "I don't want to pay more than 70"): ("text", "category=headphones; price ..70", "", ""),
        ("headphones", "", "je ne veux pas dépenser plus de 70"): ("text", "category=headphones; price ..70", "", ""),
        ("headphones", "", "不要超过70欧"): ("text", "category=headphones; price ..70", "", ""),
    },
    "what is asked of all without saying so": {
        ("sofas", "", "with a velvet cover"): ("text", "kind=sofa; material=velvet; price<900", "", ""),
        ("sofas", "", "pink would be lovely"): ("text", "colour=pink; kind=sofa; price<900", "", ""),
        ("sofas", "", "in Schwarz wäre schön"): ("text", "colour=black; kind=sofa; price<900", "", ""),
        ("sofas", "", "dans les tons noirs ou blancs"): ("text", "colour in (black, white); kind=sofa; price<900", "", ""),
        ("sofas", "", "en tonos grises"): ("text", "colour=grey; kind=sofa; price<900", "", ""),
        ("sofas", "", "天鹅绒的会更好"): ("text", "kind=sofa; material=velvet; price<900", "", ""),
    },
    "limits behind an amount": {
        ("drills", "", "100 tops"): ("text", "category=drill; price ..100", "", ""),
        ("drills", "", "100 is the most I can spend"): ("text", "category=drill; price ..100", "", ""),
        ("drills", "", "100 Euro sind mein Limit"): ("text", "category=drill; price ..100", "", ""),
        ("drills", "", "100 euros como tope"): ("text", "category=drill; price ..100", "", ""),
        ("drills", "", "100 euros, c'est mon maximum"): ("text", "category=drill; price ..100", "", ""),
        ("drills", "", "100欧封顶"): ("text", "category=drill; price ..100", "", ""),
    },
    "some that are left out": {
        ("sofas", "", "none of the leather ones"): ("text", "kind=sofa; not material=leather; price<900", "", ""),
        ("sofas", "", "nothing in red or black"): ("text", "kind=sofa; not colour in (black, red); price<900", "", ""),
        ("sofas", "", "los de cuero no me gustan"): ("text", "kind=sofa; not material=leather; price<900", "", ""),
        ("sofas", "", "die aus Leder gefallen mir nicht"): ("text", "kind=sofa; not material=leather; price<900", "", ""),
        ("sofas", "", "ceux en cuir ne me plaisent pas"): ("text", "kind=sofa; not material=leather; price<900", "", ""),
    },
    "a slip that tells what was said": {
        ("sofas", "kind=sofa and colour=white", "I said white but I meant pink"): ("text", "colour=pink; kind=sofa", "", ""),
        ("sofas", "kind=sofa and colour=white", "no wait, I said white but pink's what I want"): ("text", "colour=pink; kind=sofa", "", ""),
        ("sofas", "kind=sofa and colour=white", "ich habe Weiß gesagt, meinte aber Rosa"): ("text", "colour=pink; kind=sofa", "", ""),
        ("sofas", "kind=sofa and colour=white", "dije blanco pero quería decir rosa"): ("text", "colour=pink; kind=sofa", "", ""),
    },
    "another kind of thing": {
        ("sofas", "kind=sofa and colour=grey and price<900", "right, a mirror next"): ("text", "kind=mirror", "", ""),
        ("drills", "", "and screws while I'm at it"): ("text", "category=screws", "", ""),
        ("cheeses", "", "thanks, that will be all for today"): ("chat", "", "", ""),
        ("novels", "", "thank you, I'll think it over"): ("chat", "", "", ""),
    },
}  # fmt: skip
"""By kind: the state, the conditions that stand, and the words; then route, conditions, references and order that they should have."""


@pytest.mark.parametrize("kind", KINDS)
async def test_turns_of_a_kind_are_read_rightly(kind: str, engine: Engine) -> None:
    """Every one of them."""
    wrong: dict[str, Read] = {}
    for (state, standing, text), expected in KINDS[kind].items():
        request = state_request(state)
        request.text = text
        if standing:
            request.history[-1].rewrite.filter.CopyFrom(parse_filter(standing))
        read = Expected.of(await engine.rewrite(request, timeout_s=30))
        found = (read.route, "; ".join(sorted(read.conditions)), " ".join(read.references), read.sort)
        wanted = (expected[0], "; ".join(sorted(condition_set(expected[1]))), *expected[2:])
        wrong |= {text: found} if found != wanted else {}
    assert wrong == {}
