"""The gateway's settings: every field of `Settings` is an environment variable."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.settings_rules import MEMORY, PREFIX, REDIS, check_settings
from vitrine.process.settings import read_settings

__all__ = ["MEMORY", "PREFIX", "REDIS", "Settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Each field is the environment variable GATEWAY_<NAME>; `_ms` and `_s` are units."""

    listen: str = "127.0.0.1:7700"
    """Where searches and turns are answered, as HOST:PORT."""
    own_listen: str = ""
    """A further address where searches are answered, of this process alone; `listen` is then shared with the other gateways of
    this machine, and the kernel spreads new connections over them. For probes, and for clients that spread their calls
    themselves. Empty: `listen` is this process's alone."""
    catalogue_listen: str = ""
    """Where the catalogue is written and indexes are changed. Empty: where searches are answered too, which is for
    loopback."""
    health_listen: str = ""
    """Where health is told without TLS and without asking who it is, and nothing else: for probes. Empty: only where calls
    are answered."""
    metrics_listen: str = "127.0.0.1:7701"
    """Empty: no metrics endpoint."""
    triton: str = "127.0.0.1:7711"
    """Where the encoders are, as HOST:PORT."""
    triton_next: str = ""
    """Other encoders, beside those of `triton`: a rebuild is made with them, and searches are answered by those that made
    the index in use, wherever they serve. Empty: no others."""
    milvus: str = "http://127.0.0.1:19530"
    """URI of the index."""
    rewriter: str = ""
    """Empty: no rewriter."""
    speech: str = ""
    """Empty: searches and turns cannot be spoken."""
    open: str = ""
    """What is open beyond loopback on purpose, in the words of gateway/exposure.py; without them the gateway refuses to
    start where it would be."""
    callers: str = ""
    """The file of callers (gateway/edge/callers_file.py); it is read again when it was exchanged. Empty: nobody is asked."""
    tls_cert: str = ""
    """The gateway's certificate and its chain, PEM, for all listeners; read again when it was exchanged. Empty: no TLS."""
    tls_key: str = ""
    """The key of `tls_cert`, PEM."""
    tls_client_ca: str = ""
    """Certificates of those who may sign callers' certificates; with it nobody is connected without one."""
    mesh_header: str = ""
    """The metadata by which a mesh says who calls, such as x-forwarded-client-cert. Empty: no mesh is believed."""
    mesh_proxies: str = "127.0.0.0/8,::1/128"
    """Networks that the mesh's proxies connect from; from anywhere else the header is refused."""
    quota_requests_per_s: float = 0.0
    """Calls a second of a caller that the file gives no quota of its own; 0: no bound."""
    quota_concurrent: int = 0
    """Calls at once of a caller that the file gives no quota of its own; 0: no bound."""
    quota_ingest_streams: int = 2
    """Streams of products at once of a caller that the file gives no quota of its own: fewer than the gateway takes in all."""

    client_cert: str = ""
    """The certificate, PEM, that the gateway shows to Triton, the rewriter, the speech service, Milvus and Redis where they use TLS."""
    client_key: str = ""
    """The key of `client_cert`, PEM."""
    triton_ca: str = ""
    """Certificates of those who may sign Triton's; empty: no TLS."""
    rewriter_ca: str = ""
    """Certificates of those who may sign the rewriter's; empty: no TLS."""
    speech_ca: str = ""
    """Certificates of those who may sign the speech service's; empty: no TLS."""
    milvus_ca: str = ""
    """Certificates of those who may sign Milvus's; empty: the usual authorities, where `milvus` is https."""
    milvus_token: str = field(default="", repr=False)
    """A token, or user:password."""
    milvus_token_file: str = ""
    """A file that holds it; excludes milvus_token."""
    sessions_ca: str = ""
    """Certificates of those who may sign Redis's; empty: the usual authorities, where `sessions` is rediss."""
    sessions_file: str = ""
    """A file that holds the URL of `sessions`; excludes it."""
    events_file: str = ""
    """A file that holds the URL of `events`; excludes it."""
    campaigns_file: str = ""
    """A file that holds the URL of `campaigns`; excludes it."""

    reflection: int = 1
    """1: the service describes itself by gRPC reflection; 0: it does not."""
    log_level: str = "info"
    """debug, info, warning, error or critical; of libraries nothing below warning is logged."""
    traces: str = ""
    """Where spans are sent: an endpoint of OTLP over HTTP, such as http://collector:4318/v1/traces. Empty: none."""
    trace_share: float = 1.0
    """Share of the calls, from 0 to 1, that are traced."""

    default_deadline_ms: int = 5_000
    """Deadline of a call whose caller sets none."""
    max_deadline_ms: int = 30_000
    """Upper bound on a call's deadline, whatever its caller sets."""
    deadline_margin_ms: int = 5
    """Held back at every hop, so that its failure can still be told before the caller has gone."""

    unread_s: float = 10.0
    """For how long a caller may take nothing of what it is sent, before its call is cut off."""

    max_message_bytes: int = 12_000_000
    """A picture of the largest size and the rest of its request fit."""
    memory_limit_bytes: int = 0
    """Memory of the process, which refuses settings that may come to more (gateway/assembly/footprint.py); 0: its container's,
    if it has one."""
    max_concurrent_calls: int = 512
    """Answered at once; those of health and reflection are counted apart."""
    max_receiving: int = 16
    """Calls whose request is being received at once; the others wait for a moment. Half of the places are for requests
    that take longer than a quarter of a second to come in."""
    max_request_bytes: int = 32_000_000
    """Bytes of all requests that are being answered together; what is more is refused for a moment."""
    max_ingest_bytes: int = 32_000_000
    """Bytes of all products that are being indexed together; their streams wait for room."""
    max_connection_age_s: int = 300
    """Balancers in front spread connections, not calls: old connections are asked to come back."""

    initial_concurrency: int = 16
    """Searches that may run at once when the gateway starts; the limit adapts from there."""
    max_concurrency: int = 64
    """Upper bound on the searches that run at once; the limit adapts below it."""
    calls_at_once: int = 1
    """Calls under way to encode words, and to look up with the same conditions: searches that come meanwhile share the next one.
    1 costs the least CPU; more are quicker where Triton and Milvus have cores to spare. One that takes over 50 ms is not counted."""
    max_queue: int = 64
    """Searches that may wait for a slot; one more is refused."""
    max_queue_wait_ms: int = 200
    """How long a search may wait for a slot before it is refused."""
    latency_target_ms: int = 500
    """Encoding and look-up of one search; one that takes longer counts as a sign of overload. The rewriter's time is
    not in it."""
    max_picture_concurrency: int = 16
    """Upper bound on searches with a picture at once, which have a limit of their own; it adapts as that of the others does."""
    picture_latency_target_ms: int = 1_000
    """As `latency_target_ms`, for searches with a picture."""
    max_batch_concurrency: int = 8
    """Batches of ingests that are encoded at once while nobody searches."""
    batch_share: float = 0.1
    """Share of the searches' limit that ingests may encode at once while anybody searches; one batch at least."""

    rewrite_by_default: int = 1
    """1: the words of a search whose request does not say so are read by the rewriter; 0: they are not."""
    rewrite_budget_ms: int = 150
    """Upper bound on the wait for the rewriter; the actual wait adapts to twice its recent 95th percentile."""
    rewrite_budget_floor_ms: int = 50
    """The least that it waits, however quick the rewriter is; never above the budget."""
    rewrite_head_start_ms: int = 0
    """The least wait before the raw query is searched beside the rewriter. Where such a search was of no use to most turns of
    late, since their words were read in time and changed, the rewriter is waited for alone and costs no second search."""
    converse_budget_ms: int = 800
    """Same bound for Converse; higher, because a wrong answer costs more than a slow one."""
    converse_budget_floor_ms: int = 300
    """The least that a turn waits for the rewriter; never above its budget."""
    reply_budget_ms: int = 0
    """Wait for the rewriter's language model to put a reply into its own words, after the hits were sent; 0: the reply is that
    of the templates. Only a rewriter with REWRITER_ENGINE=openai has such a model."""
    rewrite_warm_up: int = 1
    """1: the rewriter is asked to read a few words after a start, and when the catalogue's values have changed, so that no search
    waits for what it prepares then; 0: it is not, as where each of its answers is paid for."""
    rewrite_cache_entries: int = 10_000
    """Readings kept for turns that are asked again; of searches and of turns each."""
    history_last_turns: int = 10
    """Turns of a conversation that the rewriter reads as they come; with those below at most 50."""
    history_similar_turns: int = 5
    """Turns before them that it reads, the most similar ones."""
    history_tokens: int = 6_000
    """Upper bound on the tokens of all those turns together, counted rather too high than too low."""
    history_timeout_ms: int = 100
    """Upper bound on the wait for the embeddings by which similar turns are found."""
    documents_least: float = 0.6
    """Share of a question's words, weighed by how rare they are, that a passage of the shop's documents covers at least,
    so that it is quoted; below it the question is handed over to a person."""
    documents_similarity_share: float = 0.0
    """What the cosine similarity of question and passage counts for beside the words; 0 asks no encoder. What the
    shipped encoders are worth there was measured: docs/documents.md."""
    speech_budget_ms: int = 10_000
    """The most that is waited for what was said; of the caller's time four fifths at most, so that the search still fits."""
    breaker_failures: int = 5
    """Calls to the rewriter that fail in a row before it is left out for a while."""
    breaker_cooldown_ms: int = 2_000
    """How long the rewriter is left out then, before one call tries it again."""

    text_image_weight: float = 0.5
    """Weight of the image half for a query of words alone; the text half has the rest. Equal halves trust neither
    the pictures nor the titles of a catalogue alone."""
    image_image_weight: float = 0.5
    """Weight of the image half for a query of a picture alone."""
    composed_image_weight: float = 0.5
    """Weight of the image half for a picture and words that change it."""
    refine_image_weight: float = 0.5
    """Weight of the image half for a product of the index and words that change it."""
    similar_image_weight: float = 0.5
    """Weight of the image half for the look-alikes of a product."""
    lexical_share: float = 1.0
    """What a product that has all rare words of a query exactly gains in score: at 1 it comes first, since the vectors
    tell products apart by less; 0 leaves exact matches out."""
    personal_share: float = 0.1
    """What a product that is wholly to a shopper's taste gains in score, where the shopper agreed to be known; 0 leaves it out."""
    personal_budget_ms: int = 20
    """Longest wait of a search for what is known of its shopper, and for what they disliked; without it the order is everybody's,
    and `degraded` says so."""
    intent_share: float = 0.05
    """What a product that wholly fits why the shopper asks (to buy, to compare, to be advised) gains in score; 0 leaves it out."""
    unlike_share: float = 0.1
    """What a product that is nothing like what the shopper disliked gains in score beside what they disliked; 0 leaves it out."""

    ranker: str = ""
    """The file of a ranker that `python -m ranking train` has written. Empty: nothing is ranked by what was learnt."""
    learnt_share: float = 1.0
    """What a product of which the ranker thinks most gains in score; 0 leaves it out."""
    experiment: str = ""
    """NAME:SHARE of an experiment: that share of the shoppers gets the ranker's order, the others the default one. Empty: all
    get the ranker's."""
    exploration_share: float = 0.0
    """Share of the answers whose first hit may be exchanged with one of the next nine, so that training can tell what a place
    alone is worth; only where answers are kept."""
    freshness_field: str = ""
    """The schema's number that says when a product came, in s since 1970. Empty: no product is fresher than another."""

    picture_category_precision: float = 0.9
    """A search with a reference, which words change, is kept to the reference's category, softly: a picture's, where it is
    read so often right on the index's own products; a product's as the index has it. 0: never."""

    embedding_cache_entries: int = 10_000
    """Embeddings of queries that are kept in memory."""
    product_cache_entries: int = 10_000
    """Products that are kept in memory."""
    product_cache_ttl_s: float = 1.0
    """For how long another gateway's deletion or change of a product may go unnoticed."""
    result_cache_entries: int = 128
    """Answers without a picture that are kept in memory for `product_cache_ttl_s`, or until this gateway writes, for whoever
    asks exactly the same; 0: none."""

    sessions: str = field(default=MEMORY, repr=False)
    """Where sessions are kept: "memory", this process's own, or a Redis at redis://, rediss:// or unix://, which all
    gateways share. Its URL may hold a password."""
    session_ttl_s: int = 1_800
    """How long a session is kept after its last turn."""
    session_bytes: int = 16_000_000
    """Bytes of one session, its pictures included; its oldest turns and pictures make room."""
    caller_session_bytes: int = 128_000_000
    """Bytes of all sessions of one caller together, where its quotas say nothing else; beyond it its oldest ones make room."""
    max_sessions: int = 10_000
    """Sessions in memory of all callers together; in Redis, of one caller."""
    max_session_bytes: int = 256_000_000
    """Bytes of all sessions in memory together."""

    events: str = field(default="", repr=False)
    """Where what shoppers do is kept: the path of a file of this machine's disk, which is made where there is none, or a Redis at
    redis://, rediss:// or unix://, which all gateways share and `sessions_ca` may vouch for. Empty: nothing is taken."""
    event_retention_days: int = 90
    """How long events are kept."""
    recommend_shoppers: int = 5
    """Known shoppers, at least, who did something with a product before it counts as popular, or with two of them before they
    count as going together; at least 1."""
    taste_cache_entries: int = 10_000
    """Shoppers whose tastes are kept in memory, for a minute each."""
    answer_log_entries: int = 100_000
    """Answers whose features are kept beside the events, for `python -m ranking train`: the latest ones; 0: none."""
    report_epsilon: float = 0.5
    """What one report spends of the privacy budget of each of its days: less means more noise in its counts."""
    report_budget: float = 5.0
    """The privacy budget of a day, for all reports about it."""
    report_least_shoppers: int = 20
    """Different shoppers who must have searched for words on a day before a report tells them; 0: no words are counted."""
    event_key_days: int = 30
    """How long one key makes shoppers' pseudonyms; it is destroyed when the events of its time are."""

    moderation_uploads: str = ""
    """What becomes of a search's picture that resembles a blocked one: "refuse", "flag" (answered, with an audit line and a
    metric), or nothing where it is empty."""
    moderation_catalogue: str = ""
    """The same of a product's picture when it is indexed."""
    moderation_copy_bits: int = 20
    """Bits of 256 by which the hash of a copy differs at most; docs/benchmarks.md has what that finds."""
    moderation_tile_bits: int = 16
    """The same of a half or a quarter of a picture, which finds a blocked one in a collage."""
    moderation_crop_bits: int = 24
    """The same of a crop or a turned picture, laid over the blocked one; its embedding must be near besides."""
    moderation_crop_similarity: float = 0.925
    """Cosine similarity that these have to a blocked picture at least, less .8 for what they lack of its area and .03 for each degree
    that they are turned by, .3 at most."""
    moderation_nudity: float = 0.0
    """From which score of the classifier on, 0 to 1, a picture is unwanted; 0: no classifier is asked. `python -m export nudity` makes it."""
    moderation_unchecked: str = "refuse"
    """What becomes of a picture that nobody can check in time: "refuse", or "allow", and `degraded` says so."""
    moderation_budget_ms: int = 2_000
    """The most that the check of a picture may take."""
    moderation_words: str = ""
    """The TOML file of blocked words by language (docs/moderation.md), read when the gateway starts. Empty: none."""
    moderation_queries: str = "refuse"
    """What becomes of a search with a blocked word: "refuse" or "flag"; a title that has one is flagged."""
    campaigns: str = field(default="", repr=False)
    """Where campaigns for sponsored places are kept (docs/sponsored.md), as `events` says it. Empty: there are no sponsored places."""
    campaign_currency: str = "EUR"
    """The one currency of all campaigns, by ISO 4217."""
    sponsored_positions: str = "1"
    """Where sponsored places are on a first page, from 1, with commas between: as many as there are positions, 4 at most."""
    sponsored_floor: float = 0.7
    """The least score of a product that is shown in one, as a share of the best one's on the page."""
    sponsored_reserve_micros: int = 1
    """The least price of an impression, in millionths of the currency."""
    sponsored_budget_ms: int = 30
    """Longest wait of a search for what campaigns offer; without it there is no sponsored place, and `degraded` says so."""
    sponsored_lookups: int = 100
    """Products that campaigns name and a search looks up beside its own hits, at most; the highest bidders' first."""

    probe_interval_ms: int = 2_000
    """Between two probes of Triton and of the index."""
    probe_timeout_ms: int = 2_000
    """How long a probe may take."""
    probe_failures: int = 3
    """Failed probes in a row that make a dependency count as gone."""

    liveness_s: float = 15.0
    """The event loop may stand still so long before `/livez`, beside the metrics, says so."""

    drain_s: float = 5.0
    """Between saying NOT_SERVING and refusing calls: balancers take that long to look."""
    grace_s: float = 10.0
    """How long calls in flight may go on once new ones are refused."""

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def keeps_events(self) -> bool:
        """Whether what shoppers do is taken."""
        return bool(self.events or self.events_file)

    @property
    def sells_places(self) -> bool:
        """Whether there are campaigns for sponsored places."""
        return bool(self.campaigns or self.campaigns_file)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """Read the settings; raises InvalidSettings for what it does not know or cannot read."""
        return read_settings(cls, PREFIX, env)
