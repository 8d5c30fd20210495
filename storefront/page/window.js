// The window: the products of one turn, how they were found, and what could be done about it.

import { bar, byId, element, fill } from "./dom.js";
import { conditions, inWords } from "./filters.js";
import { pictureOf } from "./service.js";

export const ROUTES = {
  ROUTE_TEXT: "By words",
  ROUTE_IMAGE: "By picture",
  ROUTE_COMPOSED: "By picture and words",
  ROUTE_REFINE: "By product and words",
  ROUTE_SIMILAR: "Look-alikes",
  ROUTE_COMPARE: "Comparison",
  ROUTE_CHAT: "Answer",
};
const SORTS = { SORT_ORDER_PRICE_ASCENDING: "cheapest first", SORT_ORDER_PRICE_DESCENDING: "dearest first" };
const LEFT_OUT = {
  rewrite: "The rewriter was late, so your words were searched as they are.",
  wishes: "No product has all of that; these come closest.",
  dislikes: "Every product has something that you found fault with; these come closest.",
  recall: "What you said long ago was not looked up in time.",
  session: "This turn will not be remembered: the memory of conversations does not answer.",
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
export function showAnswer({ result, title, reference, understood }, { onLike, onWithout, onMore }) {
  results.removeAttribute("aria-busy");
  const { hits, searched } = result;
  byId("route").textContent = ROUTES[searched.route] ?? searched.route;
  byId("title").textContent = title;
  fill(byId("reference"), reference);
  fill(byId("chips"), ...chips(searched, onWithout));
  fill(byId("note"), [...result.degraded.map((part) => LEFT_OUT[part] ?? `Left out: ${part}.`), ...faults(searched)].join(" "));
  byId("cards").replaceChildren(...hits.map((hit) => card(hit, onLike)));
  fill(byId("nothing"), hits.length ? "" : nothing(searched));
  byId("more").hidden = !onMore;
  byId("more").onclick = onMore;
  showHow(result, understood);
}

/** Shows where one could begin: a product of each kind. */
export function showEntrance(title, tiles) {
  results.removeAttribute("aria-busy");
  byId("route").textContent = "";
  byId("title").textContent = title;
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

/** Says what is left out because the shopper did not like it. */
function faults({ disliked = [] }) {
  return disliked.length ? [`Without what you found fault with: ${disliked.map(({ value }) => value).join(", ")}.`] : [];
}

function chips(searched, onWithout) {
  const parts = conditions(searched.filter);
  const removable = parts.map((part, index) => {
    const text = inWords(part);
    const others = parts.filter((_, other) => other !== index);
    const remove = { type: "button", class: "remove", "aria-label": `Without the condition ${text}`, onclick: () => onWithout(others) };
    return element("li", { class: "chip" }, text, element("button", remove, "×"));
  });
  const sort = SORTS[searched.sort];
  return sort ? [...removable, element("li", { class: "chip plain" }, sort)] : removable;
}

function card(hit, onLike) {
  const { product_id: id, product = {}, parts = {} } = hit;
  const title = product.title || id;
  const about = element(
    "div",
    { class: "about" },
    element("h3", { class: "name" }, title),
    element("p", { class: "brand" }, [product.brand, product.category].filter(Boolean).join(" · ")),
    element("p", { class: "price" }, money(product.price)),
    scores(hit.score, parts),
  );
  const like = element(
    "button",
    { type: "button", class: "like", "aria-pressed": "false", "aria-label": `Like this: ${title}`, onclick: () => onLike({ id, title }) },
    element("span", { "aria-hidden": "true" }, "Like this, but …"),
  );
  return element("li", { class: "card", "data-product": id }, frame(id, title), about, like);
}

function scores(score, { text, image }) {
  return element(
    "div",
    { class: "scores" },
    element("span", { class: "total" }, "score", element("b", {}, decimal(score))),
    ...part("words", text, "words"),
    ...part("picture", image, "picture"),
  );
}

const part = (label, share, kind) => [element("span", {}, label), bar(share, kind), element("span", {}, decimal(share))];

function tile({ label, productId, onChoose }) {
  const about = element("div", { class: "about" }, element("p", { class: "name" }, label));
  const choose = element("button", { type: "button", class: "like", "aria-label": `Show ${label}`, onclick: onChoose });
  return element("li", { class: "card tile" }, frame(productId, label), about, choose);
}

function frame(productId, title) {
  const place = element("div", { class: "frame", "data-initial": title.slice(0, 1).toUpperCase() });
  if (!productId) {
    place.classList.add("missing");
    return place;
  }
  const missing = () => {
    place.classList.add("missing");
    image.remove();
  };
  const image = element("img", { alt: "", draggable: "false", decoding: "async", width: "256", height: "256", onerror: missing });
  image.src = pictureOf(productId);
  place.append(image);
  return place;
}

const skeleton = () =>
  element(
    "li",
    { class: "card skeleton", "aria-hidden": "true" },
    element("div", { class: "frame" }),
    element("div", { class: "about" }, element("div", { class: "line" }), element("div", { class: "line" })),
  );

function nothing(searched) {
  const filtered = conditions(searched.filter).length > 0;
  return filtered ? "No product meets these conditions. Remove one of them, or ask for something else." : "Nothing was found. Ask in other words, or show a picture.";
}

function showHow(result, understood) {
  const { searched, timings, versions, hits } = result;
  const reader = searched.source === "caller" ? "" : `read by ${searched.source}`;
  byId("how-summary").textContent = [`${hits.length} products in ${milliseconds(timings.total_ms)}`, reader].filter(Boolean).join(" · ");
  const known = {
    Route: ROUTES[searched.route] ?? searched.route,
    "Searched words": searched.text,
    "Searched product": searched.product_id,
    Conditions: conditions(searched.filter).map(inWords).join(", "),
    Weights: searched.weights ? `words ${round(searched.weights.text)}, picture ${round(searched.weights.image)}` : "",
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

const decimal = (number) => (number ?? 0).toFixed(3);
const round = (number) => String(Math.round(number * 100) / 100);
const money = (price) => (price === undefined ? "" : price.toLocaleString(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 2 }));
const milliseconds = (ms) => `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
