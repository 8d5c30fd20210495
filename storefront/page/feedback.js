// What was done with the products that are shown, told to the service. Nothing of it says who did it.

import { record } from "./service.js";

const ID_BYTES = 16;

/** Tells that a product of an answer was chosen; where the service takes no such thing, nothing is sent. */
export async function chosen(answer, productId) {
  const place = answer?.hits.findIndex((hit) => hit.product_id === productId) ?? -1;
  if (!answer?.answer_token || place < 0) return;
  const event = {
    id: randomId(),
    kind: "KIND_CLICK",
    product_id: productId,
    answer_token: answer.answer_token,
    position: place + 1,
    time: new Date().toISOString(),
  };
  await record([event]).catch(() => {}); // the shopper asked for nothing, and is told nothing
}

const randomId = () => Array.from(crypto.getRandomValues(new Uint8Array(ID_BYTES)), (byte) => byte.toString(16).padStart(2, "0")).join("");
