// The conversation as a whole: one turn after the other, and the window that shows the products of one of them.

import { Composer } from "./composer.js";
import { byId, element, fill, pictureFrom } from "./dom.js";
import { examples, leadField, tileLabel, valuesOf } from "./entrance.js";
import { chosen, takesEvents } from "./feedback.js";
import { readCatalogue, titleOf, UNKNOWN } from "./fields.js";
import { having, joined } from "./filters.js";
import { watch } from "./impressions.js";
import { language, preferred, say, speak } from "./language.js";
import { clearShelf, showForYou, showMoreLike } from "./recommendations.js";
import { showRefine } from "./refine.js";
import { Microphone } from "./microphone.js";
import { catalogue, converse, pictureOf, search, ServiceError } from "./service.js";
import { agreed, decide, shopper } from "./shopper.js";
import { TurnView } from "./talk.js";
import { endWaiting, markChosen, offerMore, showAnswer, showEntrance, showFurther, showWaiting } from "./window.js";

const LIMIT = 12;
const TILES = 8;
const PICTURED = ["ROUTE_IMAGE", "ROUTE_COMPOSED"];
const languages = [...byId("language").options].map(({ value }) => value);

await speak(preferred(languages)).catch(() => {}); // the page stands in English then

const composer = new Composer({
  onSend: (asked) => take(asked),
  onTrouble: (message) => new TurnView({}).failed(message),
  onChange: (product) => markChosen(product?.id),
});
const microphone = new Microphone({
  onSaid: (audio) => composer.say(audio),
  onTrouble: (message) => new TurnView({}).failed(message),
  onState: (text) => announce(text),
});
let session = "";
let turns = [];
let shown = null;
let running = null;
let known = UNKNOWN;
let entrance = { tiles: [], furnished: false };

/** Asks the service about a turn and shows what comes, as it comes. */
async function take(asked) {
  if (running) return;
  const turn = { ...asked, view: new TurnView(asked), reply: "" };
  turns.push(turn);
  clearShelf();
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
  if (turn.result) await complete(turn, turn.result);
}

/** Asks for what the answer to a turn of a conversation lacks: the facets, and where the next page begins. */
async function complete(turn, result) {
  const first = result.hits.length;
  const isShown = () => shown === turn && !running;
  if ((await learn(result.versions?.index)) && isShown()) show(turn);
  const answer = await search(queryOf(turn), pictureAbout(turn)).catch(() => null);
  if (!answer || turn.result !== result) return;
  result.facets = answer.facets;
  // A turn that is itself a further page goes on after the second one, and so does one that was gone on with meanwhile.
  if (!turn.understood?.more && result.hits.length === first) result.next_page_token = answer.next_page_token;
  if (!isShown()) return;
  showTools(turn);
  offerMore(moreOf(turn));
}

/** Describes the catalogue unless the index that is known is the one that answers; returns whether it did. */
async function learn(index) {
  if (known.index && known.index === index) return false;
  const before = known;
  known = await catalogue().then(readCatalogue, () => before);
  microphone.offer(known.hears);
  return known !== before;
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
  const request = { session_id: session, text: turn.words, product_id: turn.product?.id ?? "", limit: LIMIT, locale: language(), ...shopper() };
  for await (const event of converse(request, { image: turn.picture, audio: turn.audio }, signal)) {
    session = event.session_id || session;
    if (event.heard) {
      turn.view.heard(turn.words, event.heard.text);
      announce(say("heard", { text: event.heard.text }));
    } else if (event.understood) {
      turn.understood = event.understood;
      turn.view.understood(event.understood);
    } else if (event.result) {
      turn.result = event.result;
      Object.assign(turn, headingOf(turn));
      show(turn);
      scrollTo({ top: 0 });
    } else if (event.comparison) {
      turn.view.compared(known, event.comparison);
    } else if (event.answer) {
      turn.view.quoted(event.answer.quotes);
    } else if (event.hand_over) {
      turn.view.quoted(event.hand_over.contact ? [event.hand_over.contact] : []);
    } else if (event.facts) {
      turn.view.informed(known, event.facts.facts);
    } else if (event.reply) {
      turn.reply = event.reply;
    }
  }
}

function failed(turn, asked, error) {
  const expired = error.field === "session_id";
  if (expired) session = "";
  const message = expired ? say("expired") : sentence(error);
  turn.view.failed(message, () => {
    turn.view.remove();
    turns = turns.filter((each) => each !== turn);
    take(asked);
  });
}

function sentence(error) {
  if (!(error instanceof ServiceError)) return say("page_trouble");
  return error.retryAfter ? `${error.message} ${say("try_later", { seconds: Math.ceil(error.retryAfter) })}` : error.message;
}

/** Puts the products of a turn into the window. */
function show(turn) {
  shown = turn;
  for (const each of turns) each.view.mark(each === turn);
  if (!turn?.result) return;
  showAnswer(known, turn, { onLike, onMoreLike, onWithout: (others) => again(turn, { filter: joined(others) }), onMore: moreOf(turn) });
  offerConsent(turn.result);
  watch(turn.result, byId("cards"));
  showTools(turn);
  markChosen(composer.product?.id);
}

function showTools(turn) {
  showRefine(known, turn.result, { onFilter: (filter) => again(turn, { filter }), onSort: (sort) => again(turn, { sort }) });
}

function onLike(product, answer = shown?.result) {
  composer.chooseProduct(product);
  chosen(answer, product.id);
}

/** Shows more like a product on the shelf; asking for it is a sign of interest. */
async function onMoreLike(product) {
  chosen(shown?.result, product.id);
  try {
    const answer = await showMoreLike(known, product, { onLike, onMoreLike });
    if (answer) announce(say("found", { count: answer.hits.length, title: say("more_like", { name: product.title }) }));
  } catch (error) {
    fill(byId("note"), sentence(error));
    announce(sentence(error));
  }
}

/** Offers to be known again where the service takes what shoppers do. */
function offerConsent(answer) {
  if (takesEvents(answer)) byId("consent-offer").hidden = false;
}

/** Takes the decision; what was said before is of somebody else, so the conversation's memory begins anew. */
function onConsent({ target }) {
  decide(target.checked);
  session = "";
  if (!turns.length) showForYou(known, { onLike, onMoreLike });
}

const moreOf = (turn) => (turn.result.next_page_token ? () => further(turn) : null);

/** Returns the query that a turn's products answer, so that it can be asked again as it was read. */
function queryOf(turn) {
  const { text, product_id, filter, weights, sort } = turn.result.searched;
  const facets = known.fields.filter((field) => field.facet && field.filter).map(({ name }) => name);
  // The shares of signals are the server's, and no part of a request.
  const shares = weights && { text: weights.text, image: weights.image };
  return { text, product_id, filter, weights: shares, sort, facets, limit: LIMIT, rewrite: "REWRITE_MODE_OFF", ...shopper() };
}

/** Searches what a turn searched once more, with other conditions or in another order; the conversation stays as it is. */
async function again(turn, changes, note = "") {
  if (running) return;
  const { source } = turn.result.searched;
  await working(
    async (signal) => {
      const result = await search({ ...queryOf(turn), ...changes }, pictureAbout(turn), signal);
      result.searched = { ...result.searched, source };
      turn.result = result;
      show(turn);
      if (note) fill(byId("note"), note);
      byId("results").focus({ preventScroll: true });
      announce([note, found(turn)].filter(Boolean).join(" "));
    },
    (error) => troubled(turn, error),
  );
}

/** Adds the next page to the products of a turn. */
async function further(turn) {
  if (running) return;
  let stale = false;
  await working(
    async (signal) => {
      const { result } = turn;
      const page = await search({ ...queryOf(turn), page_token: result.next_page_token }, pictureAbout(turn), signal);
      const ids = new Set(result.hits.map((hit) => hit.product_id));
      const fresh = page.hits.filter((hit) => !ids.has(hit.product_id));
      result.hits.push(...fresh);
      result.next_page_token = page.next_page_token;
      showFurther(known, fresh, { onLike, onMoreLike, onMore: moreOf(turn) });
      watch(result, byId("cards"));
      announce(`${say("further", { count: fresh.length })} ${found(turn)}`);
    },
    (error) => {
      stale = error.field === "page_token";
      if (!stale) troubled(turn, error);
    },
  );
  // A page of an index that was replaced since is refused.
  if (stale) await again(turn, {}, say("begun_anew"));
}

/** Tells what went wrong with the products that are shown; they stay, and so does what was chosen before. */
function troubled(turn, error) {
  showTools(turn);
  fill(byId("note"), sentence(error));
  announce(sentence(error));
}

/** Returns the picture that a turn's query is made of, if any. */
const pictureAbout = (turn) => (PICTURED.includes(turn.result.searched.route) ? lastPicture(turn) : null);

/** Returns the picture that a turn was about: its own, or the last one before it. */
function lastPicture(turn) {
  const until = turns.slice(0, turns.indexOf(turn) + 1);
  return until.findLast((each) => each.picture)?.picture ?? null;
}

/** Names what the window shows, and shows the picture of what it is like. */
function headingOf(turn) {
  const { route, text, product_id: productId } = turn.result.searched;
  const words = text ? `“${text}”` : "";
  if (PICTURED.includes(route)) {
    const picture = lastPicture(turn);
    return { title: words || say("like_picture"), reference: picture && pictureFrom(picture, `${say("like_picture")}:`) };
  }
  if (!productId) return { title: words || say("some_products"), reference: null };
  const name = nameOf(productId, turn.product);
  return { title: words || say("like", { name }), reference: element("img", { src: pictureOf(productId), alt: `${say("like", { name })}:` }) };
}

const found = ({ title, result: { hits } }) => say("found", { count: hits.length, title });

function nameOf(productId, chosen) {
  if (chosen?.id === productId) return chosen.title;
  const hits = turns.flatMap((turn) => turn.result?.hits ?? []);
  return titleOf(known, hits.find((hit) => hit.product_id === productId)?.product, productId);
}

function begun() {
  byId("greeting").hidden = turns.length > 0;
  byId("restart").hidden = turns.length === 0;
  const before = turns.length - 1;
  byId("earlier").hidden = before < 1;
  byId("earlier").textContent = before < 1 ? "" : say("earlier", { count: before });
}

function restart() {
  running?.abort();
  running = null;
  microphone.end(false);
  session = "";
  turns = [];
  shown = null;
  byId("turns").replaceChildren();
  composer.setBusy(false);
  composer.clear();
  begun();
  clearShelf();
  open();
  announce(say("new_conversation"));
  byId("words").focus();
}

function announce(text) {
  byId("status").textContent = text;
}

/** Shows the entrance; where it could not be furnished before, that is tried again. */
function open() {
  showEntrance(say("window"), tiles());
  if (entrance.furnished) return;
  showWaiting();
  furnish().catch((error) => {
    endWaiting();
    fill(byId("note"), sentence(error));
  });
}

/** Fills the entrance from what the index holds: examples in its own words, and a product of each kind. */
async function furnish() {
  known = readCatalogue(await catalogue());
  microphone.offer(known.hears);
  const lead = leadField(known);
  const values = lead ? valuesOf(known, lead).slice(0, TILES) : [];
  const made = await Promise.all(values.map((value) => tileOf(lead, value)));
  entrance = { tiles: made, furnished: true, takesEvents: made.some(takesEvents) };
  made.forEach(offerConsent);
  nameEntrance();
  if (entrance.takesEvents && !turns.length) await showForYou(known, { onLike, onMoreLike });
}

/** Says in the page's language what the entrance holds, and shows it where nothing was asked yet. */
function nameEntrance() {
  const products = entrance.tiles.flatMap(({ product }) => product ?? []);
  byId("stock").textContent = entrance.furnished ? say("products", { count: known.products }) : "";
  byId("examples").replaceChildren(...examples(known, products).map(example));
  if (!turns.length) showEntrance(say("window"), tiles());
}

const tiles = () => entrance.tiles.map(({ field, value, ...rest }) => ({ ...rest, label: tileLabel(known, field, value), onChoose: () => composer.send(value) }));

const example = (text) => element("li", {}, element("button", { type: "button", class: "quiet-button", onclick: () => composer.send(text) }, text));

async function tileOf(field, value) {
  const query = { text: value, filter: having(field.name, value), limit: 1, rewrite: "REWRITE_MODE_OFF" };
  const { hits, answer_token } = await search(query).catch(() => ({ hits: [] }));
  return { field, value, product: hits[0]?.product, productId: hits[0]?.product_id, answer_token };
}

/** Speaks another language: what stands on the page says itself anew, and the turns before stay as they were said. */
async function changeLanguage({ target }) {
  await speak(target.value, { keep: true }).catch(() => (target.value = language()));
  begun();
  composer.render();
  nameEntrance();
  if (!shown?.result) return;
  Object.assign(shown, headingOf(shown));
  show(shown);
}

byId("consent").checked = agreed();
byId("consent").addEventListener("change", onConsent);
byId("restart").addEventListener("click", restart);
byId("language").value = language();
byId("language").addEventListener("change", changeLanguage);
byId("earlier").addEventListener("click", ({ currentTarget }) => {
  const open = byId("turns").classList.toggle("open");
  currentTarget.setAttribute("aria-expanded", String(open));
});
byId("words").focus({ preventScroll: true });
open();
