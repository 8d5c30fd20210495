// What the page says, in the language that was chosen: a module of words a language, English where one lacks some.

import { words } from "./words-en.js";

const ENGLISH = "en";
const KEPT = "language";

let code = ENGLISH;
let spoken = words;
let plurals = new Intl.PluralRules(ENGLISH);

/** Returns the language that is spoken, as an ISO 639 code. */
export const language = () => code;

/** Returns a message with its parts filled in; one with a count in the form of its number. */
export function say(name, parts = {}) {
  const message = spoken[name] ?? words[name];
  const form = typeof message === "string" ? message : (message[plurals.select(parts.count)] ?? message.other);
  return form.replace(/\{(\w+)\}/g, (_, part) => (typeof parts[part] === "number" ? parts[part].toLocaleString(code) : parts[part]));
}

/** Returns whether there is a message of that name. */
export const says = (name) => name in words;

/** Returns the language to begin with: the one chosen before, or the browser's first one that the page has. */
export function preferred(known) {
  const wanted = [kept(), ...navigator.languages.map((tag) => tag.split("-")[0])];
  return wanted.find((each) => known.includes(each)) ?? ENGLISH;
}

/** Speaks a language from now on: the page's standing texts are said anew, and so is what is asked for later. */
export async function speak(wanted, { keep = false } = {}) {
  spoken = (await import(`./words-${wanted}.js`)).words;
  code = wanted;
  plurals = new Intl.PluralRules(code);
  document.documentElement.lang = code;
  if (keep) remember(code);
  for (const [attribute, put] of Object.entries(PUT)) {
    for (const node of document.querySelectorAll(`[${attribute}]`)) put(node, say(node.getAttribute(attribute)));
  }
}

/** Where a standing text goes, by the attribute that names its message. */
const PUT = {
  "data-say": (node, text) => (node.textContent = text),
  "data-say-label": (node, text) => node.setAttribute("aria-label", text),
  "data-say-placeholder": (node, text) => (node.placeholder = text),
};

function kept() {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null; // a browser may keep nothing for a page
  }
}

function remember(chosen) {
  try {
    localStorage.setItem(KEPT, chosen);
  } catch {
    // It is chosen for this visit alone.
  }
}
