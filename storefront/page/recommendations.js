// The shelf below the products: more like one of them, or what is for this shopper.

import { card } from "./cards.js";
import { byId } from "./dom.js";
import { watch } from "./impressions.js";
import { say } from "./language.js";
import { recommend } from "./service.js";
import { shopper } from "./shopper.js";

const LIMIT = 6;
let asked = 0;

/** Shows what is most like a product; the focus goes to the shelf. Raises ServiceError. */
export async function showMoreLike(catalogue, product, handlers) {
  const answer = await ask({ kind: "KIND_MORE_LIKE_THIS", product_ids: [product.id] });
  if (!answer) return null;
  show(catalogue, say("more_like", { name: product.title }), answer, handlers);
  byId("shelf-title").focus();
  return answer;
}

/** Shows what is to the shopper's taste, or what is popular; nothing where neither is known. */
export async function showForYou(catalogue, handlers) {
  const answer = await ask({ kind: "KIND_FOR_YOU" }).catch(() => null);
  if (answer) show(catalogue, say(answer.kind === "KIND_FOR_YOU" ? "for_you" : "popular_now"), answer, handlers);
}

/** Takes the shelf away, and what is still on its way to it. */
export function clearShelf() {
  asked += 1;
  byId("shelf").hidden = true;
  byId("shelf-cards").replaceChildren();
}

/** Asks the service; null where something else was asked for meanwhile. */
async function ask(request) {
  const mine = (asked += 1);
  const answer = await recommend({ ...request, limit: LIMIT, ...shopper() });
  return mine === asked ? answer : null;
}

function show(catalogue, title, answer, { onLike, onMoreLike }) {
  byId("shelf-title").textContent = title;
  const like = (product) => onLike(product, answer);
  byId("shelf-cards").replaceChildren(...answer.hits.map((hit) => card(catalogue, hit, like, onMoreLike)));
  byId("shelf").hidden = answer.hits.length === 0;
  watch(answer, byId("shelf-cards"));
}
