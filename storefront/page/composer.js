// The question: words, and a picture or a product that they are about.

import { byId, element, fill, pictureFrom } from "./dom.js";
import { say } from "./language.js";
import { prepared } from "./picture.js";
import { pictureOf } from "./service.js";

const words = byId("words");

/** Holds what is being asked; calls `onSend` with it, and `onTrouble` with a sentence when a picture is of no use. */
export class Composer {
  constructor({ onSend, onTrouble, onChange }) {
    this.picture = null;
    this.product = null;
    this.busy = false;
    this.onSend = onSend;
    this.onTrouble = onTrouble;
    this.onChange = onChange;
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    words.addEventListener("keydown", (event) => this.onKey(event));
    byId("file").addEventListener("change", ({ target }) => {
      if (target.files.length) this.showPicture(target.files[0]);
      target.value = "";
    });
    document.addEventListener("paste", (event) => this.takeFrom(event.clipboardData, event));
    this.acceptDrops();
  }

  /** Asks with a picture; a product that was chosen gives way. */
  async showPicture(file) {
    try {
      this.picture = await prepared(file);
    } catch (error) {
      this.onTrouble(error.message);
      return;
    }
    this.product = null;
    this.render();
    words.focus();
  }

  /** Asks about a product; a picture gives way. */
  chooseProduct(product) {
    this.product = product;
    this.picture = null;
    this.render();
    words.focus();
  }

  /** Forgets the picture or the product. */
  detach() {
    this.picture = null;
    this.product = null;
    this.render();
    words.focus();
  }

  /** Begins afresh. */
  clear() {
    words.value = "";
    this.picture = null;
    this.product = null;
    this.render();
  }

  setBusy(busy) {
    this.busy = busy;
    byId("send").setAttribute("aria-disabled", String(busy));
  }

  /** Sends what is there, unless that is nothing or another turn is being answered. */
  send(text = words.value.trim()) {
    if (this.busy || !(text || this.picture || this.product)) {
      words.focus();
      return;
    }
    const asked = { words: text, picture: this.picture, product: this.product };
    this.clear();
    this.onSend(asked);
  }

  /** Sends what was said, with what is there besides. */
  say(audio) {
    if (this.busy) return;
    const asked = { words: words.value.trim(), picture: this.picture, product: this.product, audio };
    this.clear();
    this.onSend(asked);
  }

  onKey(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this.send();
    } else if (event.key === "Escape" && (this.picture || this.product)) {
      this.detach();
    }
  }

  acceptDrops() {
    const target = byId("drop");
    const holdsFile = (event) => event.dataTransfer?.types.includes("Files");
    addEventListener("dragover", (event) => {
      if (!holdsFile(event)) return;
      event.preventDefault();
      target.hidden = false;
    });
    addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) target.hidden = true;
    });
    addEventListener("drop", (event) => {
      target.hidden = true;
      if (holdsFile(event)) this.takeFrom(event.dataTransfer, event);
    });
  }

  takeFrom(transfer, event) {
    const file = [...(transfer?.files ?? [])][0];
    if (!file) return;
    event.preventDefault();
    this.showPicture(file);
  }

  render() {
    const about = this.picture ? this.pictureRow() : this.product ? this.productRow() : null;
    fill(byId("attachment"), ...(about ?? []));
    words.placeholder = say(this.product ? "placeholder_product" : this.picture ? "placeholder_picture" : "placeholder");
    this.onChange(this.product);
  }

  pictureRow() {
    const image = pictureFrom(this.picture, "");
    return [image, element("p", {}, element("b", {}, say("your_picture")), element("span", {}, say("change_it"))), this.removal(say("remove_picture"))];
  }

  productRow() {
    const { id, title } = this.product;
    const image = element("img", { src: pictureOf(id), alt: "" });
    return [image, element("p", {}, element("b", {}, say("like_this")), element("span", {}, title || id)), this.removal(say("remove_product"))];
  }

  removal(label) {
    return element("button", { type: "button", class: "remove", "aria-label": label, onclick: () => this.detach() }, "×");
  }
}
