"""What each method needs of its caller: the one table of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.callers import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a method asks of its caller, and what it does."""

    scopes: frozenset[Scope]
    """One of them is enough."""
    writes: bool = False
    """It changes an index or a campaign, or touches what is kept of a person, so that it leaves a line in the audit log."""
    ingests: bool = False
    """It is a stream of products, which is counted apart from calls."""

    @property
    def for_searchers(self) -> bool:
        """Whether callers who may search and no more may call it."""
        return Scope.SEARCH in self.scopes

    @property
    def in_front(self) -> bool:
        """Whether it is answered where searches are; all else has a listener of its own."""
        return self.for_searchers or Scope.FEEDBACK in self.scopes


_SEARCHES = Needs(scopes=frozenset({Scope.SEARCH}))
_READS = Needs(scopes=frozenset({Scope.SEARCH, Scope.CATALOGUE}))
_CAMPAIGNS = Needs(scopes=frozenset({Scope.CAMPAIGNS}))
_UNKNOWN = Needs(scopes=frozenset({Scope.ADMIN}), writes=True)

NEEDS: Mapping[str, Needs] = {
    "vitrine.v1.SearchService.Search": _SEARCHES,
    "vitrine.v1.SearchService.Converse": _SEARCHES,
    "vitrine.v1.SearchService.Recommend": _SEARCHES,
    # Who writes products may read them, and the schema by which they are written.
    "vitrine.v1.CatalogueService.GetProduct": _READS,
    "vitrine.v1.CatalogueService.Describe": _READS,
    # A rebuild asks for ADMIN besides, where it is known that it is one.
    "vitrine.v1.CatalogueService.UpsertProducts": Needs(
        scopes=frozenset({Scope.CATALOGUE}), writes=True, ingests=True
    ),
    "vitrine.v1.CatalogueService.DeleteProducts": Needs(scopes=frozenset({Scope.CATALOGUE}), writes=True),
    "vitrine.v1.CatalogueService.ListIndexes": Needs(scopes=frozenset({Scope.CATALOGUE, Scope.ADMIN})),
    "vitrine.v1.DocumentService.ReplaceDocuments": Needs(scopes=frozenset({Scope.CATALOGUE}), writes=True),
    "vitrine.v1.DocumentService.RemoveDocuments": Needs(scopes=frozenset({Scope.CATALOGUE}), writes=True),
    "vitrine.v1.DocumentService.ListDocuments": Needs(scopes=frozenset({Scope.CATALOGUE, Scope.ADMIN})),
    "vitrine.v1.ModerationService.AddBlockedImages": Needs(scopes=frozenset({Scope.ADMIN}), writes=True),
    "vitrine.v1.ModerationService.RemoveBlockedImages": Needs(scopes=frozenset({Scope.ADMIN}), writes=True),
    "vitrine.v1.ModerationService.ListBlockedImages": Needs(scopes=frozenset({Scope.CATALOGUE, Scope.ADMIN})),
    "vitrine.v1.ModerationService.CheckImage": Needs(scopes=frozenset({Scope.CATALOGUE, Scope.ADMIN})),
    "vitrine.v1.ModerationService.CheckText": Needs(scopes=frozenset({Scope.CATALOGUE, Scope.ADMIN})),
    "vitrine.v1.FeedbackService.Record": Needs(scopes=frozenset({Scope.FEEDBACK})),
    # Who was told or erased is in the audit log by the call, and never by name.
    "vitrine.v1.DataService.Export": Needs(scopes=frozenset({Scope.DATA}), writes=True),
    "vitrine.v1.DataService.Erase": Needs(scopes=frozenset({Scope.DATA}), writes=True),
    # It spends privacy budget.
    "vitrine.v1.ReportService.Report": Needs(scopes=frozenset({Scope.REPORT}), writes=True),
    "vitrine.v1.CampaignService.CreateCampaign": Needs(scopes=frozenset({Scope.CAMPAIGNS}), writes=True),
    "vitrine.v1.CampaignService.UpdateCampaign": Needs(scopes=frozenset({Scope.CAMPAIGNS}), writes=True),
    "vitrine.v1.CampaignService.DeleteCampaign": Needs(scopes=frozenset({Scope.CAMPAIGNS}), writes=True),
    "vitrine.v1.CampaignService.GetCampaign": _CAMPAIGNS,
    "vitrine.v1.CampaignService.ListCampaigns": _CAMPAIGNS,
    "vitrine.v1.CampaignService.ReportSpend": _CAMPAIGNS,
    "vitrine.v1.CatalogueService.RestoreIndex": Needs(scopes=frozenset({Scope.ADMIN}), writes=True),
}
"""By the methods' full names."""


def needs(method: str) -> Needs:
    """Return what a method needs; one that the table lacks is the administrators'."""
    return NEEDS.get(method, _UNKNOWN)
