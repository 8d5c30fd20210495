"""Questions whether a product that was shown is or has something, which the index answers."""

from collections.abc import Sequence

from rewriter.nlu.dialogue_state import Memory, remember
from rewriter.nlu.holding import Question, questions_of
from rewriter.nlu.lexicon import Lexicon
from rewriter.nlu.reading import Reading, point_at, read
from rewriter.nlu.spelling import scaffolding
from rewriter.nlu.tagging import VALUES
from rewriter.nlu.vocabulary import Role, place_of
from rewriter.nlu.words import key_of
from rewriter.replies.builders import asked_about
from vitrine.domain.product import Product
from vitrine.domain.schema import Role as FieldRole
from vitrine.v1 import query_pb2, rewrite_pb2

_PLAIN = VALUES | {
    Role.WORD, Role.FILLER, Role.GLUE, Role.ARTICLE, Role.JOIN, Role.IN, Role.WITH, Role.ONE, Role.POINT, Role.NOT,
}  # fmt: skip
"""What may be asked of a product: no price, no step, no other product."""


def asked_of_shown(
    request: rewrite_pb2.RewriteRequest, lexicon: Lexicon, text: str
) -> rewrite_pb2.Rewrite | None:
    """Return the answer to folded text that asks whether a shown product is something; None where it asks anything else."""
    if request.has_image or not (request.history or request.product_id):
        return None
    memory = remember(request.history, lexicon.schema)
    for question in questions_of(text, lexicon):
        product = _asked_product(question, request.product_id, memory, lexicon)
        if product is not None and question.asked.roles <= _PLAIN:
            rewrite = asked_about(product, reading=question.asked)
            rewrite.query = rewrite.query or question.words
            rewrite.intent = query_pb2.INTENT_CONSULT
            return rewrite
    return None


def _asked_product(question: Question, pointed_id: str, memory: Memory, lexicon: Lexicon) -> Product | None:
    """Return the product that a question names by nothing, by position, by description or by its title; None for none."""
    if not question.it:
        return memory.known.get(pointed_id or memory.reference)
    shown = memory.shown
    if question.position:
        place = place_of(question.position, len(shown))
        return shown[place] if 0 <= place < len(shown) else None
    reading, pointed = point_at(read(question.it, lexicon), shown)
    return pointed[0] if len(pointed) == 1 else _titled(reading, shown, lexicon)


def _titled(reading: Reading, shown: Sequence[Product], lexicon: Lexicon) -> Product | None:
    """Return the one product whose title has every word that is no scaffolding; None for none or several."""
    words = {
        word
        for tag in reading.tags
        if tag.role is Role.WORD and tag.surface not in scaffolding()
        for word in key_of(tag.surface)
    }
    named = [
        product for product in shown if words <= {*key_of(product.text(lexicon.schema, FieldRole.TITLE))}
    ]
    return named[0] if words and len(named) == 1 else None
