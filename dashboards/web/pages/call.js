/** One call: its entries in the ledger, why it went where it went, and how long each part took. */
import { getJson } from "../api.js";
import { address, kept } from "../state.js";
import { card } from "../parts/card.js";
import { label } from "../parts/charts.js";
import { h } from "../parts/dom.js";
import { FORMATS, duration, exact, money } from "../parts/format.js";

/** Show the call that the address names: first what it was, then the rest, unless there is no such call. */
export function showCall(context, content) {
  const id = context.view.id;
  let told = null;
  const load = async () => {
    told = await getJson(`/v1/usage/calls/${encodeURIComponent(id)}`, null, context.signal);
    if (!context.signal.aborted && content.childElementCount === 2) content.append(...more());
    return told;
  };
  // A refresh asks once; the other cards show the same answer.
  const same = async () => told;
  const more = () => [
    card(context, { title: "Timings", note: "From the request\u2019s head. Attempts are drawn one after the other, hedges at the end of what they raced with", size: "half", load: same, draw: answer => waterfall(answer.entries) }),
    card(context, { title: "Why it went there", load: same, draw: decision }),
    card(context, { title: "Entries in the ledger", note: "One for each attempt; what was corrected is reversed, and booked anew", load: same, draw: answer => entries(answer.entries) }),
  ];
  content.append(
    h("p", { class: "full back" }, h("a", { href: address("calls", kept(context.view.params)) }, "\u2190 Calls"), h("code", {}, id)),
    card(context, { title: "What it was", size: "half", load, draw: answer => facts(speaker(answer.entries)) }),
  );
}

/** The entry that speaks for the call. */
const speaker = all => all.find(one => Number(one.calls) === 1) ?? all[all.length - 1] ?? {};

const FACTS = [
  ["time", "Ended", "time"], ["tenant", "Tenant"], ["team", "Team"], ["key", "Key"], ["user", "User"], ["conversation", "Conversation"], ["route", "Route"], ["rule", "Rule"],
  ["asked_model", "Asked for"], ["backend", "Backend"], ["model", "Model"], ["answered_model", "Answered by"], ["format", "Format"], ["translated_to", "Translated to"],
  ["status", "Status"], ["ending", "Ending"], ["error", "Error"], ["finish", "Finish"], ["cache", "Gateway\u2019s cache"],
];

function facts(entry) {
  const set = FACTS.filter(([name]) => ![undefined, null, ""].includes(entry[name]));
  return h("dl", { class: "facts" }, set.map(([name, title, type]) => [h("dt", {}, title), h("dd", {}, FORMATS[type ?? "text"](entry[name]))]).flat());
}

function waterfall(all) {
  const tries = all.filter(one => one.entry === "charge" && Number(one.attempt) > 0);
  const whole = speaker(all);
  const parts = spans(tries, whole);
  const end = Math.max(1, ...parts.map(part => part.from + part.ms));
  const rows = parts.map(part =>
    h(
      "li",
      { class: "fall" },
      h("span", { class: "fall-name" }, part.name),
      h("span", { class: "fall-track", "aria-hidden": "true" }, h("span", { class: `fall-bar ${part.kind}`, css: { left: `${(part.from / end) * 100}%`, width: `${Math.max(0.4, (part.ms / end) * 100)}%` } })),
      h("span", { class: "fall-ms number" }, duration(part.ms)),
    ),
  );
  const speed = whole.output_per_s ? h("p", { class: "note" }, `${FORMATS.per_s(whole.output_per_s)} after the first token`) : null;
  return h("div", {}, rows.length ? h("ol", { class: "falls" }, rows) : h("p", { class: "note" }, "No times were taken"), speed);
}

/** What is drawn: name, beginning and length. Beginnings of attempts are not in the ledger. */
function spans(tries, whole) {
  const parts = [];
  const add = (name, kind, from, ms) => ms !== null && ms !== undefined && parts.push({ name, kind, from, ms: Number(ms) });
  add("Waited in the queue", "queue", 0, whole.queue_ms);
  let from = Number(whole.queue_ms ?? 0);
  for (const one of tries) {
    const ms = Number(one.attempt_ms ?? 0);
    const start = one.why === "hedge" ? Math.max(0, from - ms) : from;
    const what = `${one.attempt}. ${one.backend}/${one.model}, ${one.why}${one.cause ? `: ${one.cause}` : ""}`;
    add(what, one.cause ? "failed" : one.waste ? "wasted" : "attempt", start, one.attempt_ms);
    add("\u2003connecting", "connect", start, one.connect_ms);
    from = Math.max(from, start + ms);
  }
  add("First token after", "first", 0, whole.first_token_ms);
  add("Whole call", "whole", 0, whole.total_ms);
  return parts;
}

function decision(answer) {
  const told = read(answer.decision);
  if (!told) return h("p", { class: "note" }, lineOf(answer.entries) || "The decision was not kept.");
  if (typeof told === "string") return summary(told);
  return h(
    "div",
    { class: "decision" },
    h("p", {}, told.route ? ["Route ", h("b", {}, told.route)] : "No route", told.rule ? [", for the rule ", h("b", {}, told.rule)] : null, told.error ? [": ", h("b", {}, told.error)] : null),
    list("Candidates, in order", told.candidates, one => (typeof one === "string" ? one : one.target)),
    list("Left out", told.left_out, one => (typeof one === "string" ? one : `${one.target}: ${one.reason}`)),
    list("Attempts", told.attempts, attempted),
    h("details", {}, h("summary", {}, "As it was recorded"), h("pre", {}, JSON.stringify(told, null, 2))),
  );
}

/** It is a line, of JSON where it was kept whole. */
function read(told) {
  try {
    return typeof told === "string" && told.startsWith("{") ? JSON.parse(told) : told;
  } catch {
    return told;
  }
}

const lineOf = all => all.map(one => one.decision).find(Boolean);
const attempted = one => (typeof one === "string" ? one : `${one.backend}/${one.model}, ${one.why}${one.cause ? `: ${one.cause}` : ""}, ${duration(one.ms)}`);

/** The line that the ledger keeps: who could take the call, and who was left out. */
function summary(line) {
  const at = line.indexOf(LEFT_OUT);
  const [could, not] = at < 0 ? [line, ""] : [line.slice(0, at), line.slice(at + LEFT_OUT.length)];
  const parts = [["Could take it, in order", could], ["Left out", not]].filter(([, text]) => text);
  return h("dl", { class: "facts" }, parts.map(([title, text]) => [h("dt", {}, title), h("dd", {}, text)]).flat());
}
const LEFT_OUT = "; not ";

function list(title, items, text) {
  return items?.length ? h("div", {}, h("h3", {}, title), h("ol", {}, items.map(item => h("li", {}, text(item))))) : null;
}

const KINDS = [
  ["input_tokens", "Input tokens"], ["cached_tokens", "\u2003of them cached"], ["cache_write_tokens", "\u2003written to the cache"], ["cache_write_1h_tokens", "\u2003written for 1 h"],
  ["audio_input_tokens", "\u2003of sound"], ["image_input_tokens", "\u2003of images"], ["tool_use_tokens", "\u2003of tools"],
  ["output_tokens", "Output tokens"], ["reasoning_tokens", "\u2003of them reasoning"], ["audio_output_tokens", "\u2003of sound"], ["image_output_tokens", "\u2003of images"],
  ["searches", "Searches"], ["characters", "Characters"], ["audio_ms", "Sound"],
];
const COSTS = [
  ["cost_input", "Input"], ["cost_cached", "Cached input"], ["cost_cache_write", "Writing the cache"], ["cost_audio_input", "Sound in"], ["cost_image_input", "Images in"],
  ["cost_output", "Output"], ["cost_reasoning", "Reasoning"], ["cost_audio_output", "Sound out"], ["cost_image_output", "Images out"], ["cost_other", "Other"], ["cost", "Cost"], ["saved", "Saved by the cache"],
];
const WORDS = [["entry", "Entry"], ["revision", "Revision"], ["why", "Why"], ["backend", "Backend"], ["model", "Model"], ["cause", "Cause"], ["waste", "Wasted"], ["tier", "Tier"], ["confidence", "Tokens are"], ["price", "Price"], ["source", "Source"]];

/** All entries side by side; only rows in which one of them says something. */
function entries(all) {
  const of = (entry, name) => entry[name] ?? entry[`${name}_usd`];
  const says = name => all.some(entry => ![undefined, null, "", 0, "0"].includes(of(entry, name)) && Number(of(entry, name)) !== 0);
  const line = (name, title, shown, type) =>
    h("tr", { class: name === "cost" ? "sum" : null }, h("th", { scope: "row" }, title), all.map(entry => h("td", { class: type === "text" ? null : "number", title: exact(type, of(entry, name)) }, shown(of(entry, name)))));
  return h(
    "div",
    { class: "table-frame", tabindex: "0", role: "region", "aria-label": "Entries in the ledger: table" },
    h(
      "table",
      { class: "entries" },
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Attempt"), all.map(entry => h("th", { scope: "col", class: "number" }, String(entry.attempt))))),
      h(
        "tbody",
        {},
        WORDS.filter(([name]) => says(name)).map(([name, title]) => line(name, title, value => label(String(value ?? "")), "text")),
        KINDS.filter(([name]) => says(name)).map(([name, title]) => line(name, title, name === "audio_ms" ? duration : FORMATS.number, name === "audio_ms" ? "ms" : "number")),
        COSTS.filter(([name]) => says(name) || name === "cost").map(([name, title]) => line(name, title, money, "usd")),
      ),
    ),
  );
}
