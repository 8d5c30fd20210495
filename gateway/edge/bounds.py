"""What a request may be in bytes, by its kind, before any of it is parsed.

A parser makes an object of as little as two bytes, so the bytes of a message bound what parsing it costs. Only pictures and
sound are large, and each is one field that is not looked into: everything beside it is held to limits of its own.

    request -- its fields on the wire, at most MAX_WIRE_FIELDS of them
            +- those with a limit of their own: pictures, sound, filter, history
            +- the rest, together
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from google.protobuf.descriptor import Descriptor

from gateway.edge.wire import LENGTH_DELIMITED, NotWire, Part, parts
from gateway.errors import InvalidQuery
from vitrine.domain import limits


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Of one kind of message."""

    rest: int
    """Bytes of all fields that are not named below."""
    named: Mapping[str, int] = field(default_factory=dict)
    """Bytes of a field, all its occurrences together."""
    counted: int = limits.MAX_WIRE_FIELDS
    """Fields on the wire, those of inner messages among them."""
    inner: Mapping[str, "Bounds"] = field(default_factory=dict)
    """Of the message in a field."""

    @cached_property
    def harmless(self) -> int:
        """Return the bytes up to which a request keeps to all of this whatever is in it: a field has one byte at least."""
        inner = (each.harmless for each in self.inner.values())
        return min(self.rest, self.counted, *self.named.values(), *inner)


_SHOWN_OR_SAID = {"image": limits.MAX_PICTURE_BYTES, "audio": limits.MAX_AUDIO_BYTES}
_PRODUCT = Bounds(
    rest=limits.MAX_SMALL_BYTES,
    named={
        "product": limits.MAX_PRODUCT_BYTES,
        # Too large a picture is its product's fault and no reason to end the stream: the service says so.
        "image": limits.MAX_MESSAGE_BYTES,
        "more_images": limits.MAX_MESSAGE_BYTES,
    },
)
_NAMED_ONCE = Bounds(rest=limits.MAX_SMALL_BYTES)

BOUNDS: Mapping[str, Bounds] = {
    "vitrine.v1.SearchRequest": Bounds(
        rest=limits.MAX_WORDS_BYTES, named=_SHOWN_OR_SAID | {"filter": limits.MAX_FILTER_BYTES}
    ),
    "vitrine.v1.ConverseRequest": Bounds(
        rest=limits.MAX_WORDS_BYTES,
        named=_SHOWN_OR_SAID | {"filter": limits.MAX_FILTER_BYTES, "history": limits.MAX_HISTORY_BYTES},
    ),
    "vitrine.v1.RecommendRequest": Bounds(
        rest=limits.MAX_WORDS_BYTES, named={"filter": limits.MAX_FILTER_BYTES}
    ),
    "vitrine.v1.UpsertProductsRequest": Bounds(
        rest=limits.MAX_SMALL_BYTES,
        named={"options": limits.MAX_OPTIONS_BYTES, "product": limits.MAX_MESSAGE_BYTES},
        inner={"product": _PRODUCT},
    ),
    "vitrine.v1.DeleteProductsRequest": Bounds(
        rest=limits.MAX_DELETE_BYTES, counted=limits.MAX_DELETED + limits.MAX_WIRE_FIELDS
    ),
    "vitrine.v1.ReplaceDocumentsRequest": Bounds(
        rest=limits.MAX_SMALL_BYTES, named={"documents": limits.MAX_DOCUMENTS_MESSAGE_BYTES}
    ),
    "vitrine.v1.RecordRequest": Bounds(
        rest=limits.MAX_SMALL_BYTES, named={"events": limits.MAX_EVENTS_BYTES}
    ),
    "vitrine.v1.AddBlockedImagesRequest": Bounds(
        rest=limits.MAX_SMALL_BYTES,
        named={"images": limits.MAX_MESSAGE_BYTES},
    ),
    "vitrine.v1.CheckImageRequest": Bounds(
        rest=limits.MAX_SMALL_BYTES, named={"image": limits.MAX_PICTURE_BYTES}
    ),
    "vitrine.v1.CheckTextRequest": Bounds(rest=limits.MAX_WORDS_BYTES),
    "vitrine.v1.RemoveBlockedImagesRequest": Bounds(
        rest=limits.MAX_BLOCKED_IDS_BYTES, counted=limits.MAX_BLOCKED_LISTED + limits.MAX_WIRE_FIELDS
    ),
    "vitrine.v1.ListBlockedImagesRequest": _NAMED_ONCE,
    "vitrine.v1.CreateCampaignRequest": Bounds(
        rest=limits.MAX_SMALL_BYTES, named={"campaign": limits.MAX_CAMPAIGN_BYTES}
    ),
    "vitrine.v1.UpdateCampaignRequest": Bounds(
        rest=limits.MAX_SMALL_BYTES, named={"campaign": limits.MAX_CAMPAIGN_BYTES}
    ),
    "vitrine.v1.RemoveDocumentsRequest": Bounds(rest=limits.MAX_WORDS_BYTES),
    "vitrine.v1.ListDocumentsRequest": _NAMED_ONCE,
    "vitrine.v1.GetProductRequest": _NAMED_ONCE,
    "vitrine.v1.DescribeRequest": _NAMED_ONCE,
    "vitrine.v1.ExportRequest": _NAMED_ONCE,
    "vitrine.v1.EraseRequest": _NAMED_ONCE,
    "vitrine.v1.RestoreIndexRequest": _NAMED_ONCE,
    "vitrine.v1.DeleteCampaignRequest": _NAMED_ONCE,
    "vitrine.v1.GetCampaignRequest": _NAMED_ONCE,
    "vitrine.v1.ListCampaignsRequest": _NAMED_ONCE,
    "vitrine.v1.ReportSpendRequest": _NAMED_ONCE,
    "grpc.health.v1.HealthCheckRequest": _NAMED_ONCE,
    "grpc.reflection.v1alpha.ServerReflectionRequest": _NAMED_ONCE,
}
"""By the full name of the message. Another kind of request is held to what one thing that is named needs."""


def check_bytes(data: bytes, descriptor: Descriptor) -> None:
    """Hold a request to its bounds.

    Raises:
        InvalidQuery: it is too large; names the field that is most of it, or `request`, and the limit.
    """
    bounds = BOUNDS.get(descriptor.full_name, _NAMED_ONCE)
    if len(data) <= bounds.harmless:
        return
    whole = Part(0, LENGTH_DELIMITED, 0, len(data))
    _check(data, whole, bounds, descriptor, left=Allowance(bounds.counted))


class Allowance:
    """How many fields may still come."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._left = most

    def take(self) -> bool:
        """Take one; False where none is left."""
        self._left -= 1
        return self._left >= 0


def _check(data: bytes, message: Part, bounds: Bounds, descriptor: Descriptor, *, left: Allowance) -> None:
    sizes: Counter[str] = Counter()
    unnamed: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    try:
        for part in parts(data, message.start, message.end):
            known = descriptor.fields_by_number.get(part.number)
            told = known.name if known is not None else "request"
            seen[told] += 1
            if not left.take():
                raise InvalidQuery(seen.most_common(1)[0][0], f"at most {left.most:,} fields of one request")
            name = told if told in bounds.named else ""
            sizes[name] += part.size
            if not name:
                unnamed[told] += part.size
            inner = bounds.inner.get(name)
            kind = known.message_type if known is not None else None
            if inner is not None and kind is not None and part.kind == LENGTH_DELIMITED:
                _check(data, part, inner, kind, left=left)
    except NotWire:
        # The parser will say so, of what it has read by then.
        sizes[""] += message.size - sum(sizes.values())
    _check_sizes(sizes, unnamed, bounds)


def _check_sizes(sizes: Mapping[str, int], unnamed: Counter[str], bounds: Bounds) -> None:
    for name, limit in bounds.named.items():
        if sizes.get(name, 0) > limit:
            raise InvalidQuery(name, f"has {sizes[name]:,} bytes; the limit is {limit:,}")
    if sizes.get("", 0) > bounds.rest:
        together = f"all fields beside {', '.join(bounds.named)}" if bounds.named else "all fields"
        ((largest, size),) = unnamed.most_common(1) or (("request", sizes[""]),)
        raise InvalidQuery(largest, f"has {size:,} bytes; the limit of {together} is {bounds.rest:,}")
