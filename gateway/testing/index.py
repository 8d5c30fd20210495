"""An index in memory: exact, and under the same contract tests as Milvus."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from gateway.errors import FailedPrecondition, IndexSwapped, SearchError
from gateway.model import (
    Embedding,
    FieldSummary,
    Hit,
    IndexSummary,
    IndexVersion,
    Pool,
    Sort,
    StoredDigests,
    StoredProduct,
    Weights,
)
from gateway.ports import MAX_POOL
from gateway.testing.encoder import MANIFEST, work
from vitrine.domain import limits
from vitrine.domain.filters import Filter, matches
from vitrine.domain.lexical import product_tokens
from vitrine.domain.schema import NUMBER_KINDS, Schema, changes
from vitrine.domain.schema_files import shipped_schema
from vitrine.domain.values import Value, fold
from vitrine.tensors import EMBEDDING_DIM

_REBUILD = "run `vitrine index --rebuild PATH`"


@dataclass
class FakeCollection:
    """A collection in memory; writes are durable at once."""

    version: IndexVersion
    source: str = ""
    products: dict[str, StoredProduct] = field(default_factory=dict)

    async def digests(self, ids: Sequence[str]) -> dict[str, StoredDigests]:
        """Return the digests of those products that are there."""
        return {
            i: StoredDigests(digest=self.products[i].digest, vectors_digest=self.products[i].vectors_digest)
            for i in ids
            if i in self.products
        }

    async def vectors(self, ids: Sequence[str]) -> dict[str, StoredProduct]:
        """Return those products that are there."""
        return {i: self.products[i] for i in ids if i in self.products}

    async def upsert(self, products: Sequence[StoredProduct]) -> None:
        """Write products."""
        self.products.update({product.id: product for product in products})

    async def delete(self, ids: Sequence[str]) -> int:
        """Delete products; return how many there were."""
        return sum(self.products.pop(i, None) is not None for i in set(ids))

    async def retain(self, ids: Collection[str]) -> int:
        """Delete every product but these; return how many there were."""
        return await self.delete([i for i in self.products if i not in ids])

    async def seal(self) -> int:
        """Return the number of products."""
        return len(self.products)

    def satisfying(self, filters: Filter | None, words: Sequence[str] = ()) -> list[StoredProduct]:
        """Return the products that fulfil the condition and have one of the words, where there are any."""
        return [
            each
            for each in self.products.values()
            if (filters is None or matches(filters, each.product))
            and (not words or not set(words).isdisjoint(product_tokens(each.product, self.version.schema)))
        ]


@dataclass
class FakeIndex:
    """Exact search over collections in memory; implements VectorIndex and IndexAdministrator."""

    in_use: FakeCollection | None = None
    error: SearchError | None = None
    delay_s: float = 0.0
    building: FakeCollection | None = None
    built: int = 0
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
        sort: Sort | None = None,
        manifest: str = "",
        timeout_s: float,
    ) -> Pool:
        """Rank all products that the filter and the words let through."""
        self.search_calls += 1
        collection = await self._collection(timeout_s, manifest)
        text = embedding if text_embedding is None else text_embedding
        hits = [_best_hit(each, embedding, text, weights) for each in collection.satisfying(filters, words)]
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
            fields=tuple(_summary(each.name, products) for each in schema if each.filter or each.facet),
            words=Counter(word for each in products for word in product_tokens(each.product, schema)),
        )

    async def current(
        self, manifest: str, schema: Schema | None = None, *, embedding_dim: int = EMBEDDING_DIM
    ) -> FakeCollection:
        """Open the collection in use, made on first use; it takes on a schema that only adds fields."""
        if self.in_use is None:
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

    async def build(
        self, manifest: str, source: str, schema: Schema | None = None, *, embedding_dim: int = EMBEDDING_DIM
    ) -> FakeCollection:
        """Open a new collection, or the unfinished one of the same manifest, source and schema."""
        if schema is None:
            schema = shipped_schema() if self.in_use is None else self.in_use.version.schema
        unfinished = self.building
        if unfinished is None or _identity(unfinished) != (manifest, source, schema.digest):
            unfinished = FakeCollection(self._new_version(manifest, schema, embedding_dim), source=source)
        unfinished.version = replace(unfinished.version, schema=schema)
        self.building = unfinished
        return unfinished

    async def promote(self, version: IndexVersion) -> None:
        """Make the built collection the one in use."""
        assert self.building is not None and self.building.version == version, "build it first"  # noqa: PT018 - no test
        self.in_use, self.building = self.building, None

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


def _summary(name: str, products: Sequence[StoredProduct]) -> FieldSummary:
    held = [each.product.values[name] for each in products if name in each.product.values]
    numbers = [value for value in held if isinstance(value, float)]
    counts = _counts(held)
    listed = counts[: limits.MAX_FACET_VALUES]
    return FieldSummary(
        name=name,
        values=tuple(value for value, _ in listed),
        counts=tuple(count for _, count in listed),
        more_values=len(counts) > len(listed),
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
