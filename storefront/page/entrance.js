// What the entrance shows: where to begin, made of what the catalogue itself has.

import { isKeyword, labelOf } from "./fields.js";
import { say } from "./language.js";

/** Returns the field whose values part the catalogue best: the category, or else the first that has values; null without one. */
export function leadField(catalogue) {
  const category = catalogue.byRole.get("FIELD_ROLE_CATEGORY");
  const candidates = [category, ...catalogue.fields].filter((field) => isKeyword(field) && field.filter);
  return candidates.find((field) => valuesOf(catalogue, field).length) ?? null;
}

/** Returns the values of a field that the index holds, most frequent first. */
export const valuesOf = (catalogue, { name }) => catalogue.summaries.get(name)?.values ?? [];

/** Describes some products as people would ask for them, so that each example finds something. */
export function examples(catalogue, products) {
  const lead = leadField(catalogue);
  const others = catalogue.fields.filter((field) => isKeyword(field) && field.filter && field !== lead && field.role !== "FIELD_ROLE_BRAND");
  const texts = products.slice(0, 3).map((product, index) => {
    const held = others.map(({ name }) => firstOf(product.fields?.[name])).filter(Boolean);
    // Each example shows another field where there are several.
    const trait = held[index % Math.max(1, held.length)] ?? "";
    const thing = (lead && firstOf(product.fields?.[lead.name])) ?? "";
    // "Apple Juice" says what kind of thing it is by itself.
    const words = trait.toLowerCase().includes(thing.toLowerCase()) ? trait : [trait, thing].filter(Boolean).join(" ");
    return words && index === 1 ? words + affordable(catalogue, product) : words;
  });
  return [...new Set(texts.filter(Boolean))];
}

/** Says what the tile of a value leads to. */
export const tileLabel = (catalogue, field, value) => (field.role === "FIELD_ROLE_CATEGORY" ? value : `${labelOf(catalogue, field.name)}: ${value}`);

function affordable(catalogue, product) {
  const name = catalogue.byRole.get("FIELD_ROLE_PRICE")?.name;
  const price = product.fields?.[name]?.number;
  if (price === undefined) return "";
  const step = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(price, 1))));
  return ` ${say("under", { high: String((Math.floor(price / step) + 1) * step) })}`;
}

const firstOf = (value) => value?.text ?? value?.texts?.values?.[0] ?? "";
