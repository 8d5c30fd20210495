// The conversation's log: what was asked, how it was read, what was replied.

import { byId, element, pictureFrom } from "./dom.js";
import { amount, labelOf, titleOf } from "./fields.js";
import { say } from "./language.js";
import { pictureOf } from "./service.js";
import { routeName } from "./window.js";

const turns = byId("turns");

/** One turn in the log. */
export class TurnView {
  constructor({ words, picture, product, audio }) {
    this.reading = element("p", { class: "reading busy" }, say(audio ? "listening" : "reading"));
    this.asked = (words || audio) && element("p", { class: "asked" }, words || "…");
    this.node = element(
      "li",
      { class: "turn" },
      product && element("img", { class: "asked-picture", src: pictureOf(product.id), alt: say("like", { name: product.title }) }),
      picture && pictureFrom(picture, say("your_picture"), "asked-picture"),
      this.asked,
      this.reading,
    );
    turns.append(this.node);
    this.scroll();
  }

  /** Shows what was heard, behind what was written. */
  heard(words, text) {
    this.asked.textContent = [words, text].filter(Boolean).join(" ") || "…";
    this.reading.textContent = say("reading");
    this.scroll();
  }

  /** Shows how the turn was read, while it is being searched. */
  understood({ route, query, modification, more }) {
    const wanted = more ? say("next_page") : modification || query;
    this.reading.replaceChildren(routeName(route), ...(wanted ? [": ", element("strong", {}, wanted)] : []));
    this.scroll();
  }

  /** Shows products side by side; a row that tells none from another is quiet. */
  compared(catalogue, { products, fields }) {
    const names = products.map((product) => element("th", { scope: "col" }, element("img", { src: pictureOf(product.id), alt: "" }), titleOf(catalogue, product)));
    const rows = fields.map(({ field, label, values, equal }) =>
      element("tr", { class: equal && products.length > 1 ? "equal" : undefined }, element("th", { scope: "row" }, label || labelOf(catalogue, field)), ...values.map((value) => element("td", {}, value || "–"))),
    );
    const head = element("thead", {}, element("tr", {}, element("td"), ...names));
    const table = element("table", { class: "comparison" }, head, element("tbody", {}, ...rows));
    this.node.append(element("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": say("side_by_side") }, table));
    this.scroll();
  }

  /** Shows what the index knows of the question's words. */
  informed(catalogue, facts) {
    this.node.append(element("ul", { class: "known" }, ...facts.map((fact) => element("li", {}, told(catalogue, fact)))));
    this.scroll();
  }

  /** Shows what the shop's documents say, each passage with its source. */
  quoted(quotes) {
    const passages = quotes.map(({ document, title, heading, text }) => {
      const source = heading && heading !== title ? `${title}, “${heading}”` : title;
      return element("figure", { class: "quote" }, element("blockquote", {}, text), element("figcaption", { title: document }, source));
    });
    this.node.append(...passages);
    this.scroll();
  }

  /** Shows the reply, and a way back to the products. */
  answered({ reply, hits, onShow }) {
    this.reading.classList.remove("busy");
    if (reply) this.node.append(element("p", { class: "reply" }, reply));
    if (hits !== undefined) {
      const label = say("products", { count: hits });
      this.show = element("button", { type: "button", class: "quiet-button again", onclick: onShow }, label);
      this.node.append(this.show);
    }
    this.scroll();
  }

  /** Shows what went wrong, and a way to try again. */
  failed(message, onRetry) {
    this.reading.remove();
    this.node.append(
      element(
        "div",
        { class: "failure", role: "alert" },
        message,
        onRetry && element("button", { type: "button", class: "quiet-button", onclick: onRetry }, say("try_again")),
      ),
    );
    this.scroll();
  }

  /** Takes the turn out of the log. */
  remove() {
    this.node.remove();
  }

  /** Marks the turn whose products are in the window. */
  mark(shown) {
    if (shown) this.show?.setAttribute("aria-current", "true");
    else this.show?.removeAttribute("aria-current");
  }

  scroll() {
    turns.scrollTop = turns.scrollHeight;
  }
}

function told(catalogue, { field, value, products, values, lowest, highest }) {
  const label = labelOf(catalogue, field);
  if (value) return `${label} ${value}: ${say("products", { count: Number(products) })}`;
  if (highest !== undefined) return `${label}: ${say("between", { low: amount(catalogue, field, lowest), high: amount(catalogue, field, highest) })}`;
  return `${label}: ${values.join(", ")}`;
}
