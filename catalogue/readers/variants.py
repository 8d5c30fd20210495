"""Rows that are one product: variants of a shop's export, joined as a feed says."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from catalogue.feeds.feed import Feed, Option, filled, words_found
from catalogue.readers.cells import listed
from catalogue.readers.rows import Row, RowError, column_key, is_missing
from vitrine.domain.values import fold

MAX_OPEN = 1_000
"""Products to which further rows may still come; exports keep a product's rows together, or nearly so."""

MAX_ROWS = 2_048
"""Rows of one product: as many variants as Shopify allows."""


@dataclass(slots=True)
class _Group:
    rows: list[Row]
    names: set[str]


@dataclass(slots=True)
class _Groups:
    """Products whose rows are being gathered, the oldest first."""

    by_number: dict[int, _Group] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    count: int = 0

    def find(self, names: set[str]) -> _Group | None:
        """Return the group that goes by one of the names."""
        number = next((self.numbers[name] for name in sorted(names) if name in self.numbers), None)
        return None if number is None else self.by_number[number]

    def begin(self, row: Row, names: set[str]) -> None:
        """Open a group."""
        self.by_number[self.count] = _Group([row], names)
        self.numbers |= dict.fromkeys(names, self.count)
        self.count += 1

    def take_oldest(self) -> _Group:
        """Close the group that was opened first."""
        group = self.by_number.pop(next(iter(self.by_number)))
        for name in group.names:
            self.numbers.pop(name, None)
        return group


def joined(rows: Iterator[Row | RowError], feed: Feed) -> Iterator[Row | RowError]:
    """Yield one row a product, with the columns that the feed makes of options and of words."""
    for row in rows if feed.join is None else _gathered(rows, feed):
        yield row if isinstance(row, RowError) else _with_made_columns(row, feed)


def _gathered(rows: Iterator[Row | RowError], feed: Feed) -> Iterator[Row | RowError]:
    groups = _Groups()
    for row in rows:
        if isinstance(row, RowError):
            yield row
            continue
        outcome = _place(row, groups, feed)
        if outcome is not None:
            yield outcome
        if len(groups.by_number) > MAX_OPEN:
            yield _merged(groups.take_oldest())
    while groups.by_number:
        yield _merged(groups.take_oldest())


def _place(row: Row, groups: _Groups, feed: Feed) -> Row | RowError | None:
    """Put a row into its group; return it where it belongs to none, or what is wrong with it."""
    assert feed.join is not None
    names = {name for pattern in feed.join.names if (name := filled(pattern, row.values))}
    parent = filled(f"{{{feed.join.parent}}}", row.values) if feed.join.parent else ""
    if not names and not parent:
        return row
    group = groups.find({parent} if parent else names)
    if group is None and parent:
        reason = f"{parent[:64]!r} is none of the {MAX_OPEN:,} products before it"
        return RowError(file=row.file, line=row.line, field=feed.join.parent, reason=reason)
    if group is None:
        groups.begin(row, names)
    elif len(group.rows) >= MAX_ROWS:
        reason = f"is over the {MAX_ROWS:,} rows of one product"
        return RowError(file=row.file, line=row.line, field="", reason=reason)
    else:
        group.rows.append(row)
    return None


def _merged(group: _Group) -> Row:
    """Return the row of a product: of each column its value, or a tuple of those that differ."""
    first = group.rows[0]
    if len(group.rows) == 1:
        return first
    values: dict[str, object] = {}
    for key in dict.fromkeys(key for row in group.rows for key in row.values):
        cells = [cell for row in group.rows if not is_missing(cell := row.values.get(key))]
        different = tuple(cell for i, cell in enumerate(cells) if cell not in cells[:i])
        values[key] = different[0] if len(different) == 1 else different or None
    names = {key: name for row in group.rows for key, name in row.names.items()}
    parts = tuple(row.values for row in group.rows)
    return Row(file=first.file, line=first.line, values=values, names=names, parts=parts)


def _with_made_columns(row: Row, feed: Feed) -> Row:
    if not feed.options and not feed.words:
        return row
    made = _options(row, feed)
    values = dict(row.values) | {
        key: value for key, (_, value) in made.items() if is_missing(row.values.get(key))
    }
    values |= dict(words_found(feed, values))
    names = {key: name for key, (name, _) in made.items()} | dict(row.names)
    return Row(file=row.file, line=row.line, values=values, names=names, parts=row.parts)


def _options(row: Row, feed: Feed) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return the columns that a product's options make: Size, with all the sizes of its variants."""
    found: dict[str, tuple[str, list[str]]] = {}
    for option in feed.options:
        name = ""
        for part in row.parts or (row.values,):
            for called, values in _option_values(option, part):
                name = called or name  # Shopify names an option in the first of its rows alone
                known = found.setdefault(column_key(name), (name, []))[1] if name else []
                known += (
                    value for value in values if value not in known and fold(value) not in feed.no_options
                )
    return {key: (name, tuple(values)) for key, (name, values) in found.items() if key and values}


def _option_values(option: Option, values: Mapping[str, object]) -> Iterator[tuple[str, list[str]]]:
    names, cells = values.get(column_key(option.name)), values.get(column_key(option.value))
    if isinstance(names, tuple) and isinstance(cells, tuple):
        pairs = list(zip(names, cells, strict=False))
    else:
        pairs = [(names, cells)]
    for name, cell in pairs:
        if not is_missing(cell):
            texts = [str(each).strip() for each in listed(cell, option.separator)]
            yield "" if is_missing(name) else str(name).strip(), texts
