"""What is said of products side by side, and of what the catalogue holds."""

from collections.abc import Iterator, Sequence

from gateway.conversation.catalogue_qa import Fact
from gateway.conversation.comparison import Comparison
from gateway.conversation.replies.wording import MAX_VALUES, Wording, quote
from gateway.model import StoredProduct
from vitrine.domain.filters import Filter, conjuncts, matches, names
from vitrine.domain.schema import Kind, Role
from vitrine.domain.values import fold


def comparison_sentences(comparison: Comparison, wording: Wording) -> Iterator[str]:
    """Yield which products are compared, which is the cheapest, and in what they differ; or what one product is."""
    say, products = wording.language.say, comparison.products
    if len(products) == 1:
        yield from _description(comparison, wording)
        return
    yield say("compared", count=len(products))
    prices = [_price(each, wording) for each in products]
    known = [price for price in prices if price is not None]
    if len(known) == len(products) and len({*known}) == 1:
        yield say("one-price", price=wording.money(known[0]))
    elif len(known) > 1:
        cheapest = products[prices.index(min(known))]
        yield say("cheapest", price=wording.money(min(known)), title=_title(cheapest, wording))
    differing = [field.label for field in comparison.fields if not field.equal][:MAX_VALUES]
    if differing:
        yield say("differ", fields=wording.language.listed(differing))


def _description(comparison: Comparison, wording: Wording) -> Iterator[str]:
    say, (product,) = wording.language.say, comparison.products
    yield from _answer(comparison, product, wording)
    yield say("described", title=_title(product, wording))
    price = wording.schema.role(Role.PRICE)
    # The price is asked for more often than everything else.
    rows = sorted(comparison.fields, key=lambda row: price is None or row.field != price.name)[:MAX_VALUES]
    details = [
        say("condition-is", label=row.label, values=_cell(row.field, row.values[0], product, wording))
        for row in rows
    ]
    if details:
        yield say("details", details=say("condition-gap").join(details))


def _answer(comparison: Comparison, product: StoredProduct, wording: Wording) -> Iterator[str]:
    """Yield whether the product is what is asked, yes or no first; what the catalogue does not say is said to be so."""
    say = wording.language.say
    for part in conjuncts(comparison.asked):
        known = any(product.product.values.get(name) not in (None, "", ()) for name in names(part))
        name = (
            "answer-unsaid" if not known else "answer-yes" if matches(part, product.product) else "answer-no"
        )
        yield say(name, conditions=wording.conditions([part]))
        if name == "answer-no":
            yield from _instead(part, comparison, product, wording)
    if comparison.asked_words:
        yield from _in_words(comparison, product, wording)


def _in_words(comparison: Comparison, product: StoredProduct, wording: Wording) -> Iterator[str]:
    """Yield whether the product is what no field says: by its attributes, where it has all that are asked for, else its title."""
    say, asked = wording.language.say, comparison.asked_attributes
    held = {fold(name): value for name, value in product.product.attributes.items()}
    if asked and all(fold(name) in held for name, _ in asked):
        for name, value in asked:
            has = held[fold(name)]
            same = fold(has) == fold(value)
            yield say("answer-yes" if same else "answer-no", conditions=quote(value))
            if not same:
                yield say("answer-has", conditions=say("condition-is", label=name, values=quote(has)))
        return
    text = fold(" ".join([_title(product, wording), *product.product.attributes.values()]))
    said = all(word in text for word in fold(comparison.asked_words).split())
    yield say("answer-yes" if said else "answer-unsaid", conditions=quote(comparison.asked_words))


def _instead(part: Filter, comparison: Comparison, product: StoredProduct, wording: Wording) -> Iterator[str]:
    """Yield what the product has in the place of what is asked, and how many others of its kind have that."""
    say = wording.language.say
    rows = {row.field: row for row in comparison.fields}
    held = [
        say("condition-is", label=row.label, values=_cell(name, row.values[0], product, wording))
        for name in sorted(names(part))
        if (row := rows.get(name)) is not None
    ]
    if held:
        yield say("answer-has", conditions=say("condition-gap").join(held))
    if comparison.others is not None:
        yield say("answer-others", count=comparison.others)


def counted(facts: Sequence[Fact], asked: Filter, wording: Wording) -> Iterator[str]:
    """Yield how many products satisfy what is asked, then where the numbers that are asked for begin and end among them."""
    count, *rest = facts
    conditions = wording.conditions([asked])
    if count.products:
        yield wording.language.say("found", count=count.products, conditions=conditions)
    else:
        yield wording.language.say("none", conditions=conditions)
    yield from fact_sentences(rest, wording)


def fact_sentences(facts: Sequence[Fact], wording: Wording) -> Iterator[str]:
    """Yield what the index knows."""
    for fact in facts:
        owner, say = wording.schema.by_name.get(fact.field), wording.language.say
        if fact.value:
            yield say("fact-count", count=fact.products, label=fact.label, value=quote(fact.value))
        elif fact.values:
            yield say("fact-values", label=fact.label, values=_some(fact.values, wording))
        elif fact.lowest is not None and fact.highest is not None:
            lowest, highest = (wording.number(fact.field, each) for each in (fact.lowest, fact.highest))
            yield say("fact-range", label=fact.label, lowest=lowest, highest=highest)
        elif owner is not None and owner.kind is Kind.BOOLEAN:
            yield say("fact-true", count=fact.products, label=fact.label)


def _some(values: Sequence[str], wording: Wording) -> str:
    listed = [quote(value) for value in values]
    return wording.language.listed(listed)


def _price(product: StoredProduct, wording: Wording) -> float | None:
    price = product.product.by_role(wording.schema, Role.PRICE)
    return price if isinstance(price, float) else None


def _title(product: StoredProduct, wording: Wording) -> str:
    return quote(product.product.text(wording.schema, Role.TITLE) or product.id)


def _cell(field: str, text: str, product: StoredProduct, wording: Wording) -> str:
    value = product.product.values.get(field)
    return wording.number(field, value) if isinstance(value, float) else quote(text)
