/** Calls: a search, newest first, and one call. */
import { csvAddress, getJson } from "../api.js";
import { address, changed, kept, query } from "../state.js";
import { card } from "../parts/card.js";
import { h, newId } from "../parts/dom.js";
import { lately } from "../parts/format.js";
import { table } from "../parts/table.js";
import { showCall } from "./call.js";

const FIELDS = [
  ["call", "Call", "call_\u2026"],
  ["user", "User", ""],
  ["conversation", "Conversation", ""],
  ["status", "Status", "429"],
  ["ending", "Ending", "finished"],
  ["error", "Error", "code"],
  ["waste", "Wasted", "failed"],
  ["min_cost_usd", "Costs at least, $", "0.01"],
  ["min_ms", "Takes at least, ms", "5000"],
];
const NAMES = FIELDS.map(([name]) => name);
const LIMIT = "50";

const COLUMNS = [
  ["time", "time", "Ended"], ["tenant", "text", "Tenant"], ["route", "text", "Route"], ["model", "text", "Model"], ["backend", "text", "Backend"],
  ["status", "text", "Status"], ["ending", "text", "Ending"], ["input_tokens", "number", "Input"], ["output_tokens", "number", "Output"], ["cost_usd", "usd", "Cost"],
  ["first_token_ms", "ms", "First token"], ["total_ms", "ms", "Time"], ["attempts", "number", "Tries"], ["key", "text", "Key"], ["call", "text", "Call"],
].map(([name, type, title]) => ({ name, type, title }));

export const calls = {
  title: "Calls",
  single: "Call",
  steps: false,
  show(context, content) {
    if (context.view.id) showCall(context, content);
    else content.append(search(context), found(context));
  },
};

/** Several values are written with commas between them. */
const listed = text => text.split(",").map(one => one.trim()).filter(Boolean);

function search(context) {
  const { params } = context.view;
  const inputs = FIELDS.map(([name, title, placeholder]) => {
    const id = newId(name);
    return h("div", { class: "field stacked" }, h("label", { for: id }, title), h("input", { id, name, placeholder, value: params.getAll(name).join(", "), autocomplete: "off" }));
  });
  const submit = event => {
    event.preventDefault();
    const asked = Object.fromEntries(NAMES.map(name => [name, listed(event.target.elements[name].value)]));
    window.location.hash = context.to({ ...asked, before: null });
  };
  const any = NAMES.some(name => params.get(name));
  return h(
    "form",
    { class: "search full", role: "search", "aria-label": "Calls", onsubmit: submit },
    inputs,
    h("div", { class: "search-buttons" }, h("button", { type: "submit", class: "button primary" }, "Search"), any ? h("a", { class: "button", href: address("calls", kept(params)) }, "Clear") : null),
  );
}

function found(context) {
  const { params } = context.view;
  const own = Object.fromEntries([...NAMES, "before"].map(name => [name, params.getAll(name)]));
  const asked = query(params, { ...own, step: null, limit: LIMIT });
  return card(context, {
    title: "Calls",
    note: "Newest first; a row leads to the call",
    load: () => getJson("/v1/usage/calls", asked, context.signal),
    csv: csvAddress("/v1/usage/calls", changed(asked, { limit: "10000", before: null })),
    empty: answer => !answer.data.length,
    draw: answer => {
      const rows = answer.data.map(one => Object.assign(COLUMNS.map(({ name }) => one[name]), { named: one }));
      const cells = { time: value => lately(value), call: value => h("code", { class: "clip" }, value), status, ending: (value, row) => (row.error && row.error !== value ? `${value}: ${row.error}` : value) };
      const older = answer.next ? h("a", { class: "button", href: context.to({ before: answer.next }) }, "Older calls \u2192") : h("span", { class: "note" }, "No older calls in this range");
      const newest = params.get("before") ? h("a", { class: "button", href: context.to({ before: null }) }, "\u2190 Newest") : null;
      return h("div", {}, table({ columns: COLUMNS, rows, cells, caption: "Calls", href: row => address("calls", kept(params), row.call) }), h("div", { class: "paging" }, newest, older));
    },
  });
}

function status(value) {
  const good = Number(value) < 400;
  return h("span", { class: `state ${good ? "good" : "bad"}` }, `${good ? "\u2713" : "\u2715"} ${value}`);
}
