// The conversation as a whole: one turn after the other, and the window that shows the products of one of them.

import { Composer } from "./composer.js";
import { byId, element, fill, pictureFrom } from "./dom.js";
import { joined } from "./filters.js";
import { catalogue, converse, pictureOf, search, ServiceError } from "./service.js";
import { TurnView } from "./talk.js";
import { endWaiting, markChosen, showAnswer, showEntrance, showWaiting } from "./window.js";

const LIMIT = 12;
const MOST = 60;
const TILES = 8;
const PICTURED = ["ROUTE_IMAGE", "ROUTE_COMPOSED"];
const BY_PRICE = {
  SORT_ORDER_PRICE_ASCENDING: (a, b) => a.product.price - b.product.price,
  SORT_ORDER_PRICE_DESCENDING: (a, b) => b.product.price - a.product.price,
};

const composer = new Composer({
  onSend: (asked) => take(asked),
  onTrouble: (message) => new TurnView({}).failed(message),
  onChange: (product) => markChosen(product?.id),
});
let session = "";
let turns = [];
let shown = null;
let running = null;
let entrance = { title: byId("title").textContent, tiles: [] };

/** Asks the service about a turn and shows what comes, as it comes. */
async function take(asked) {
  if (running) return;
  const turn = { ...asked, view: new TurnView(asked), reply: "" };
  turns.push(turn);
  begun();
  await working(
    async (signal) => {
      await follow(turn, signal);
      turn.view.answered({ reply: turn.reply, hits: turn.result?.hits.length, onShow: () => show(turn) });
      if (!turn.result) endWaiting();
      show(turn.result ? turn : shown);
      announce([turn.reply, turn.result && found(turn)].filter(Boolean).join(" "));
    },
    (error) => failed(turn, asked, error),
  );
}

/** Does one thing at a time, visibly; what was given up on by starting over fails silently. */
async function working(task, onError) {
  const controller = new AbortController();
  running = controller;
  composer.setBusy(true);
  showWaiting();
  try {
    await task(controller.signal);
  } catch (error) {
    if (controller.signal.aborted) return;
    if (!(error instanceof ServiceError)) console.error(error);
    endWaiting();
    onError(error);
  } finally {
    if (running === controller) {
      running = null;
      composer.setBusy(false);
    }
  }
}

async function follow(turn, signal) {
  const request = { session_id: session, text: turn.words, product_id: turn.product?.id ?? "", limit: LIMIT };
  for await (const event of converse(request, turn.picture, signal)) {
    session = event.session_id || session;
    if (event.understood) {
      turn.understood = event.understood;
      turn.view.understood(event.understood);
    } else if (event.result) {
      turn.result = event.result;
      Object.assign(turn, headingOf(turn));
      show(turn);
      scrollTo({ top: 0 });
    } else if (event.comparison) {
      turn.view.compared(event.comparison);
    } else if (event.facts) {
      turn.view.informed(event.facts.facts);
    } else if (event.reply) {
      turn.reply = event.reply;
    }
  }
}

function failed(turn, asked, error) {
  const expired = error.field === "session_id";
  if (expired) session = "";
  const message = expired ? "This conversation was too long ago. Ask again to begin a new one." : sentence(error);
  turn.view.failed(message, () => {
    turn.view.remove();
    turns = turns.filter((each) => each !== turn);
    take(asked);
  });
}

function sentence(error) {
  if (!(error instanceof ServiceError)) return "Something on this page went wrong.";
  return error.retryAfter ? `${error.message} Try again in ${Math.ceil(error.retryAfter)} s.` : error.message;
}

/** Puts the products of a turn into the window. */
function show(turn) {
  shown = turn;
  for (const each of turns) each.view.mark(each === turn);
  if (!turn?.result) return;
  const asked = turn.result.hits.length;
  showAnswer(turn, {
    onLike: (product) => composer.chooseProduct(product),
    onWithout: (others) => again(turn, { filter: joined(others) }),
    onMore: asked === (turn.limit ?? LIMIT) && asked < MOST ? () => again(turn, { limit: asked + LIMIT }) : null,
  });
  markChosen(composer.product?.id);
}

/** Searches what a turn searched once more, with other conditions or more products; the conversation stays as it is. */
async function again(turn, { filter = turn.result.searched.filter, limit = turn.limit ?? LIMIT }) {
  if (running) return;
  const { text, product_id, weights, sort, route, source } = turn.result.searched;
  const picture = PICTURED.includes(route) ? lastPicture(turn) : null;
  await working(
    async (signal) => {
      const query = { text, product_id, filter, weights, limit, rewrite: "REWRITE_MODE_OFF" };
      const result = await search(query, picture, signal);
      if (sort in BY_PRICE) result.hits.sort(BY_PRICE[sort]);
      result.searched = { ...result.searched, sort, source };
      Object.assign(turn, { result, limit });
      show(turn);
      byId("results").focus({ preventScroll: true });
      announce(found(turn));
    },
    (error) => {
      fill(byId("note"), sentence(error));
      announce(sentence(error));
    },
  );
}

/** Gives the picture that a turn was about: its own, or the last one before it. */
function lastPicture(turn) {
  const until = turns.slice(0, turns.indexOf(turn) + 1);
  return until.findLast((each) => each.picture)?.picture ?? null;
}

/** Names what the window shows, and gives the picture of what it is like. */
function headingOf(turn) {
  const { route, text, product_id: productId } = turn.result.searched;
  const words = text ? `“${text}”` : "";
  if (PICTURED.includes(route)) {
    const picture = lastPicture(turn);
    return { title: words || "Like your picture", reference: picture && pictureFrom(picture, "Like your picture:") };
  }
  if (!productId) return { title: words || "Products", reference: null };
  const name = nameOf(productId, turn.product);
  return { title: words || `Like ${name}`, reference: element("img", { src: pictureOf(productId), alt: `Like ${name}:` }) };
}

const found = ({ title, result: { hits } }) => `${hits.length === 1 ? "1 product" : `${hits.length} products`}: ${title}`;

function nameOf(productId, chosen) {
  if (chosen?.id === productId) return chosen.title;
  const hits = turns.flatMap((turn) => turn.result?.hits ?? []);
  return hits.find((hit) => hit.product_id === productId)?.product.title ?? productId;
}

function begun() {
  byId("greeting").hidden = turns.length > 0;
  byId("restart").hidden = turns.length === 0;
  const before = turns.length - 1;
  byId("earlier").hidden = before < 1;
  byId("earlier").textContent = before === 1 ? "1 earlier turn" : `${before} earlier turns`;
}

function restart() {
  running?.abort();
  running = null;
  session = "";
  turns = [];
  shown = null;
  byId("turns").replaceChildren();
  composer.setBusy(false);
  composer.clear();
  begun();
  open();
  announce("A new conversation.");
  byId("words").focus();
}

function announce(text) {
  byId("status").textContent = text;
}

/** Shows the entrance; where it could not be furnished before, that is tried again. */
function open() {
  showEntrance(entrance.title, entrance.tiles);
  if (entrance.tiles.length) return;
  showWaiting();
  furnish().catch((error) => {
    endWaiting();
    fill(byId("note"), sentence(error));
  });
}

/** Fills the entrance from what the index holds: examples in its own words, and a product of each category. */
async function furnish() {
  const { products, fields } = await catalogue();
  const count = Number(products);
  byId("stock").textContent = count === 1 ? "1 product" : `${count.toLocaleString()} products`;
  const categories = fields.find(({ name }) => name === "category")?.values ?? [];
  const tiles = await Promise.all(categories.slice(0, TILES).map(tileOf));
  byId("examples").replaceChildren(...examples(tiles.flatMap(({ product }) => product ?? [])).map(example));
  entrance = { title: entrance.title, tiles };
  if (!turns.length) showEntrance(entrance.title, entrance.tiles);
}

/** Describes some products as people would ask for them, so that each example finds something. */
function examples(products) {
  const described = ({ colour, pattern, category }) => [colour, pattern === "plain" ? "" : pattern, category].filter(Boolean).join(" ");
  const affordable = ({ price }) => ` under ${(Math.floor(price / 10) + 1) * 10}`;
  return products.slice(0, 3).map((product, index) => described(product) + (index === 1 ? affordable(product) : ""));
}

const example = (text) => element("li", {}, element("button", { type: "button", class: "quiet-button", onclick: () => composer.send(text) }, text));

async function tileOf(category) {
  const filter = { equals: { field: "category", value: { text: category } } };
  const answer = await search({ text: category, filter, limit: 1, rewrite: "REWRITE_MODE_OFF" }).catch(() => ({ hits: [] }));
  return { label: category, product: answer.hits[0]?.product, productId: answer.hits[0]?.product_id, onChoose: () => composer.send(category) };
}

byId("restart").addEventListener("click", restart);
byId("earlier").addEventListener("click", ({ currentTarget }) => {
  const open = byId("turns").classList.toggle("open");
  currentTarget.setAttribute("aria-expanded", String(open));
});
byId("words").focus({ preventScroll: true });
open();
