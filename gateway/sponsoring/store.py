"""The port of the store of campaigns; adapters stand behind it, under the same contract tests.

Every call takes the seconds that it may last, and raises DeadlineExceeded when they pass.
"""

from collections.abc import Sequence
from typing import Protocol

from gateway.campaigns import Books, Campaign, LeaseRequest
from gateway.errors import Aborted
from vitrine.domain import limits

TAKEN = "is another campaign's: update that one, or choose another id"
"""Why a new campaign is refused that has the id of another."""
TOO_MANY = f"campaigns: at most {limits.MAX_CAMPAIGNS} are kept; delete one first"


def moved() -> Aborted:
    """Return the refusal of a change to a revision that is not the latest."""
    return Aborted("campaign.revision", "the campaign was changed or deleted meanwhile: read it again")


class CampaignStore(Protocol):
    """Keeps campaigns and their books, over all gateways. Raises CampaignStoreError when it fails."""

    async def put(self, campaign: Campaign, *, timeout_s: float) -> Campaign:
        """Keep a campaign in the place of the revision that it names; 0: a new one. Return it with its new revision.

        Raises:
            InvalidQuery: a new one has the id of another; names the field `campaign.id`.
            FailedPrecondition: there are as many campaigns as are kept already.
            Aborted: the campaign has another revision, or is gone.
        """
        ...

    async def delete(self, campaign_id: str, *, timeout_s: float) -> None:
        """Delete a campaign and its books; one that is not there is passed over."""
        ...

    async def version(self, *, timeout_s: float) -> int:
        """Return a number that grows with each change to a campaign. Cheap: asked every second."""
        ...

    async def campaigns(self, *, timeout_s: float) -> list[Campaign]:
        """Return all campaigns, in the order of their ids."""
        ...

    async def lease(self, requests: Sequence[LeaseRequest], *, timeout_s: float) -> list[int]:
        """Enter what was spent, and return for each request what its holder may spend in all, since it began.

        That is what it has spent and what it holds unspent. Spent and held money of all holders together is never more
        than the budget, nor is it brought above the ceiling; each request is one atomic step, and durable when this returns.
        For a campaign that is gone, the answer is what was spent.
        """
        ...

    async def books(self, key: str, *, now_ms: int, timeout_s: float) -> Books:
        """Return what a campaign spent, by the key of its books."""
        ...
