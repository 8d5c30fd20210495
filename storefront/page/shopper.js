// Whether the shopper agreed to be known again, and by which random id: off unless they say so, and remembered by this browser alone.

const KEY = "vitrine-shopper";
const ID_BYTES = 16;

/** Makes an id that tells nothing. */
export const randomId = () => Array.from(crypto.getRandomValues(new Uint8Array(ID_BYTES)), (byte) => byte.toString(16).padStart(2, "0")).join("");

const visit = randomId();
let id = remembered();

/** Whether the shopper agreed. */
export const agreed = () => id !== "";

/** Returns what a search or a recommendation says of the shopper: nothing without consent. */
export const shopper = () => (id ? { user_id: id, personalise: true } : {});

/** Returns what an event says of the shopper and the visit: nothing without consent. */
export const doer = () => (id ? { ...shopper(), session_id: visit } : {});

/** Takes the shopper's decision; who withdraws is somebody new afterwards. */
export function decide(agrees) {
  id = agrees ? id || randomId() : "";
  try {
    if (id) localStorage.setItem(KEY, id);
    else localStorage.removeItem(KEY);
  } catch {
    // A browser that keeps nothing: the decision holds for this visit.
  }
}

function remembered() {
  try {
    return localStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}
