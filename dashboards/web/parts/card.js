/**
 * A card: a title, what it shows, and what it shows while there is nothing, or something went wrong.
 *
 * @typedef {object} CardOptions
 * @property {string} title
 * @property {string} [note] a sentence below the title
 * @property {string} [size] full, wide, half, third
 * @property {() => Promise<any>} load
 * @property {(data: any) => {main: Node, table?: Node} | Node} draw
 * @property {(data: any) => boolean} [empty]
 * @property {string} [nothing] what to say then
 * @property {string} [csv] where the same is as CSV
 * @property {Node[]} [tools] further controls
 */
import { ApiError } from "../api.js";
import { fill, h, newId } from "./dom.js";

/**
 * Make a card and fill it; `context.cards` gets to know it.
 *
 * @param {any} context
 * @param {CardOptions} options
 */
export function card(context, options) {
  const id = newId("card");
  const body = h("div", { class: "card-body", "aria-busy": "true" }, h("div", { class: "waiting" }, h("span", { class: "unseen" }, "Loading")));
  const tools = h("div", { class: "card-tools" }, options.tools ?? []);
  const swap = h("button", { type: "button", class: "quiet-button", "aria-pressed": "false" }, "Table");
  const state = { asTable: false, data: null };
  const show = () => {
    const drawn = options.draw(state.data);
    const both = drawn instanceof Node ? { main: drawn } : drawn;
    if (both.table && !swap.isConnected) tools.prepend(swap);
    fill(body, state.asTable && both.table ? both.table : both.main);
  };
  swap.addEventListener("click", () => {
    state.asTable = !state.asTable;
    swap.setAttribute("aria-pressed", String(state.asTable));
    show();
  });
  if (options.csv) tools.append(csvLink(options.csv, options.title));
  const refresh = async () => {
    body.setAttribute("aria-busy", "true");
    try {
      state.data = await options.load();
      if (context.signal.aborted) return;
      if (options.empty?.(state.data)) fill(body, emptiness(context, options.nothing));
      else show();
    } catch (error) {
      if (context.signal.aborted || error.name === "AbortError") return;
      if (!(error instanceof ApiError)) throw error;
      context.failed(error);
      fill(body, trouble(error, refresh));
    } finally {
      body.removeAttribute("aria-busy");
    }
  };
  context.cards.push(refresh);
  refresh();
  return h(
    "section",
    { class: `card ${options.size ?? "full"}`, "aria-labelledby": id },
    h("div", { class: "card-head" }, h("div", {}, h("h2", { id }, options.title), options.note ? h("p", { class: "note" }, options.note) : null), tools),
    body,
  );
}

/** A link that saves a CSV. */
export function csvLink(href, title) {
  const file = `${title.toLowerCase().replace(/[^a-z0-9]+/g, "-")}.csv`;
  return h("a", { class: "quiet-button", href, download: file, "aria-label": `Export CSV of ${title}` }, "CSV");
}

function emptiness(context, nothing) {
  const hints = [];
  if (context.wider) hints.push(h("a", { class: "button", href: context.wider }, "Look at 30 days"));
  if (context.unfiltered) hints.push(h("a", { class: "button", href: context.unfiltered }, "Remove the filters"));
  return h("div", { class: "empty" }, h("p", { class: "empty-title" }, nothing ?? "No calls in this range"), hints.length && !nothing ? h("p", { class: "empty-hints" }, hints) : null);
}

/** What went wrong, and what to do about it. */
export function trouble(error, retry) {
  const [title, advice] = explained(error);
  return h(
    "div",
    { class: "trouble", role: "alert" },
    h("p", { class: "trouble-title" }, title),
    h("p", {}, error.message),
    advice ? h("p", { class: "note" }, advice) : null,
    retry && error.status !== 401 ? h("button", { type: "button", class: "button", onclick: retry }, "Try again") : null,
  );
}

function explained({ status }) {
  if (status === 0) return ["The gateway cannot be reached", "Is it running? This page asks again when you try again."];
  if (status === 401) return ["You are logged out", ""];
  if (status === 503) return ["The ledger cannot be asked now", "Calls are still served, and counted: their entries wait on disk until it is back."];
  if (status === 404) return ["There is no such thing here", ""];
  if (status < 500) return ["This cannot be asked so", "Narrow the range, or change the filters."];
  return ["The gateway has failed", "Its log says more."];
}
