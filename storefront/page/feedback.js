// What was done with the products that are shown, told to the service: who did it only where the shopper agreed to that.

import { record } from "./service.js";
import { doer, randomId } from "./shopper.js";

const AT_ONCE = 100;
const MOST_WAITING = 200;
const PAUSE_MS = 1_500;

let waiting = [];
let timer = null;

/** Whether the service takes what shoppers do, by one of its answers. */
export const takesEvents = (answer) => Boolean(answer?.answer_token);

/** Tells at once that a product of an answer was chosen; where the service takes no such thing, nothing is sent. */
export async function chosen(answer, productId) {
  if (keep("KIND_CLICK", answer, productId)) await send();
}

/** Tells soon that a product of an answer was seen. */
export function seen(answer, productId) {
  if (keep("KIND_IMPRESSION", answer, productId)) timer ??= setTimeout(send, PAUSE_MS);
}

/** Sends what waits, of which the service takes so many at once. */
export async function send() {
  clearTimeout(timer);
  timer = null;
  const events = waiting.splice(0, AT_ONCE);
  if (!events.length) return;
  await record(events).catch(() => {}); // the shopper asked for nothing, and is told nothing
  if (waiting.length) timer ??= setTimeout(send, PAUSE_MS);
}

function keep(kind, answer, productId) {
  const place = answer?.hits.findIndex((hit) => hit.product_id === productId) ?? -1;
  if (!takesEvents(answer) || place < 0 || waiting.length >= MOST_WAITING) return false;
  waiting.push({ id: randomId(), kind, product_id: productId, answer_token: answer.answer_token, position: place + 1, time: new Date().toISOString(), ...doer() });
  return true;
}
