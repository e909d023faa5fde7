/** Overview: what it cost, against before; where it went; what to look at next. */
import { card } from "../parts/card.js";
import { h } from "../parts/dom.js";
import { FORMATS, capital, exact, share } from "../parts/format.js";
import { records } from "../parts/table.js";
import { anomaliesCard, ask, callsOf, confidenceCard, csvOf, moversCard, splitBy, splitChoice, stackCard, tableCard, wasteCard } from "./pieces.js";

/** Endings that count as errors. */
const ERRORS = ["failed", "broken", "bug"];

/** Name, title, type, the column of the span before, whether more is worse; in place of these, a remark. */
const TILES = [
  ["cost_usd", "Cost", "usd", "before_cost_usd", true],
  ["calls", "Calls", "number", "before_calls", null],
  ["errors", "Errors", "number", "before_errors", true],
  ["total_p95_ms", "95 % of calls within", "ms", "before_total_p95_ms", true],
  ["output_tokens", "Output tokens", "number", "before_output_tokens", null],
  ["saved_usd", "Saved by caches", "usd", row => `${FORMATS.number(row.cached_tokens)} tokens cached`],
  ["wasted_usd", "Wasted", "usd", () => "failed, cancelled, hedged"],
  ["users", "Users", "number", row => `${FORMATS.number(row.conversations)} conversations`],
];

export const overview = {
  title: "Overview",
  steps: true,
  show(context, content) {
    const by = splitBy(context);
    content.append(
      tiles(context),
      stackCard(context, { title: "Cost over time", note: `By ${by}; click a bar to see its calls`, size: "wide", by, measure: "cost_usd", tools: [splitChoice(context)] }),
      moversCard(context, by),
      tableCard(context, {
        title: `Cost by ${context.me.admin ? "tenant" : "team"}`,
        size: "third",
        panel: "breakdown",
        by: context.me.admin ? "tenant" : "team",
        nameColumn: "name1",
        more: { limit: "8" },
        columns: [["name1", capital(context.me.admin ? "tenant" : "team")], ["calls", "Calls"], ["cost_usd", "Cost"]],
        bar: "cost_usd",
      }),
      wasteCard(context),
      confidenceCard(context),
      anomaliesCard(context, "6"),
    );
  },
};

function tiles(context) {
  return card(context, {
    title: "At a glance",
    size: "full bare",
    load: ask(context, "totals"),
    csv: csvOf(context, "totals"),
    empty: answer => !records(answer).some(row => Number(row.calls) || Number(row.attempts) || Number(row.before_calls)),
    draw: answer => {
      const [row] = records(answer);
      return h("dl", { class: "tiles" }, TILES.map(tile => drawn(context, tile, row)));
    },
  });
}

function drawn(context, [name, title, type, before, worse], row) {
  const value = row[name];
  const shown = h("span", { class: "tile-value", title: exact(type, value), "data-tile": name, "data-value": value ?? "" }, FORMATS[type](value));
  const inside = name === "errors" && Number(value) ? h("a", { href: callsOf(context, { ending: ERRORS }) }, shown) : shown;
  return h("div", { class: "tile" }, h("dt", {}, title), h("dd", {}, inside, h("span", { class: "tile-note" }, typeof before === "function" ? before(row) : against(type, value, row[before], worse))));
}

/** Against the span before: an arrow, a percentage and a word. */
function against(type, value, before, worse) {
  const [now, then] = [Number(value), Number(before)];
  if (before === null || !then) return now ? "nothing before" : "as before";
  const part = (now - then) / then;
  if (Math.abs(part) < 0.001) return "as in the span before";
  const tone = worse === null ? "" : part > 0 === worse ? "bad" : "good";
  return h("span", { class: tone }, h("span", { "aria-hidden": "true" }, part > 0 ? "\u25b2 " : "\u25bc "), `${share(Math.abs(part))} ${part > 0 ? "more" : "less"} than`, h("br"), `${FORMATS[type](before)} before`);
}
