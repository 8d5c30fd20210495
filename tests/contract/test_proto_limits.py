"""The comments of vitrine/v1/*.proto quote the limits of vitrine.domain.limits, and no number of their own."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2

from gateway.api.data_servicer import MAX_EXPORTED
from vitrine.domain import limits
from vitrine.moderation.fingerprints import BITS
from vitrine.preprocess import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS

ROOT = Path(__file__).parents[2]
PROTOS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "vitrine/v1").glob("*.proto"))

QUOTED: Mapping[str, tuple[int, ...]] = {
    "AddBlockedImagesRequest.images": (limits.MAX_BLOCKED_AT_ONCE, limits.MAX_BLOCKED_IMAGES),
    "ImageToBlock.image": (limits.MAX_PICTURE_BYTES,),
    "ImageToBlock.label": (limits.MAX_BLOCKED_LABEL_LENGTH,),
    "RemoveBlockedImagesRequest.ids": (limits.MAX_BLOCKED_LISTED,),
    "ListBlockedImagesRequest.page_size": (limits.MAX_BLOCKED_LISTED, limits.DEFAULT_BLOCKED_LISTED),
    "ListBlockedImagesRequest.page_token": (limits.MAX_BLOCKED_ID_LENGTH,),
    "CheckImageResponse.distance": (BITS,),
    "CheckTextRequest.text": (limits.MAX_QUERY_LENGTH,),
    "Campaign": (limits.MAX_CAMPAIGNS,),
    "Campaign.advertiser": (limits.MAX_ADVERTISER_LENGTH,),
    "Campaign.bid_micros": (limits.MAX_BID_MICROS,),
    "Campaign.budget_micros": (limits.MAX_BUDGET_MICROS,),
    "Campaign.daily_cap": (limits.MAX_DAILY_CAP,),
    "Campaign.ends": (limits.MAX_CAMPAIGN_DAYS,),
    "Campaign.id": (limits.MAX_CAMPAIGN_ID_LENGTH,),
    "Campaign.locales": (limits.MAX_CAMPAIGN_LOCALES,),
    "Campaign.products": (limits.MAX_CAMPAIGN_PRODUCTS,),
    "CatalogueField.name": (limits.MAX_FIELD_NAME_LENGTH,),
    "CatalogueSchema.fields": (limits.MAX_SCHEMA_FIELDS,),
    "Comparison.fields": (limits.MAX_COMPARED_FIELDS,),
    "Comparison.products": (limits.MAX_COMPARED_PRODUCTS,),
    "ConverseRequest.history": (limits.MAX_HISTORY_TURNS,),
    "ConverseRequest.text": (limits.MAX_QUERY_LENGTH,),
    "DeleteProductsRequest.product_ids": (limits.MAX_DELETED,),
    "Document.name": (limits.MAX_DOCUMENT_NAME_LENGTH,),
    "Document.text": (limits.MAX_DOCUMENT_BYTES,),
    "DocumentAnswer.quotes": (limits.MAX_QUOTED,),
    "ExcludedWords.forms": (limits.MAX_EXCLUDED_FORMS - 1,),
    "ExcludedWords.said": (limits.MAX_REMARK_LENGTH,),
    "Exclusion.forms": (limits.MAX_EXCLUDED_FORMS - 1,),
    "Facet": (limits.MAX_FACET_VALUES,),
    "FacetCounts.values": (limits.MAX_FACET_VALUES,),
    "Event.id": (limits.MAX_EVENT_ID_LENGTH,),
    "Event.position": (limits.MAX_POSITION,),
    "Event.session_id": (limits.MAX_SESSION_ID_LENGTH,),
    "Event.time": (limits.MAX_EVENT_AGE_DAYS,),
    "Event.user_id": (limits.MAX_USER_ID_LENGTH,),
    "ExportRequest.user_id": (limits.MAX_USER_ID_LENGTH,),
    "ExportResponse.events": (limits.MAX_EVENTS, MAX_EXPORTED),
    "Fact.values": (limits.MAX_FACT_VALUES,),
    "Facts": (limits.MAX_FACTS,),
    "FieldDescription.values": (limits.MAX_FACET_VALUES,),
    "Filter": (limits.MAX_FILTER_LEVELS, limits.MAX_FILTER_VALUES),
    "InferenceOptions.fields": (limits.MAX_SCHEMA_FIELDS,),
    "LearnRequest.vocabulary": (limits.MAX_VOCABULARY_BYTES,),
    "ListCampaignsRequest.page_size": (limits.MAX_CAMPAIGN_PAGE, limits.DEFAULT_CAMPAIGN_PAGE),
    "PageToken.excluded": (limits.MAX_EXCLUSIONS,),
    "PageToken.sponsored": (limits.MAX_SPONSORED_PLACES,),
    "PhraseRequest.reply": (limits.MAX_REPLY_LENGTH,),
    "PhraseRequest.text": (limits.MAX_QUERY_LENGTH,),
    "Product.attributes": (limits.MAX_ATTRIBUTES,),
    "Product.caption": (limits.MAX_CAPTION_LENGTH,),
    "Product.caption_by": (limits.MAX_CAPTION_BY_LENGTH,),
    "Product.fields": (limits.MAX_TEXT_BYTES, limits.MAX_KEYWORD_LENGTH, limits.MAX_KEYWORDS),
    "Product.id": (limits.MAX_ID_LENGTH,),
    "Product.image_uris": (limits.MAX_PICTURES,),
    "ProductInput.more_images": (limits.MAX_PICTURES - 1,),
    "RecommendRequest.limit": (limits.MAX_HITS, limits.DEFAULT_HITS),
    "RecommendRequest.product_ids": (limits.MAX_SEEDS,),
    "RecordRequest.events": (limits.MAX_EVENTS, limits.MAX_STREAM_EVENTS),
    "ReportRequest.days": (limits.MAX_REPORT_DAYS, limits.DEFAULT_REPORT_DAYS),
    "RecordResponse.errors": (limits.MAX_EVENT_ERRORS,),
    "RemoveDocumentsRequest.names": (limits.MAX_DOCUMENTS,),
    "ReplaceDocumentsRequest.documents": (
        limits.MAX_DOCUMENTS,
        limits.MAX_DOCUMENTS_BYTES,
        limits.MAX_PASSAGES,
    ),
    "Rewrite.remarks": (limits.MAX_REMARKS,),
    "Rewrite.excluded_words": (limits.MAX_EXCLUSIONS,),
    "SearchRequest.audio": (limits.MAX_AUDIO_BYTES, int(limits.MAX_AUDIO_S)),
    "SearchRequest.facets": (limits.MAX_FACETS,),
    "SearchRequest.image": (MAX_IMAGE_BYTES // 1_000_000, MAX_IMAGE_PIXELS // 1_000_000),
    "SearchRequest.limit": (limits.MAX_HITS, limits.DEFAULT_HITS),
    "SearchRequest.text": (limits.MAX_QUERY_LENGTH,),
    "SearchedQuery.excluded": (limits.MAX_EXCLUSIONS,),
    "TranscribeRequest.audio": (limits.MAX_AUDIO_BYTES, int(limits.MAX_AUDIO_S)),
    "Turn.shown": (limits.MAX_SHOWN,),
    "Vocabulary": (limits.MAX_VOCABULARY_VALUES,),
    "WordsReport.popular": (limits.MAX_REPORTED_WORDS,),
}
"""The numbers that the comment of a message or field quotes, in their order."""

_NO_LIMITS = re.compile(r"(?:BCP|ISO|SHA)[ -]\d+|float32|\b[01]\b(?!,\d)")
"""Names of standards and types, and the ends of intervals that are no limits."""


@pytest.fixture(scope="module")
def comments(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Return the comment of each message and field of the protos that has one."""
    out = tmp_path_factory.mktemp("protos") / "descriptors"
    subprocess.run(
        [
            sys.executable, "-m", "grpc_tools.protoc", "-I.", "--include_source_info",
            f"--descriptor_set_out={out}", *PROTOS,
        ],
        cwd=ROOT,
        check=True,
    )  # fmt: skip
    files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file
    return {
        _name(file, list(location.path)): location.leading_comments
        for file in files
        for location in file.source_code_info.location
        if location.leading_comments
    }


def _name(file: descriptor_pb2.FileDescriptorProto, path: list[int]) -> str:
    """Return the name of what a location's path leads to, such as Product.id, or the file's keyword, such as syntax."""
    names: list[str] = []
    node: Any = file
    while path:
        number, *path = path
        field = node.DESCRIPTOR.fields_by_number[number]
        node = getattr(node, field.name)
        if field.is_repeated:
            index, *path = path
            node = node[index]
            names.append(node.name)
        else:
            names.append(field.name)
    return ".".join(names)


def test_the_numbers_of_a_comment_are_those_of_the_limits(comments: Mapping[str, str]) -> None:
    """Every number that a comment quotes is listed here with its limit, and is that limit."""
    quoted = {name: _numbers(comment) for name, comment in comments.items()}
    assert {name: numbers for name, numbers in quoted.items() if numbers} == QUOTED


def _numbers(comment: str) -> tuple[int, ...]:
    return tuple(
        int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*\b", _NO_LIMITS.sub("", comment))
    )
