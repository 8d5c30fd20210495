// What can be done to the products of a turn: conditions by the fields that the schema filters, and the order.

import { byId, element, fill } from "./dom.js";
import { amount, isBoolean, isKeyword, isNumber, labelOf, sortInWords, sortsOf } from "./fields.js";
import { language, say } from "./language.js";
import { between, having, holds, ranged, rangeOf, toggled } from "./filters.js";

const SHOWN = 12;

/**
 * Shows a group for each field that the schema filters and the products have, and the orders. The counts are those of
 * `facets`; before they come, the values are those of the whole index. Calls `onFilter` with another filter and
 * `onSort` with another order, undefined for that of the scores.
 */
export function showRefine(catalogue, { searched, facets }, { onFilter, onSort }) {
  const open = new Set([...byId("facets").children].filter((group) => group.open).map((group) => group.dataset.field));
  const counted = new Map((facets ?? []).map((facet) => [facet.field, facet]));
  const groups = catalogue.fields
    .filter((field) => field.filter)
    .map((field) => [field, body(catalogue, field, counted.get(field.name), searched.filter, onFilter)])
    .filter(([, content]) => content)
    .map(([field, content]) => group(catalogue, field, content, open.has(field.name)));
  fill(byId("facets"), ...groups);
  showSorts(catalogue, searched.sort, onSort);
  byId("refine").hidden = byId("facets").hidden && byId("sorting").hidden;
}

/** Hides all of it. */
export function hideRefine() {
  byId("refine").hidden = true;
}

function group(catalogue, field, content, open) {
  const summary = element("summary", {}, labelOf(catalogue, field.name));
  return element("details", { class: "facet", "data-field": field.name, open }, summary, content);
}

function body(catalogue, field, facet, filter, onFilter) {
  if (isNumber(field)) return range(catalogue, field, facet ?? catalogue.summaries.get(field.name), filter, onFilter);
  if (!isKeyword(field) && !isBoolean(field)) return null;
  const known = catalogue.summaries.get(field.name);
  const values = facet?.values ?? (known?.values ?? []).map((value) => ({ value }));
  if (!values.length) return null;
  const chips = values.map(({ value, products }) => choice(field, value, products, filter, onFilter));
  const rest = chips.slice(SHOWN);
  const list = element("ul", { class: "choices", "aria-label": labelOf(catalogue, field.name) }, ...chips.slice(0, SHOWN));
  if (rest.length) list.append(unfolding(list, rest));
  else if (facet?.more_values ?? known?.more_values) list.append(element("li", { class: "rest" }, say("and_more")));
  return list;
}

function choice(field, value, products, filter, onFilter) {
  const boolean = isBoolean(field);
  const condition = having(field.name, value, boolean);
  const label = boolean ? say(value === "true" ? "yes" : "no") : value;
  const attributes = { type: "button", class: "chip choice", "aria-pressed": String(holds(filter, condition)), onclick: () => onFilter(toggled(filter, condition)) };
  const count = products === undefined ? "" : element("span", { class: "count" }, Number(products).toLocaleString(language()));
  return element("li", {}, element("button", attributes, label, count));
}

function unfolding(list, rest) {
  const unfold = () => {
    item.replaceWith(...rest);
    rest[0].querySelector("button").focus();
  };
  const item = element("li", {}, element("button", { type: "button", class: "chip plain", onclick: unfold }, say("values_more", { count: rest.length })));
  return item;
}

function range(catalogue, field, { minimum, maximum } = {}, filter, onFilter) {
  const chosen = rangeOf(filter, field.name);
  const bounded = chosen.minimum !== undefined || chosen.maximum !== undefined;
  if (!bounded && (minimum === undefined || maximum === undefined || minimum === maximum)) return null;
  const label = labelOf(catalogue, field.name);
  const low = bound(say("bound_from", { field: label }), chosen.minimum, minimum);
  const high = bound(say("bound_to", { field: label }), chosen.maximum, maximum);
  const submit = (event) => {
    event.preventDefault();
    onFilter(ranged(filter, field.name, between(field.name, numberOf(low), numberOf(high))));
  };
  const span = minimum === undefined ? "" : say("between", { low: amount(catalogue, field.name, minimum), high: amount(catalogue, field.name, maximum) });
  const apply = element("button", { type: "submit", class: "quiet-button" }, say("apply"));
  return element("form", { class: "range", onsubmit: submit }, low, element("span", { "aria-hidden": "true" }, "–"), high, apply, element("span", { class: "span" }, span));
}

const bound = (label, value, hint) => element("input", { type: "number", step: "any", "aria-label": label, value, placeholder: hint === undefined ? "" : String(hint) });

const numberOf = (input) => (Number.isFinite(input.valueAsNumber) ? input.valueAsNumber : undefined);

function showSorts(catalogue, chosen, onSort) {
  const sorts = sortsOf(catalogue);
  const current = chosen ? keyOf(chosen) : "";
  if (chosen && !sorts.some((sort) => keyOf(sort) === current)) sorts.push({ ...chosen, label: sortInWords(catalogue, chosen) });
  const options = sorts.map((sort) => element("option", { value: keyOf(sort), selected: keyOf(sort) === current }, sort.label));
  const menu = byId("sort");
  menu.replaceChildren(element("option", { value: "", selected: !current }, say("best_match")), ...options);
  menu.onchange = () => {
    const wanted = sorts.find((sort) => keyOf(sort) === menu.value);
    onSort(wanted && { field: wanted.field, descending: wanted.descending });
  };
  byId("sorting").hidden = sorts.length === 0;
}

const keyOf = ({ field, descending = false }) => (descending ? `${field}:desc` : field);
