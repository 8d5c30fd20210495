"""The settings of retrieval and of the ranking signals, as an operator chooses them."""

from gateway.assembly.learning import learnt_share, open_learning
from gateway.model import Weights
from gateway.retrieval.pipeline import RetrievalSettings
from gateway.retrieval.signals import LEXICAL
from gateway.retrieval.steering import INTENT, UNLIKE
from gateway.retrieval.taste import PERSONAL
from gateway.settings import Settings
from vitrine.domain.routes import Route


def retrieval_settings(settings: Settings) -> RetrievalSettings:
    """Return what retrieval is told.

    Raises:
        InvalidSettings: the ranker's file may not serve.
    """
    image_weights = {
        Route.TEXT: settings.text_image_weight,
        Route.IMAGE: settings.image_image_weight,
        Route.COMPOSED: settings.composed_image_weight,
        Route.REFINE: settings.refine_image_weight,
        Route.SIMILAR: settings.similar_image_weight,
    }
    return RetrievalSettings(
        weights={route: Weights(text=1 - image, image=image) for route, image in image_weights.items()},
        shares=signal_shares(settings),
        margin_s=settings.deadline_margin_ms / 1e3,
        embedding_cache_entries=settings.embedding_cache_entries,
        product_cache_entries=settings.product_cache_entries,
        product_cache_ttl_s=settings.product_cache_ttl_s,
        result_cache_entries=settings.result_cache_entries,
        personal_budget_s=settings.personal_budget_ms / 1e3,
        learning=open_learning(settings),
    )


def signal_shares(settings: Settings) -> dict[str, float]:
    """Return what each ranking signal counts for at most."""
    return {
        LEXICAL: settings.lexical_share,
        PERSONAL: settings.personal_share,
        INTENT: settings.intent_share,
        UNLIKE: settings.unlike_share,
        **learnt_share(settings),
    }
