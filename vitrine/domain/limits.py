"""Every limit of the API, once. The comments of the protos and the messages of refusals quote these."""

# Messages, in bytes: what a request may be on the wire, before any of it is parsed
MAX_MESSAGE_BYTES = 12_000_000
"""Bytes of any message; only a product with its pictures has so many."""
MAX_PICTURE_BYTES = 8_000_000
"""Bytes of an encoded picture."""
MAX_AUDIO_BYTES = 2_000_000
"""Bytes of an encoded recording of speech: 30 seconds of 16 bits at 32,000 samples a second."""
MAX_WORDS_BYTES = 64_000
"""Bytes of a search or a turn beside its picture, its sound, its filter and its history."""
MAX_PRODUCT_BYTES = 400_000
"""Bytes of a product beside its pictures."""
MAX_OPTIONS_BYTES = 128_000
"""Bytes of the options of a stream of products."""
MAX_DELETE_BYTES = 520_000
"""Bytes of the ids that one DeleteProducts may name."""
MAX_SMALL_BYTES = 1_024
"""Bytes of a request that names one thing or nothing."""
MAX_WIRE_FIELDS = 256
"""Fields of a request as they stand on the wire, what is nested not looked into; ids of a DeleteProducts aside."""
MAX_ANSWER_BYTES = 4_000_000
"""Bytes of an answer: what gRPC's clients take unless they are told otherwise."""
MAX_HITS_BYTES = 2_500_000
"""Bytes of an answer's hits; beyond them a hit has its product's id alone."""
MAX_LISTED_BYTES = 700_000
"""Bytes of the values that an answer lists of its facets, or a description of its fields."""
MAX_NESTED = 8_192
"""Messages in the lists of one request, all levels together."""
MAX_LISTED = 256
"""Values of a list that has no limit of its own."""
MAX_SIGNALS = 16
"""Signals that weights may name."""

# Products
MAX_ID_LENGTH = 128
"""Characters of a product's id."""
MAX_TITLE_LENGTH = 1_000
"""Characters of a title."""
MAX_KEYWORD_LENGTH = 512
"""Characters of a keyword; the longest category paths of merchant feeds have some 300."""
MAX_KEYWORDS = 64
"""Keywords of one list."""
MAX_TEXT_BYTES = 32_768
"""Bytes of a text field, UTF-8."""
MAX_URI_LENGTH = 2_048
"""Characters of the address of a picture."""
MAX_ATTRIBUTES = 64
"""Attributes of a product beside the fields of the schema."""
MAX_ATTRIBUTE_NAME_LENGTH = 128
"""Characters of an attribute's name."""
MAX_FIELDS_BYTES = 60_000
"""Bytes of all fields of a product together, as JSON; Milvus keeps 65,536 in one column."""
MAX_ATTRIBUTES_BYTES = 60_000
"""Bytes of all attributes of a product together, as JSON."""
MAX_PICTURES = 8
"""Pictures of a product."""
MAX_CAPTION_LENGTH = 1_000
"""Characters of a caption, as of a title."""
MAX_CAPTION_BY_LENGTH = 128
"""Characters of the name of what made a caption."""

# Schemas
MAX_SCHEMA_FIELDS = 64
"""Fields of a schema."""
MAX_FIELD_NAME_LENGTH = 48
"""Characters of a field's name."""
MAX_COLUMN_NAMES = 64
"""Names of columns by which a field is known."""
MAX_LABEL_LENGTH = 64
"""Characters of a field's label and of each of its question words."""
MAX_QUESTION_WORDS = 32
"""Question words of a field in one language."""
MAX_LANGUAGES = 32
"""Languages of a field's labels."""
MAX_SCHEMA_BYTES = 60_000
"""Bytes of a schema, as a TOML file and as a message."""

# Facets
MAX_FACET_VALUES = 256
"""Values of a facet that are listed, most frequent first."""
MAX_COUNTED_VALUES = 100_000
"""Distinct values of a field that are counted; beyond them only values that are known already."""
MAX_FACETS = 64
"""Facets of one request."""
MAX_VOCABULARY_VALUES = 50_000
"""Values, of all fields, that the rewriter links words to."""
MAX_VOCABULARY_BYTES = 3_000_000
"""Bytes of all of them as a message."""
MAX_LINKED_LENGTH = 48
"""Characters of the longest of them: words are linked to phrases, not to sentences."""

# Queries
MAX_QUERY_LENGTH = 2_000
"""Characters of the words of a query."""
MAX_HITS = 200
"""Hits of one page."""
DEFAULT_HITS = 10
MAX_POSITION = 1_000
"""The last hit that pages reach, counted from 1."""
MAX_WEIGHT = 1_000.0
"""Weight of one half of a product's vector: far from where float32 overflows, and nobody means more."""
MAX_PAGE_TOKEN_LENGTH = 12_000
"""Characters of a page token."""
MAX_USER_ID_LENGTH = 128
MAX_FIELD_PATHS = 64
"""Fields of a product that a request may ask for."""
MAX_SESSION_ID_LENGTH = 64
MAX_AUDIO_S = 30.0
"""Seconds of a recording: what one look of the speech model spans, and more than anybody says to a shop at once."""
MAX_TRANSCRIPT_LENGTH = 1_000
"""Characters of what was heard in a recording; 30 seconds of hurried speech have some 600."""

# Filters
MAX_FILTER_LEVELS = 8
"""Height of a filter's tree; a single condition has one level."""
MAX_FILTER_VALUES = 256
"""Values and bounds of a whole filter. Every condition has one at least, so this bounds the conditions too."""
MAX_FILTER_NODES = MAX_FILTER_LEVELS * MAX_FILTER_VALUES
"""Conditions and what joins them; no filter within the two limits above has more."""
MAX_FILTER_BYTES = 600_000
"""Bytes of a filter's message: MAX_FILTER_VALUES values of the greatest length fit; more is refused unread."""

# Conversations
MAX_HISTORY_TURNS = 50
"""Earlier turns that a request may bring."""
MAX_HISTORY_BYTES = 256_000
MAX_SHOWN = 20
"""Products that one turn remembers."""
MAX_REPLY_LENGTH = 1_000
"""Characters of a sentence for the shopper."""
MAX_REFERENCES = 20
"""Products or pictures that a turn may speak of."""
MAX_REMARKS = 8
"""Remarks of a turn."""
MAX_REMARK_LENGTH = 128
"""Characters of a remark's field and of its value."""
MAX_EXCLUSIONS = 8
"""Values and words that a conversation excludes at once; the latest ones count."""
MAX_EXCLUDED_FORMS = 8
"""Forms of one word that is excluded."""
MAX_SOURCE_LENGTH = 64
"""Characters of the name of what read a turn."""
MAX_COMPARED_PRODUCTS = 6
MAX_COMPARED_FIELDS = 24
MAX_FACTS = 4
MAX_FACT_VALUES = 16

# Indexing
MAX_DELETED = 1_000
"""Products that one DeleteProducts may name."""
MAX_CATALOGUE_SOURCE_LENGTH = 256
"""Characters of the name of a stream of products."""
MAX_INDEX_NAME_LENGTH = 255
"""Characters of the name of an index."""

# The shop's documents
MAX_DOCUMENTS = 64
"""Documents of a shop."""
MAX_DOCUMENT_NAME_LENGTH = 200
"""Characters of a document's name."""
MAX_DOCUMENT_BYTES = 100_000
"""Bytes of one document."""
MAX_DOCUMENTS_BYTES = 1_000_000
"""Bytes of all documents together."""
MAX_DOCUMENTS_MESSAGE_BYTES = 1_100_000
"""Bytes of all documents as they are sent, with their names."""
MAX_PASSAGES = 1_000
"""Passages that all documents may be cut into."""
MAX_PASSAGE_LENGTH = 1_200
"""Characters of a passage; a longer text under one heading is cut into several."""
MAX_HEADING_LENGTH = 200
"""Characters of a heading that are kept."""
MAX_QUOTED = 2
"""Passages that one answer quotes."""

# Recommendations
MAX_SEEDS = 8
"""Products that a recommendation starts from."""

# Feedback
MAX_EVENTS = 100
"""Events of one message."""
MAX_STREAM_EVENTS = 10_000
"""Events of one stream."""
MAX_EVENT_ID_LENGTH = 128
"""Characters of an event's id."""
MAX_ANSWER_TOKEN_LENGTH = 128
"""Characters of the token that names an answer."""
MAX_EVENTS_BYTES = 250_000
"""Bytes of one message of events: MAX_EVENTS of the greatest length fit."""
MAX_EVENT_AGE_DAYS = 7
"""Days that an event may be old when it is recorded."""
MAX_EVENT_AHEAD_S = 300
"""Seconds that the clock of an event's sender may be ahead."""
MAX_EVENT_ERRORS = 100
"""Refusals that one answer lists."""

# Reports
MAX_REPORT_DAYS = 31
"""Days that a report may be about."""
DEFAULT_REPORT_DAYS = 7
"""Days of a report that names none."""
MAX_REPORTED_WORDS = 50
"""Queries of each list of a report."""
MIN_ANONYMOUS = 5
"""Different shoppers of whom words may be told, at least, whatever the settings."""
# Moderation
MAX_BLOCKED_IMAGES = 4_000
"""Pictures that are blocked at once: each search with a picture is held against all of them."""
MAX_BLOCKED_AT_ONCE = 32
"""Pictures that one request blocks."""
MAX_BLOCKED_LABEL_LENGTH = 200
"""Characters of the label of a blocked picture."""
MAX_BLOCKED_ID_LENGTH = 64
"""Characters of the id of a blocked picture."""
MAX_BLOCKED_LISTED = 1_000
"""Blocked pictures of one page, and ids that one request may remove."""
DEFAULT_BLOCKED_LISTED = 100
MAX_BLOCKED_IDS_BYTES = 70_000
"""Bytes of the ids that one request may remove."""
MAX_BLOCKED_WORDS = 2_000
"""Blocked words and phrases of all languages together."""
MAX_BLOCKED_WORD_LENGTH = 64
"""Characters of a blocked word or phrase."""
MAX_BLOCKED_WORDS_BYTES = 1_000_000
"""Bytes of the file of blocked words."""
# Campaigns
MAX_CAMPAIGNS = 500
"""Campaigns that are kept at once."""
MAX_CAMPAIGN_ID_LENGTH = 64
"""Characters of a campaign's id."""
MAX_ADVERTISER_LENGTH = 128
"""Characters of the name of who pays."""
MAX_CAMPAIGN_PRODUCTS = 100
"""Products that a campaign may name."""
MAX_CAMPAIGN_LOCALES = 32
"""Locales that a campaign may name."""
MAX_CAMPAIGN_BYTES = 32_000
"""Bytes of a campaign's message; all of them together stay in every gateway's memory."""
MAX_CAMPAIGN_DAYS = 731
"""Days from a campaign's start to its end: two years."""
MAX_BID_MICROS = 1_000_000_000
"""A thousand units of the currency for one impression."""
MAX_BUDGET_MICROS = 1_000_000_000_000_000
"""A thousand million units of the currency; whole numbers up to here are exact in doubles too, as Redis's scripts have them."""
MAX_DAILY_CAP = 1_000
"""Impressions of one campaign that one shopper may be shown a day."""
MAX_CAMPAIGN_PAGE = 100
"""Campaigns of one page of a list."""
DEFAULT_CAMPAIGN_PAGE = 50
MAX_SPONSORED_PLACES = 4
"""Sponsored places of one page."""
