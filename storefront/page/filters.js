// Filters as people read them, and without one of their conditions.

/** Gives the conditions that must all hold. */
export function conditions(filter) {
  if (filter?.all_of) return (filter.all_of.filters ?? []).flatMap(conditions);
  return filter && Object.keys(filter).length ? [filter] : [];
}

/** Gives the filter of the conditions; null for none. */
export function joined(parts) {
  return parts.length > 1 ? { all_of: { filters: parts } } : (parts[0] ?? null);
}

/** Puts a condition into words. */
export function inWords(filter) {
  if (filter.equals) return named(filter.equals.field, value(filter.equals.value));
  if (filter.one_of) return named(filter.one_of.field, filter.one_of.values.map(value).join(" or "));
  if (filter.range) return `${filter.range.field} ${interval(filter.range)}`;
  if (filter.negation) return `not ${inWords(filter.negation)}`;
  if (filter.any_of) return filter.any_of.filters.map(inWords).join(" or ");
  return conditions(filter).map(inWords).join(" and ");
}

const named = (field, text) => (field === "colour" || field === "pattern" || field === "category" ? text : `${field} ${text}`);

const value = ({ text, number }) => text ?? number.toLocaleString();

function interval({ minimum, maximum, exclusive_minimum: above, exclusive_maximum: below }) {
  const low = minimum?.toLocaleString();
  const high = maximum?.toLocaleString();
  if (low !== undefined && high !== undefined) return `${low} to ${high}`;
  return low !== undefined ? `${above ? "over" : "from"} ${low}` : `${below ? "under" : "up to"} ${high}`;
}
