// Products in the window: a card for each hit, a tile for each place to begin, and what keeps their places.

import { bar, element } from "./dom.js";
import { captionOf, inferred, kindOf, priceOf, titleOf, traitsOf } from "./fields.js";
import { language, say, says } from "./language.js";
import { pictureOf } from "./service.js";

/** Makes the card of a hit; `onLike` and `onMoreLike` are called with its id and title. */
export function card(catalogue, hit, onLike, onMoreLike) {
  const { product_id: id, product = {}, parts = {}, image_index: index, sponsored } = hit;
  const title = titleOf(catalogue, product, id);
  const about = element(
    "div",
    { class: "about" },
    sponsored && paragraph("sponsored", say("sponsored_by", { name: sponsored.advertiser })),
    element("h3", { class: "name" }, title),
    paragraph("brand", kindOf(catalogue, product)),
    traits(traitsOf(catalogue, product)),
    generated(captionOf(catalogue, product)),
    paragraph("price", priceOf(catalogue, product)),
    scores(hit.score, parts),
  );
  const like = element(
    "button",
    { type: "button", class: "like", "aria-pressed": "false", "aria-label": say("like_named", { name: title }), onclick: () => onLike({ id, title }) },
    element("span", { "aria-hidden": "true" }, say("like_but")),
  );
  const more = element("button", { type: "button", class: "alike", "aria-label": say("more_like", { name: title }), onclick: () => onMoreLike({ id, title }) }, say("alike"));
  return element("li", { class: "card", "data-product": id }, frame(id, title, index), about, like, more);
}

/** Makes a tile that leads to the products of a kind. */
export function tile({ label, productId, onChoose }) {
  const about = element("div", { class: "about" }, element("p", { class: "name" }, label));
  const choose = element("button", { type: "button", class: "like", "aria-label": say("show", { name: label }), onclick: onChoose });
  return element("li", { class: "card tile" }, frame(productId, label), about, choose);
}

/** Makes what keeps the place of a card. */
export const skeleton = () =>
  element(
    "li",
    { class: "card skeleton", "aria-hidden": "true" },
    element("div", { class: "frame" }),
    element("div", { class: "about" }, element("div", { class: "line" }), element("div", { class: "line" })),
  );

/** Writes a share with three decimals. */
export const decimal = (number) => (number ?? 0).toLocaleString(language(), { minimumFractionDigits: 3, maximumFractionDigits: 3 });

const paragraph = (kind, text) => text && element("p", { class: kind }, text);

const traits = (known) =>
  known.length > 0 && element("dl", { class: "traits" }, ...known.map(trait));

const trait = ({ label, value, inferred: isInferred }) =>
  element("div", {}, element("dt", {}, label), element("dd", {}, value, isInferred && element("span", { class: "inferred" }, ` ${inferred()}`)));

const generated = (caption) => caption && element("p", { class: "caption", title: say("made_from_picture") }, `${caption} ${inferred()}`);

function scores(score, { text, image, signals = {} }) {
  return element(
    "div",
    { class: "scores" },
    element("span", { class: "total" }, say("score"), element("b", {}, decimal(score))),
    ...part(say("in_words"), text, "words"),
    ...part(say("in_picture"), image, "picture"),
    ...Object.entries(signals).flatMap(([name, share]) => part(signalName(name), share, "signal")),
  );
}

/** Names a ranking signal; one that the page does not know by its own name. */
export const signalName = (name) => (says(`signal_${name}`) ? say(`signal_${name}`) : name.replaceAll("_", " "));

const part = (label, share, kind) => [element("span", {}, label), bar(share, kind), element("span", {}, decimal(share))];

function frame(productId, title, index = 0) {
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
  image.src = pictureOf(productId, index);
  place.append(image);
  return place;
}
