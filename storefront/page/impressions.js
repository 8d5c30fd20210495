// Which of the products that are shown came into view, each told once.

import { seen, send, takesEvents } from "./feedback.js";

const VISIBLE = 0.5;
const MOST_TOLD = 5_000;

const observer = new IntersectionObserver(noticed, { threshold: VISIBLE });
const answers = new WeakMap();
const told = new Set();

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
    seen(answer, target.dataset.product);
  }
}

addEventListener("pagehide", () => void send());
