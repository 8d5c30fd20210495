"""An index in memory: exact, and under the same contract tests as Milvus."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from gateway.errors import Aborted, FailedPrecondition, IndexSwapped, SearchError
from gateway.model import (
    Change,
    Embedding,
    FieldSummary,
    Hit,
    IndexState,
    IndexSummary,
    IndexVersion,
    KeptIndex,
    Pool,
    Replaced,
    Sort,
    Standing,
    StoredProduct,
    Weights,
)
from gateway.ports import MAX_POOL
from gateway.testing.collections import FakeBuild, FakeCollection
from gateway.testing.encoder import MANIFEST, work
from vitrine.domain import limits
from vitrine.domain.filters import Filter
from vitrine.domain.lexical import product_tokens
from vitrine.domain.schema import NUMBER_KINDS, Schema, changes
from vitrine.domain.schema_files import shipped_schema
from vitrine.domain.values import Value, fold
from vitrine.tensors import EMBEDDING_DIM

_REBUILD = "run `vitrine index --rebuild PATH`"


@dataclass
class FakeIndex:
    """Exact search over collections in memory; implements VectorIndex and IndexAdministrator."""

    in_use: FakeCollection | None = None
    before: FakeCollection | None = None
    unfinished: list[FakeCollection] = field(default_factory=list)
    build_held: FakeBuild | None = None
    """Who holds the lease; set to None by a test, that writer is taken for dead."""
    error: SearchError | None = None
    delay_s: float = 0.0
    built: int = 0
    tokens: int = 0
    search_calls: int = 0
    get_calls: int = 0
    max_pool: int = MAX_POOL

    @classmethod
    def holding(
        cls, products: Iterable[StoredProduct], *, manifest: str = MANIFEST, schema: Schema | None = None
    ) -> "FakeIndex":
        """Return an index with a collection of these products, of fashion where no schema is given."""
        version = IndexVersion(
            collection="fake-0",
            manifest=manifest,
            embedding_dim=EMBEDDING_DIM,
            schema=schema or shipped_schema(),
        )
        return cls(FakeCollection(version, products={product.id: product for product in products}))

    async def search(
        self,
        embedding: Embedding,
        *,
        text_embedding: Embedding | None = None,
        weights: Weights,
        filters: Filter | None,
        limit: int,
        words: Sequence[str] = (),
        products: Sequence[str] = (),
        sort: Sort | None = None,
        manifest: str = "",
        timeout_s: float,
    ) -> Pool:
        """Rank all products that the filter and the words let through."""
        self.search_calls += 1
        collection = await self._collection(timeout_s, manifest)
        text = embedding if text_embedding is None else text_embedding
        hits = [
            _best_hit(each, embedding, text, weights)
            for each in collection.satisfying(filters, words)
            if not products or each.id in products
        ]
        hits.sort(key=lambda hit: (-hit.score, hit.product.id))
        if sort is None:
            return Pool(hits=tuple(hits[:limit]), complete=len(hits) <= limit)
        kind = collection.version.schema.by_name[sort.field].kind
        complete = len(hits) <= self.max_pool or (filters is not None and kind in NUMBER_KINDS)
        pool = hits if complete else hits[: self.max_pool]
        return Pool(hits=tuple(_in_order(pool, sort)[:limit]), complete=complete)

    async def get(self, ids: Sequence[str], *, manifest: str = "", timeout_s: float) -> list[StoredProduct]:
        """Return the products that exist."""
        self.get_calls += 1
        collection = await self._collection(timeout_s, manifest)
        return [collection.products[i] for i in ids if i in collection.products]

    async def count(self, filters: Filter, *, timeout_s: float) -> int:
        """Count the products that fulfil the condition."""
        return len((await self._collection(timeout_s)).satisfying(filters))

    async def facets(
        self, filters: Filter | None, fields: Sequence[str], *, timeout_s: float
    ) -> tuple[FieldSummary, ...]:
        """Count the values of the products that fulfil the condition."""
        products = (await self._collection(timeout_s)).satisfying(filters)
        return tuple(_summary(name, products) for name in fields)

    async def version(self, *, timeout_s: float) -> IndexVersion:
        """Name the collection in use."""
        return (await self._collection(timeout_s)).version

    async def describe(self, *, timeout_s: float) -> IndexSummary:
        """Describe the collection in use."""
        collection = await self._collection(timeout_s)
        products = collection.satisfying(None)
        schema = collection.version.schema
        return IndexSummary(
            version=collection.version,
            products=len(products),
            fields=tuple(
                _summary(each.name, products, whole=True) for each in schema if each.filter or each.facet
            ),
            words=Counter(word for each in products for word in product_tokens(each.product, schema)),
        )

    async def current(
        self, manifest: str, schema: Schema | None = None, *, embedding_dim: int = EMBEDDING_DIM
    ) -> FakeCollection:
        """Open the collection in use, made on first use; it takes on a schema that only adds fields."""
        if self.in_use is None:
            if self.build_held is not None:
                raise FailedPrecondition("another rebuild is under way: wait for its end")
            self.in_use = FakeCollection(
                self._new_version(manifest, schema or shipped_schema(), embedding_dim)
            )
        version = self.in_use.version
        if version.manifest != manifest:
            raise FailedPrecondition(f"other encoders made the index: {_REBUILD}")
        if schema is not None and (difference := changes(version.schema, schema)).breaking:
            raise FailedPrecondition(f"the schema of the index has changed: {difference}: {_REBUILD}")
        self.in_use.version = replace(version, schema=schema or version.schema)
        return self.in_use

    async def standing(self) -> Standing:
        """Say which collection is in use and what is being done."""
        held = self.build_held
        return Standing(
            in_use=None if self.in_use is None else self.in_use.version.collection,
            change=None
            if held is None
            else Change(
                token=held.token,
                kind="rebuild",
                changes=held.changes.version.collection,
                swapping=held.swapping,
            ),
        )

    async def changes(self, change: Change) -> FakeCollection | None:
        """Open the collection that takes the changes."""
        held = self.build_held
        return held.changes if held is not None and held.token == change.token else None

    async def build(
        self, manifest: str, source: str, schema: Schema | None = None, *, embedding_dim: int = EMBEDDING_DIM
    ) -> FakeBuild:
        """Open a new collection, or an unfinished one of the same manifest, source and schema."""
        if self.build_held is not None:
            raise FailedPrecondition("another rebuild is under way: wait for its end")
        if schema is None:
            schema = shipped_schema() if self.in_use is None else self.in_use.version.schema
        wanted = (manifest, source, schema.digest)
        resumed = next((each for each in self.unfinished if _identity(each) == wanted), None)
        if resumed is None:
            resumed = FakeCollection(self._new_version(manifest, schema, embedding_dim), source=source)
            self.unfinished.append(resumed)
        resumed.version = replace(resumed.version, schema=schema)
        beside = replace(resumed.version, collection=f"{resumed.version.collection}-changes-{self.built}")
        self.tokens += 1
        self.build_held = FakeBuild(resumed, FakeCollection(beside), self, self.tokens)
        return self.build_held

    async def promote(self, version: IndexVersion) -> Replaced | None:
        """Make the built collection the one in use."""
        held = self.build_held
        if held is None or held.version != version:
            raise Aborted("index", "the rebuild lost its lease and another writer may go on: begin again")
        self.unfinished = []
        replaced, self.before, self.in_use = self.in_use, self.in_use, held.collection
        self.build_held = None
        return None if replaced is None else _replaced(replaced, self.in_use)

    async def indexes(self) -> list[KeptIndex]:
        """Return the collections that are kept."""
        named = [
            (self.in_use, IndexState.IN_USE),
            (self.before, IndexState.BEFORE),
            *((each, IndexState.UNFINISHED) for each in self.unfinished),
        ]
        return [
            KeptIndex(
                collection=each.version.collection,
                state=state,
                products=len(each.products),
                manifest=each.version.manifest,
            )
            for each, state in named
            if each is not None
        ]

    async def restore(self, collection: str) -> Replaced:
        """Put the collection before the one in use back."""
        if self.build_held is not None:
            raise FailedPrecondition("another rebuild is under way: wait for its end")
        if self.before is None or self.in_use is None:
            raise FailedPrecondition("there is no index before the one in use")
        if collection not in {"", self.before.version.collection}:
            name = self.before.version.collection
            raise FailedPrecondition(f"the index before the one in use is {name}, not {collection}")
        self.in_use, self.before = self.before, self.in_use
        return _replaced(self.before, self.in_use)

    def _new_version(self, manifest: str, schema: Schema, embedding_dim: int) -> IndexVersion:
        self.built += 1
        return IndexVersion(
            collection=f"fake-{self.built}", manifest=manifest, embedding_dim=embedding_dim, schema=schema
        )

    async def _collection(self, timeout_s: float, manifest: str = "") -> FakeCollection:
        await work(self.delay_s, timeout_s, self.error)
        if self.in_use is None:
            raise FailedPrecondition("there is no index yet: run `vitrine index PATH`")
        if manifest not in ("", self.in_use.version.manifest):
            raise IndexSwapped
        return self.in_use


def _replaced(before: FakeCollection, now: FakeCollection) -> Replaced:
    return Replaced(
        collection=before.version.collection, products=len(before.products), products_now=len(now.products)
    )


def _identity(collection: FakeCollection) -> tuple[str, str, str]:
    return collection.version.manifest, collection.source, collection.version.schema.digest


def _best_hit(stored: StoredProduct, image: Embedding, text: Embedding, weights: Weights) -> Hit:
    """Return the hit of the picture that scores highest, the first one of equal ones."""
    assert stored.text_embedding is not None
    assert stored.image_embeddings is not None
    text_score = _inner(stored.text_embedding, text)
    image_scores = [_inner(each, image) for each in stored.image_embeddings] or [0.0]
    scores = [round(weights.text * text_score + weights.image * each, 9) for each in image_scores]
    best = scores.index(max(scores))
    return Hit(
        product=replace(stored, image_embeddings=stored.image_embeddings[best : best + 1]),
        score=scores[best],
        text_score=text_score,
        image_score=image_scores[best],
        image_index=best,
    )


def _inner(left: Embedding, right: Embedding) -> float:
    return float((left.astype(np.float64) * right.astype(np.float64)).sum())


def _in_order(hits: Sequence[Hit], sort: Sort) -> list[Hit]:
    """Return the hits in the order of the field; those of one value stay as they are, those without one come last."""

    def value(hit: Hit) -> Value | None:
        held = hit.product.product.values.get(sort.field)
        return fold(held) if isinstance(held, str) else held

    present = [hit for hit in hits if value(hit) is not None]
    present.sort(key=value, reverse=sort.descending)  # type: ignore[arg-type] # values of one field are of one kind
    return present + [hit for hit in hits if value(hit) is None]


def _summary(name: str, products: Sequence[StoredProduct], *, whole: bool = False) -> FieldSummary:
    held = [each.product.values[name] for each in products if name in each.product.values]
    numbers = [value for value in held if isinstance(value, float)]
    counts = _counts(held)
    listed = counts[: limits.MAX_FACET_VALUES]
    return FieldSummary(
        name=name,
        values=tuple(value for value, _ in listed),
        counts=tuple(count for _, count in listed),
        more_values=len(counts) > len(listed),
        rest=tuple(value for value, _ in counts[len(listed) :]) if whole else (),
        minimum=min(numbers, default=None),
        maximum=max(numbers, default=None),
        products=len(held),
    )


def _counts(held: Sequence[Value]) -> list[tuple[str, int]]:
    """Return how many products have each keyword or boolean, in its most frequent spelling."""
    lists = [_keywords(value) for value in held]
    counts = Counter(folded for keywords in lists for folded in set(map(fold, keywords)))
    spellings = Counter(keyword for keywords in lists for keyword in keywords)
    shown: Mapping[str, str] = {
        fold(spelling): spelling
        for spelling in sorted(spellings, key=lambda each: (-spellings[each], each), reverse=True)
    }
    return sorted(
        ((shown[folded], count) for folded, count in counts.items()), key=lambda pair: (-pair[1], pair[0])
    )


def _keywords(value: Value) -> tuple[str, ...]:
    match value:
        case bool():
            return ("true",) if value else ("false",)
        case float():
            return ()
        case str():
            return (value,)
        case _:
            return value
