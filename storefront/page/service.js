// The bridge's endpoints. Requests and answers are the messages of vitrine.v1 in protobuf's JSON mapping.

import { say } from "./language.js";

const LONGEST_MS = 30_000;

/** What the service refused or failed to do; the message is a sentence for people. */
export class ServiceError extends Error {
  constructor({ message, field = "", code = "", retry_after_s = 0 }) {
    super(field ? `${field}: ${message}` : message);
    this.field = field;
    this.code = code;
    this.retryAfter = retry_after_s;
  }
}

/** Takes one turn, with what it shows and says; yields its events as they arrive. */
export async function* converse(turn, { image, audio }, signal) {
  const response = await post("/converse", turn, { image, audio }, signal);
  for await (const line of lines(response.body)) {
    const event = JSON.parse(line);
    if (event.error) throw new ServiceError(event.error);
    yield event;
  }
}

/** Answers one query. */
export async function search(query, image, signal) {
  return (await post("/search", query, { image }, signal)).json();
}

/** Finds products without a query. */
export async function recommend(request) {
  return (await post("/recommend", request, {})).json();
}

/** Records what was done with products. */
export async function record(events) {
  return (await post("/events", { events }, {})).json();
}

/** Describes what the index holds, and its schema. */
export async function catalogue() {
  return (await ask("/catalogue", {})).json();
}

/** Returns the address of one of a product's pictures, the first one unless another is named. */
export const pictureOf = (productId, index = 0) => `/products/${encodeURIComponent(productId)}/picture${index ? `?index=${index}` : ""}`;

function post(path, message, { image, audio }, signal) {
  const form = new FormData();
  form.append("request", JSON.stringify(message));
  if (image) form.append("image", image);
  if (audio) form.append("audio", audio);
  return ask(path, { method: "POST", body: form, signal });
}

async function ask(path, { signal, ...options }) {
  const ends = [AbortSignal.timeout(LONGEST_MS), ...(signal ? [signal] : [])];
  let response;
  try {
    response = await fetch(path, { ...options, signal: AbortSignal.any(ends) });
  } catch (error) {
    if (signal?.aborted) throw error;
    const late = error.name === "TimeoutError";
    throw new ServiceError({ message: say(late ? "no_answer" : "no_server") });
  }
  if (!response.ok) throw new ServiceError(await problemOf(response));
  return response;
}

async function problemOf(response) {
  const otherwise = { message: say("server_status", { status: String(response.status) }) };
  return (await response.json().catch(() => ({}))).error ?? otherwise;
}

async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read().catch(() => {
      throw new ServiceError({ message: say("broke_off") });
    });
    if (done) break;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    yield* parts.filter(Boolean);
  }
  if (rest) yield rest;
}
