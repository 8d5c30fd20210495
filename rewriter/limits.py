"""What a request may hold, and what a rewrite may; both sides of the port are held against these."""

MAX_TEXT_LENGTH = 2_000
"""Characters of the shopper's words, of a query and of a modification."""

MAX_TURNS = 50
"""Turns of a conversation."""

MAX_SHOWN = 20
"""Products that one turn shows."""

MAX_FACET_VALUES = 256
"""Values of one facet."""

MAX_FACETS = 16
"""Facets of a request."""

MAX_ID_LENGTH = 128
"""Characters of the id of a product or a picture."""

MAX_REPLY_LENGTH = 500
"""Characters of the sentence for the shopper."""

MAX_REFERENCES = 20
"""Products or pictures that a turn may speak of."""

MAX_REMARKS = 8
"""Remarks of a turn."""

MAX_REMARK_LENGTH = 128
"""Characters of a remark's field and of its value."""

MAX_FILTER_DEPTH = 8
MAX_FILTER_VALUES = 256
"""A filter's levels and values, as vitrine.v1.Filter promises."""
