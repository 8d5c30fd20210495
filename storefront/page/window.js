// The window: the products of one turn, how they were found, and what could be done about it.

import { card, decimal, skeleton, tile } from "./cards.js";
import { bar, byId, element, fill } from "./dom.js";
import { sortInWords } from "./fields.js";
import { conditions, inWords } from "./filters.js";
import { hideRefine } from "./refine.js";

export const ROUTES = {
  ROUTE_TEXT: "By words",
  ROUTE_IMAGE: "By picture",
  ROUTE_COMPOSED: "By picture and words",
  ROUTE_REFINE: "By product and words",
  ROUTE_SIMILAR: "Look-alikes",
  ROUTE_COMPARE: "Comparison",
  ROUTE_CHAT: "Answer",
};
/** What each entry of SearchResponse.degraded means to a shopper. */
const LEFT_OUT = {
  rewrite: "The rewriter was late, so your words were searched as they are.",
  soft_filters: "No product has all of that; these come closest.",
  exclusions: "Every product has something that you found fault with; these come closest.",
  history: "What you said long ago was not looked up in time.",
  session: "This turn will not be remembered: the memory of conversations does not answer.",
  words: "The end of so long a text is not read.",
  pool: "More products meet the conditions than could be put in order.",
  lexical: "Exact matches of your words were not looked up.",
  category: "What kind of thing the picture shows is not learnt yet.",
  details: "So many products are too large for one answer; the last ones lack their details.",
  speech: "What you said is not in it: it was not understood, or nobody could hear it now.",
};
const SKELETONS = 8;
const results = byId("results");

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
export function showAnswer(catalogue, { result, title, reference, understood }, { onLike, onWithout, onMore }) {
  results.removeAttribute("aria-busy");
  const { hits, searched } = result;
  byId("route").textContent = ROUTES[searched.route] ?? searched.route;
  byId("title").textContent = title;
  fill(byId("reference"), reference);
  fill(byId("chips"), ...chips(catalogue, searched, onWithout));
  fill(byId("note"), [...result.degraded.map((part) => LEFT_OUT[part] ?? `Left out: ${part}.`), ...faults(searched)].join(" "));
  byId("cards").replaceChildren(...hits.map((hit) => card(catalogue, hit, onLike)));
  fill(byId("nothing"), hits.length ? "" : nothing(searched));
  offerMore(onMore);
  showHow(catalogue, result, understood);
}

/** Adds the hits of a further page to those that are shown, and puts the focus on the first of them. */
export function showFurther(catalogue, hits, { onLike, onMore }) {
  endWaiting();
  const cards = hits.map((hit) => card(catalogue, hit, onLike));
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
  return excluded.length ? [`Without what you found fault with: ${excluded.map(({ value }) => value).join(", ")}.`] : [];
}

function chips(catalogue, searched, onWithout) {
  const parts = conditions(searched.filter);
  return parts.map((part, index) => {
    const text = inWords(part, catalogue);
    const others = parts.filter((_, other) => other !== index);
    const remove = { type: "button", class: "remove", "aria-label": `Without the condition ${text}`, onclick: () => onWithout(others) };
    return element("li", { class: "chip" }, text, element("button", remove, "×"));
  });
}

function nothing(searched) {
  const filtered = conditions(searched.filter).length > 0;
  return filtered ? "No product meets these conditions. Remove one of them, or ask for something else." : "Nothing was found. Ask in other words, or show a picture.";
}

function showHow(catalogue, result, understood) {
  const { searched, timings, versions, hits } = result;
  const reader = searched.source === "caller" ? "" : `read by ${searched.source}`;
  byId("how-summary").textContent = [`${hits.length} products in ${milliseconds(timings.total_ms)}`, reader].filter(Boolean).join(" · ");
  const known = {
    Route: ROUTES[searched.route] ?? searched.route,
    "Searched words": searched.text,
    "Searched product": searched.product_id,
    Conditions: conditions(searched.filter)
      .map((part) => inWords(part, catalogue))
      .join(", "),
    Order: searched.sort ? sortInWords(catalogue, searched.sort) : "",
    Weights: searched.weights ? shares(searched.weights) : "",
    "Read by": understood?.source ? `${understood.source}, confidence ${decimal(understood.confidence)}` : "nobody: as you said it",
    "Left out": result.degraded.join(", ") || "nothing",
    Encoders: versions?.model.slice(0, 12),
    Index: versions?.index,
    Request: result.request_id,
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
  return element("div", { class: "stages", role: "group", "aria-label": "Where the time went" }, ...cells);
}

function shares({ text, image, signals = {} }) {
  const named = { words: text, picture: image, ...signals };
  return Object.entries(named)
    .map(([name, share]) => `${name} ${round(share)}`)
    .join(", ");
}

const round = (number) => String(Math.round(number * 100) / 100);
const milliseconds = (ms) => `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
