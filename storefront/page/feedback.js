// What was done with the products that are shown, told to the service: who did it only where the shopper agreed to that.

import { record } from "./service.js";
import { doer, randomId } from "./shopper.js";

const AT_ONCE = 100;
const MOST_WAITING = 200;
const MOST_TOLD = 5_000;
const PAUSE_MS = 1_500;
const VISIBLE = 0.5;

let waiting = [];
let timer = null;
const observer = new IntersectionObserver(noticed, { threshold: VISIBLE });
const answers = new WeakMap();
const told = new Set();

/** Whether the service takes what shoppers do, by one of its answers. */
export const takesEvents = (answer) => Boolean(answer?.answer_token);

/** Tells that a product of an answer was chosen; where the service takes no such thing, nothing is sent. */
export function chosen(answer, productId) {
  tell("KIND_CLICK", answer, productId);
  send();
}

/** Tells of each card in the list, once an answer, that it was seen, when half of it is in view. */
export function watch(answer, list) {
  if (!takesEvents(answer)) return;
  for (const card of list.querySelectorAll("[data-product]")) {
    answers.set(card, answer);
    observer.observe(card);
  }
}

function noticed(entries) {
  for (const { target, isIntersecting } of entries) {
    const answer = answers.get(target);
    if (!isIntersecting || !answer) continue;
    observer.unobserve(target);
    const name = `${answer.answer_token} ${target.dataset.product}`;
    if (told.has(name)) continue; // shown again, such as in another language
    if (told.size >= MOST_TOLD) told.clear();
    told.add(name);
    tell("KIND_IMPRESSION", answer, target.dataset.product);
  }
}

function tell(kind, answer, productId) {
  const place = answer?.hits.findIndex((hit) => hit.product_id === productId) ?? -1;
  if (!takesEvents(answer) || place < 0 || waiting.length >= MOST_WAITING) return;
  waiting.push({ id: randomId(), kind, product_id: productId, answer_token: answer.answer_token, position: place + 1, time: new Date().toISOString(), ...doer() });
  timer ??= setTimeout(send, PAUSE_MS);
}

/** Sends what waits, of which the service takes so many at once. */
async function send() {
  clearTimeout(timer);
  timer = null;
  const events = waiting.splice(0, AT_ONCE);
  if (!events.length) return;
  await record(events).catch(() => {}); // the shopper asked for nothing, and is told nothing
  if (waiting.length) timer ??= setTimeout(send, PAUSE_MS);
}

addEventListener("pagehide", () => void send());
