// Elements without markup: whatever comes from people or products ends up as a text node, never as HTML.

/** Returns the element of the page with that id. */
export const byId = (id) => document.getElementById(id);

/**
 * Makes an element. A boolean attribute is present or absent, one that begins with "on" is a listener; children are
 * elements or texts, and those that are empty are left out.
 */
export function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (typeof value === "boolean") node.toggleAttribute(key, value);
    else if (value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== "" && child !== false && child !== null && child !== undefined));
  return node;
}

/** Makes a bar that is filled to the share, 0 to 1. */
export function bar(share, kind) {
  const fill = element("i");
  fill.style.setProperty("--share", Math.min(1, Math.max(0, share || 0)).toFixed(3));
  return element("span", { class: `bar ${kind}`, "aria-hidden": "true" }, fill);
}

/** Shows the element with these children, or hides it when there are none. */
export function fill(node, ...children) {
  const shown = children.filter(Boolean);
  node.replaceChildren(...shown);
  node.hidden = shown.length === 0;
}

/** Shows a picture that is held in memory. */
export function pictureFrom(blob, alt, className) {
  const image = element("img", { alt, class: className });
  image.src = URL.createObjectURL(blob);
  image.addEventListener("load", () => URL.revokeObjectURL(image.src), { once: true });
  return image;
}
