// The window: the products of one turn, how they were found, and what could be done about it.

import { card, decimal, signalName, skeleton, tile } from "./cards.js";
import { bar, byId, element, fill } from "./dom.js";
import { sortInWords } from "./fields.js";
import { conditions, inWords } from "./filters.js";
import { language, say, says } from "./language.js";
import { hideRefine } from "./refine.js";

const SKELETONS = 8;
const results = byId("results");

/** Names a route as a shopper reads it. */
export const routeName = (route) => named(route.toLowerCase(), route);

/** Says what an entry of SearchResponse.degraded means to a shopper. */
const leftOut = (part) => named(`left_${part}`, say("left_other", { part }));

const named = (name, otherwise) => (says(name) ? say(name) : otherwise);

/** Shows that an answer is on its way; products that are there stay, pale, and otherwise their places are kept. */
export function showWaiting() {
  results.setAttribute("aria-busy", "true");
  const shown = [...byId("cards").children];
  if (shown.length && !shown[0].matches(".tile")) shown.forEach((card) => card.classList.add("stale"));
  else byId("cards").replaceChildren(...Array.from({ length: SKELETONS }, skeleton));
  byId("nothing").hidden = true;
}

/** Ends the waiting without another answer: what was there is there again. */
export function endWaiting() {
  results.removeAttribute("aria-busy");
  for (const card of [...byId("cards").children]) {
    if (card.matches(".skeleton")) card.remove();
    card.classList.remove("stale");
  }
}

/** Shows the answer to a turn. */
export function showAnswer(catalogue, { result, title, reference, understood }, { onLike, onMoreLike, onWithout, onMore }) {
  results.removeAttribute("aria-busy");
  const { hits, searched } = result;
  byId("route").textContent = routeName(searched.route);
  byId("title").textContent = title;
  fill(byId("reference"), reference);
  fill(byId("chips"), ...chips(catalogue, searched, onWithout));
  fill(byId("note"), [...result.degraded.map(leftOut), ...faults(searched)].join(" "));
  byId("cards").replaceChildren(...hits.map((hit) => card(catalogue, hit, onLike, onMoreLike)));
  fill(byId("nothing"), hits.length ? "" : nothing(searched));
  offerMore(onMore);
  showHow(catalogue, result, understood);
}

/** Adds the hits of a further page to those that are shown, and puts the focus on the first of them. */
export function showFurther(catalogue, hits, { onLike, onMoreLike, onMore }) {
  endWaiting();
  const cards = hits.map((hit) => card(catalogue, hit, onLike, onMoreLike));
  byId("cards").append(...cards);
  offerMore(onMore);
  cards[0]?.querySelector(".like").focus({ preventScroll: true });
}

/** Shows the button for the next page; without a listener, hides it. */
export function offerMore(onMore) {
  byId("more").hidden = !onMore;
  byId("more").onclick = onMore;
}

/** Shows where one could begin: a product of each kind. */
export function showEntrance(title, tiles) {
  results.removeAttribute("aria-busy");
  byId("route").textContent = "";
  byId("title").textContent = title;
  hideRefine();
  for (const id of ["reference", "chips", "note", "nothing", "more", "how"]) byId(id).hidden = true;
  byId("cards").replaceChildren(...tiles.map(tile));
}

/** Marks the product that the question is about. */
export function markChosen(productId) {
  for (const each of byId("cards").children) {
    const chosen = Boolean(productId) && each.dataset.product === productId;
    each.classList.toggle("chosen", chosen);
    each.querySelector(".like")?.setAttribute("aria-pressed", String(chosen));
  }
}

/** Names what is left out because the shopper did not like it. */
function faults({ excluded = [] }) {
  return excluded.length ? [say("excluded", { values: excluded.map(({ value }) => value).join(", ") })] : [];
}

function chips(catalogue, searched, onWithout) {
  const parts = conditions(searched.filter);
  return parts.map((part, index) => {
    const text = inWords(part, catalogue);
    const others = parts.filter((_, other) => other !== index);
    const remove = { type: "button", class: "remove", "aria-label": say("without", { condition: text }), onclick: () => onWithout(others) };
    return element("li", { class: "chip" }, text, element("button", remove, "×"));
  });
}

function nothing(searched) {
  const filtered = conditions(searched.filter).length > 0;
  return say(filtered ? "nothing_filtered" : "nothing");
}

function showHow(catalogue, result, understood) {
  const { searched, timings, versions, hits } = result;
  const reader = searched.source === "caller" ? "" : say("read_by", { reader: searched.source });
  byId("how-summary").textContent = [say("how", { count: hits.length, time: milliseconds(timings.total_ms) }), reader].filter(Boolean).join(" · ");
  const known = {
    [say("how_route")]: routeName(searched.route),
    [say("how_words")]: searched.text,
    [say("how_product")]: searched.product_id,
    [say("conditions")]: conditions(searched.filter)
      .map((part) => inWords(part, catalogue))
      .join(", "),
    [say("how_order")]: searched.sort ? sortInWords(catalogue, searched.sort) : "",
    [say("how_weights")]: searched.weights ? shares(searched.weights) : "",
    [say("how_reader")]: understood?.source ? say("how_confidence", { reader: understood.source, confidence: decimal(understood.confidence) }) : say("how_nobody"),
    [say("how_left_out")]: result.degraded.join(", ") || say("how_none"),
    [say("how_encoders")]: versions?.model.slice(0, 12),
    [say("how_index")]: versions?.index,
    [say("how_request")]: result.request_id,
  };
  const facts = Object.entries(known).filter(([, text]) => text);
  byId("how-body").replaceChildren(
    element("dl", { class: "facts" }, ...facts.flatMap(([name, text]) => [element("dt", {}, name), element("dd", {}, text)])),
    stages(timings),
  );
  byId("how").hidden = false;
}

function stages({ total_ms: total, stages_ms: parts }) {
  const rows = Object.entries(parts ?? {}).sort(([, a], [, b]) => b - a);
  const cells = rows.flatMap(([name, ms]) => [element("span", {}, name), bar(ms / total, "time"), element("b", {}, milliseconds(ms))]);
  return element("div", { class: "stages", role: "group", "aria-label": say("how_time") }, ...cells);
}

function shares({ text, image, signals = {} }) {
  const ofAll = { [say("in_words")]: text, [say("in_picture")]: image };
  for (const [name, share] of Object.entries(signals)) ofAll[signalName(name)] = share;
  return Object.entries(ofAll)
    .map(([name, share]) => `${name} ${round(share)}`)
    .join(", ");
}

const round = (number) => number.toLocaleString(language(), { maximumFractionDigits: 2 });
const milliseconds = (ms) => `${ms.toLocaleString(language(), { maximumFractionDigits: ms < 10 ? 1 : 0 })} ms`;
