"""The domain's values as messages of vitrine.v1, both ways.

What is read here is held against no limit yet: `filters.check_limits`, `product.check_product` and the schema's own
rules do that.
"""

from collections.abc import Iterator, Mapping
from typing import assert_never

from vitrine.domain import limits
from vitrine.domain.errors import InvalidValue
from vitrine.domain.filters import AllOf, AnyOf, Equals, Filter, Not, OneOf, Range, Says, Scalar
from vitrine.domain.product import BY_FIELDS, Product
from vitrine.domain.schema import KEYWORD_KINDS, Field, Kind, Role, Schema, SchemaError
from vitrine.domain.values import Value, shown
from vitrine.v1 import query_pb2, schema_pb2

_KINDS: Mapping[Kind, schema_pb2.FieldKind.ValueType] = {
    kind: schema_pb2.FieldKind.Value(f"FIELD_KIND_{kind.name}") for kind in Kind
}
_ROLES: Mapping[Role, schema_pb2.FieldRole.ValueType] = {
    role: schema_pb2.FieldRole.Value(f"FIELD_ROLE_{role.name}") for role in Role
}
_KIND_OF = {number: kind for kind, number in _KINDS.items()}
_ROLE_OF = {number: role for role, number in _ROLES.items()}

_LEGACY_ROLES: Mapping[str, Role] = {
    "title": Role.TITLE,
    "category": Role.CATEGORY,
    "brand": Role.BRAND,
    "price": Role.PRICE,
}
_LEGACY_NAMES = ("colour", "pattern")


def schema_message(schema: Schema) -> schema_pb2.CatalogueSchema:
    """Return the message of a schema."""
    return schema_pb2.CatalogueSchema(
        name=schema.name, currency=schema.currency, fields=[_field_message(each) for each in schema]
    )


def read_schema_message(message: schema_pb2.CatalogueSchema) -> Schema:
    """Read a schema; SchemaError names the field that breaks a rule."""
    if message.ByteSize() > limits.MAX_SCHEMA_BYTES:
        raise SchemaError("", f"at most {limits.MAX_SCHEMA_BYTES:,} bytes, got {message.ByteSize():,}")
    return Schema(
        name=message.name,
        currency=message.currency,
        fields=tuple(_read_field(each) for each in message.fields),
    )


def filter_message(node: Filter) -> query_pb2.Filter:
    """Return the message that reads as the tree."""
    match node:
        case Equals(field, value):
            return query_pb2.Filter(equals=query_pb2.Equals(field=field, value=value_message(value)))
        case OneOf(field, values):
            listed = [value_message(value) for value in values]
            return query_pb2.Filter(one_of=query_pb2.OneOf(field=field, values=listed))
        case Range():
            return query_pb2.Filter(
                range=query_pb2.Range(
                    field=node.field,
                    minimum=node.minimum,
                    maximum=node.maximum,
                    exclusive_minimum=node.exclusive_minimum,
                    exclusive_maximum=node.exclusive_maximum,
                )
            )
        case AllOf(parts):
            return query_pb2.Filter(all_of=query_pb2.FilterList(filters=map(filter_message, parts)))
        case AnyOf(parts):
            return query_pb2.Filter(any_of=query_pb2.FilterList(filters=map(filter_message, parts)))
        case Not(part):
            return query_pb2.Filter(negation=filter_message(part))
        case Says():
            raise TypeError("no message holds what the words of products say")
        case _:
            assert_never(node)


def read_filter(message: query_pb2.Filter) -> Filter:
    """Read a filter.

    Raises:
        InvalidValue: it is too long to be walked, or has an empty node or value.
    """
    if (size := message.ByteSize()) > limits.MAX_FILTER_BYTES:
        raise InvalidValue(
            "filter",
            f"at most {limits.MAX_FILTER_VALUES} values and {limits.MAX_FILTER_BYTES:,} bytes, got {size:,} bytes",
        )
    return _FilterReader().read(message, "filter")


def value_message(value: Value) -> query_pb2.FieldValue:
    """Return the message of a value."""
    message = query_pb2.FieldValue()
    fill_value(message, value)
    return message


def fill_value(message: query_pb2.FieldValue, value: Value) -> None:
    """Make an empty message that of a value."""
    if isinstance(value, str):
        message.text = value
    elif isinstance(value, bool):
        message.boolean = value
    elif isinstance(value, tuple):
        message.texts.SetInParent()
        message.texts.values.extend(value)
    else:
        message.number = value


def read_value(message: query_pb2.FieldValue, path: str) -> Value:
    """Read a value; InvalidValue where the message is empty."""
    match message.WhichOneof("kind"):
        case "text":
            return message.text
        case "number":
            return message.number
        case "boolean":
            return message.boolean
        case "texts":
            return tuple(message.texts.values)
        case _:
            raise InvalidValue(path, "must hold a text, a number, true or false, or texts")


def product_message(product: Product, schema: Schema) -> query_pb2.Product:
    """Return the message of a product, the fields of old clients filled in."""
    message = query_pb2.Product()
    fill_product(message, product, schema)
    return message


def fill_product(message: query_pb2.Product, product: Product, schema: Schema) -> None:
    """Make an empty message that of a product; in its place in an answer, where it is not copied any more."""
    message.id = product.id
    if product.image_uris:
        message.image_uri = product.image_uris[0]
        message.image_uris.extend(product.image_uris)
    message.attributes.update(product.attributes)
    fields = message.fields
    for name, value in product.values.items():
        fill_value(fields[name], value)
    if product.inferred:
        message.inferred.extend(product.inferred)
    message.caption = product.caption
    message.caption_by = product.caption_by
    for name, owner in _legacy_fields(schema):
        said = product.values.get(owner.name)
        if said is not None:
            setattr(message, name, said if isinstance(said, float) else shown(said))


def read_product(message: query_pb2.Product, schema: Schema) -> Product:
    """Read a product; what `fields` lacks is taken from the fields of old clients.

    What an old client says and the schema has no field for becomes an attribute: it is kept and returned. What the
    service itself read in pictures is not read back: a product that was fetched and written again is the shop's.

    Raises:
        InvalidValue: a value is empty.
    """
    values: dict[str, Value] = {
        name: read_value(value, name[: limits.MAX_FIELD_NAME_LENGTH])
        for name, value in message.fields.items()
    }
    attributes = dict(message.attributes)
    owners = dict(_legacy_fields(schema))
    for name in (*_LEGACY_ROLES, *_LEGACY_NAMES):
        given = message.HasField("price") if name == "price" else bool(getattr(message, name))
        if not given:
            continue
        value = getattr(message, name)
        if name not in owners:
            attributes.setdefault(name, shown(value))
        else:
            values.setdefault(owners[name].name, (value,) if owners[name].kind is Kind.KEYWORDS else value)
    uris = tuple(message.image_uris) or ((message.image_uri,) if message.image_uri else ())
    for name in message.inferred:
        values.pop(name, None)
    captioned = bool(message.caption) and message.caption_by != BY_FIELDS
    return Product(
        id=message.id,
        values=values,
        attributes=attributes,
        image_uris=uris,
        caption=message.caption if captioned else "",
        caption_by=message.caption_by if captioned else "",
    )


def _legacy_fields(schema: Schema) -> Iterator[tuple[str, Field]]:
    """Yield the fields of vitrine.v1.Product that old clients read, each with the schema's field that it repeats."""
    for name, role in _LEGACY_ROLES.items():
        if (owner := schema.role(role)) is not None:
            yield name, owner
    for name in _LEGACY_NAMES:
        owner = schema.by_name.get(name)
        if owner is not None and owner.kind in KEYWORD_KINDS:
            yield name, owner


def _field_message(each: Field) -> schema_pb2.CatalogueField:
    return schema_pb2.CatalogueField(
        name=each.name,
        kind=_KINDS[each.kind],
        role=_ROLES[each.role] if each.role is not None else schema_pb2.FIELD_ROLE_UNSPECIFIED,
        columns=each.columns,
        filter=each.filter,
        facet=each.facet,
        sort=each.sort,
        lexical=each.lexical,
        encoded=each.encoded,
        labels=each.labels,
        questions={language: query_pb2.TextList(values=words) for language, words in each.questions.items()},
    )


def _read_field(message: schema_pb2.CatalogueField) -> Field:
    path = f"fields.{message.name[: limits.MAX_FIELD_NAME_LENGTH]}"
    if message.kind not in _KIND_OF:
        raise SchemaError(f"{path}.kind", f"must be one of {', '.join(Kind)}, got {message.kind}")
    if message.role and message.role not in _ROLE_OF:
        raise SchemaError(f"{path}.role", f"must be one of {', '.join(Role)}, got {message.role}")
    return Field(
        name=message.name,
        kind=_KIND_OF[message.kind],
        role=_ROLE_OF.get(message.role),
        columns=tuple(message.columns),
        filter=message.filter,
        facet=message.facet,
        sort=message.sort,
        lexical=message.lexical,
        encoded=message.encoded,
        labels=dict(message.labels),
        questions={language: tuple(words.values) for language, words in message.questions.items()},
    )


class _FilterReader:
    """Reads one filter; counts its nodes, so that no tree that breaks the limits is made into objects first."""

    def __init__(self) -> None:
        self._left = limits.MAX_FILTER_NODES

    def read(self, message: query_pb2.Filter, path: str) -> Filter:
        """Read a node and what is below it; raises InvalidValue."""
        self._count()
        kind = message.WhichOneof("node")
        match kind:
            case "equals":
                return Equals(
                    message.equals.field, _read_scalar(message.equals.value, f"{path}.equals.value")
                )
            case "one_of":
                return _read_one_of(message.one_of, f"{path}.one_of")
            case "range":
                return _read_range(message.range)
            case "all_of":
                return AllOf(self._read_list(message.all_of, f"{path}.all_of"))
            case "any_of":
                return AnyOf(self._read_list(message.any_of, f"{path}.any_of"))
            case "negation":
                return Not(self.read(message.negation, f"{path}.negation"))
            case None:
                raise InvalidValue(path, "must hold a condition")
            case _:
                assert_never(kind)

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise InvalidValue("filter", f"at most {limits.MAX_FILTER_VALUES} values")

    def _read_list(self, message: query_pb2.FilterList, path: str) -> tuple[Filter, ...]:
        return tuple(self.read(part, f"{path}.filters[{i}]") for i, part in enumerate(message.filters))


def _read_one_of(message: query_pb2.OneOf, path: str) -> OneOf:
    values = enumerate(message.values)
    return OneOf(message.field, tuple(_read_scalar(value, f"{path}.values[{i}]") for i, value in values))


def _read_scalar(message: query_pb2.FieldValue, path: str) -> Scalar:
    value = read_value(message, path)
    if isinstance(value, tuple):
        raise InvalidValue(path, "must be one value")
    return value


def _read_range(message: query_pb2.Range) -> Range:
    return Range(
        field=message.field,
        minimum=message.minimum if message.HasField("minimum") else None,
        maximum=message.maximum if message.HasField("maximum") else None,
        exclusive_minimum=message.exclusive_minimum,
        exclusive_maximum=message.exclusive_maximum,
    )
