// The catalogue's fields, as its schema has them: what to call them, and how to write their values.

import { language, say } from "./language.js";

const KEYWORDS = ["FIELD_KIND_KEYWORD", "FIELD_KIND_KEYWORDS"];
const NUMBERS = ["FIELD_KIND_NUMBER", "FIELD_KIND_MONEY"];
/** Roles that a card shows in places of their own, or not at all. */
const PLACED = ["TITLE", "DESCRIPTION", "CATEGORY", "BRAND", "PRICE", "IMAGE", "URL", "ID"].map((role) => `FIELD_ROLE_${role}`);
const NO_ROLE = "FIELD_ROLE_UNSPECIFIED";

/** Returns what the page needs to know of a catalogue, from a vitrine.v1.DescribeResponse. */
export function readCatalogue({ schema, fields: summaries = [], products = 0, versions, speech = false } = {}) {
  const fields = schema?.fields ?? [];
  return {
    products: Number(products),
    index: versions?.index ?? "",
    hears: speech,
    currency: schema?.currency ?? "",
    fields,
    byName: new Map(fields.map((field) => [field.name, field])),
    byRole: new Map(fields.filter(({ role }) => role && role !== NO_ROLE).map((field) => [field.role, field])),
    summaries: new Map(summaries.map((summary) => [summary.name, summary])),
  };
}

/** Stands in until the catalogue is described. */
export const UNKNOWN = readCatalogue();

export const isKeyword = (field) => KEYWORDS.includes(field?.kind);
export const isNumber = (field) => NUMBERS.includes(field?.kind);
export const isBoolean = (field) => field?.kind === "FIELD_KIND_BOOLEAN";

/** Returns what to call a field in the page's language. */
export function labelOf(catalogue, name) {
  const labels = catalogue.byName.get(name)?.labels ?? {};
  return labels[language()] || labels.en || name.replaceAll("_", " ");
}

/** Writes a value, a vitrine.v1.FieldValue, as people read it; a missing one is empty. */
export function written(catalogue, name, value) {
  if (value?.texts) return (value.texts.values ?? []).join(", ");
  if (value?.boolean !== undefined) return say(value.boolean ? "yes" : "no");
  if (value?.number !== undefined) return amount(catalogue, name, value.number);
  return value?.text ?? "";
}

/** Writes a number of a field: an amount of money in the catalogue's currency, anything else plainly. */
export function amount(catalogue, name, number) {
  if (catalogue.byName.get(name)?.kind === "FIELD_KIND_MONEY") return money(catalogue.currency, number);
  // A year is written without a separator.
  return number.toLocaleString(language(), { maximumFractionDigits: 6, useGrouping: "min2" });
}

/** Writes an amount of money; without a currency, where the catalogue names none. */
export function money(currency, number) {
  const style = currency ? { style: "currency", currency } : { minimumFractionDigits: 2, maximumFractionDigits: 2 };
  return number.toLocaleString(language(), style);
}

/** Returns the product's title, or its caption or its id where it has none. */
export const titleOf = (catalogue, product, id = "") => ofRole(catalogue, product, "TITLE", product?.title) || product?.caption || product?.id || id;

/** Returns the caption that was made from the product's pictures, where its card does not have it as a title. */
export const captionOf = (catalogue, product) => (titleOf(catalogue, product) === product?.caption ? "" : product?.caption) ?? "";

/** Returns what stands behind a value that was read in the product's pictures and not said by the shop. */
export const inferred = () => say("from_picture");

const isInferred = (product, name) => (product?.inferred ?? []).includes(name);

/** Returns what stands below the title: the brand and the category, of those that there are. */
export const kindOf = (catalogue, product) =>
  ["BRAND", "CATEGORY"]
    .map((role) => ({ role, text: ofRole(catalogue, product, role, product?.[role.toLowerCase()]) }))
    .filter(({ text }) => text)
    .map(({ role, text }) => (isInferred(product, nameOf(catalogue, role)) ? `${text} ${inferred()}` : text))
    .join(" · ");

/** Returns the product's price; empty where it has none. */
export function priceOf(catalogue, product) {
  const otherwise = product?.price === undefined ? "" : money(catalogue.currency, product.price);
  return ofRole(catalogue, product, "PRICE", otherwise);
}

/** Returns the first few other values of a product that are short enough for a card, each with its field's label. */
export function traitsOf(catalogue, product, most = 3) {
  return catalogue.fields
    .filter((field) => field.kind !== "FIELD_KIND_TEXT" && !PLACED.includes(field.role))
    .map(({ name }) => ({ label: labelOf(catalogue, name), value: written(catalogue, name, product?.fields?.[name]), ...(isInferred(product, name) && { inferred: true }) }))
    .filter(({ value }) => value !== "")
    .slice(0, most);
}

/** Returns the orders that the schema allows, both ways, in words. */
export function sortsOf(catalogue) {
  return catalogue.fields
    .filter((field) => field.sort)
    .flatMap((field) => [false, true].map((descending) => ({ field: field.name, descending, label: sortInWords(catalogue, { field: field.name, descending }) })));
}

/** Puts an order, a vitrine.v1.Sort, into words. */
export function sortInWords(catalogue, { field, descending = false }) {
  const ways = isKeyword(catalogue.byName.get(field)) ? ["alphabetical", "backwards"] : ["ascending", "descending"];
  return `${labelOf(catalogue, field)}: ${say(ways[descending ? 1 : 0])}`;
}

const nameOf = (catalogue, role) => catalogue.byRole.get(`FIELD_ROLE_${role}`)?.name;

function ofRole(catalogue, product, role, otherwise = "") {
  const name = nameOf(catalogue, role);
  return (name && written(catalogue, name, product?.fields?.[name])) || otherwise;
}
