"""How fast a budget is spent.

The pace is an allocation curve, as in Agarwal, Ghosh, Wei and You, "Budget Pacing for Targeted Online Advertisements at
LinkedIn" (KDD 2014), here even over the campaign's time. There a gateway lowers or raises the share of auctions that a
campaign takes part in as its spend is above or below the curve; here the lease of budget ends at the curve, which holds for
all gateways together and needs no state of its own (decision 77).
"""

from gateway.campaigns import Campaign, Pacing


def allowance(campaign: Campaign, now_ms: int) -> int:
    """Return what may have been spent of a budget by a moment, in micros: bid + (budget - bid) * share of the time passed.

    The first bid is there from the start, so that a small campaign does not wait for its first impression.
    """
    if now_ms < campaign.starts_ms:
        return 0
    if campaign.pacing is Pacing.ASAP or now_ms >= campaign.ends_ms:
        return campaign.budget_micros
    passed, whole = now_ms - campaign.starts_ms, campaign.ends_ms - campaign.starts_ms
    return campaign.bid_micros + (campaign.budget_micros - campaign.bid_micros) * passed // whole
