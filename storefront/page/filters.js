// Filters as people read them, with one condition more and with one less.

import { amount, labelOf, written } from "./fields.js";
import { say } from "./language.js";

/** Returns the conditions that must all hold. */
export function conditions(filter) {
  if (filter?.all_of) return (filter.all_of.filters ?? []).flatMap(conditions);
  return filter && Object.keys(filter).length ? [filter] : [];
}

/** Returns the filter of the conditions; null for none. */
export function joined(parts) {
  return parts.length > 1 ? { all_of: { filters: parts } } : (parts[0] ?? null);
}

/** Returns the condition that a field has a value that a facet lists. */
export function having(field, value, boolean = false) {
  return { equals: { field, value: boolean ? { boolean: value === "true" } : { text: value } } };
}

/** Returns the condition that a number lies between two bounds, either of which may be undefined; null for none. */
export function between(field, low, high) {
  if (low === undefined && high === undefined) return null;
  const [minimum, maximum] = low !== undefined && high !== undefined && low > high ? [high, low] : [low, high];
  return { range: { field, minimum, maximum } };
}

/** Returns whether the condition is one of those that must hold. */
export const holds = (filter, condition) => conditions(filter).some((each) => same(each, condition));

/** Adds a condition, or takes it away where it holds already. */
export function toggled(filter, condition) {
  const parts = conditions(filter);
  const others = parts.filter((each) => !same(each, condition));
  return joined(others.length < parts.length ? others : [...parts, condition]);
}

/** Puts a range in the place of those of its field; null takes them away. */
export function ranged(filter, field, range) {
  const others = conditions(filter).filter((each) => each.range?.field !== field);
  return joined(range ? [...others, range] : others);
}

/** Returns the range of a field that must hold; empty without one. */
export const rangeOf = (filter, field) => conditions(filter).find((each) => each.range?.field === field)?.range ?? {};

/** Puts a condition into words. */
export function inWords(filter, catalogue) {
  if (filter.equals || filter.one_of || filter.range) return named(filter, catalogue, false);
  if (filter.negation) {
    const { equals, one_of: oneOf } = filter.negation;
    return equals || oneOf ? named(filter.negation, catalogue, true) : say("not_condition", { condition: inWords(filter.negation, catalogue) });
  }
  if (filter.any_of) return (filter.any_of.filters ?? []).map((part) => inWords(part, catalogue)).reduce(either);
  return conditions(filter)
    .map((part) => inWords(part, catalogue))
    .reduce((one, other) => say("and", { one, other }));
}

function named({ equals, one_of: oneOf, range }, catalogue, not) {
  if (range) return `${labelOf(catalogue, range.field)} ${interval(range, catalogue)}`;
  const { field } = equals ?? oneOf;
  const values = equals ? [equals.value] : (oneOf.values ?? []);
  const listed = values.map((value) => written(catalogue, field, value)).reduce(either, "");
  return `${labelOf(catalogue, field)}: ${not ? say("not", { values: listed }) : listed}`;
}

const either = (one, other) => (one ? say("or", { one, other }) : other);

function interval({ field, minimum, maximum, exclusive_minimum: above, exclusive_maximum: below }, catalogue) {
  const [low, high] = [minimum, maximum].map((bound) => (bound === undefined ? undefined : amount(catalogue, field, bound)));
  if (low !== undefined && high !== undefined) return say("between", { low, high });
  return low !== undefined ? say(above ? "over" : "at_least", { low }) : say(below ? "under" : "at_most", { high });
}

function same({ equals: one }, { equals: other }) {
  if (!one || !other || one.field !== other.field) return false;
  return plain(one.value) === plain(other.value);
}

// The service compares keywords in any case, and may have read a boolean from a word.
const plain = ({ text, number, boolean }) => (text ?? number ?? boolean ?? "").toString().toLowerCase();
