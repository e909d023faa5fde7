/** Cards that several pages have. */
import { csvAddress, panel, panelPath } from "../api.js";
import { FILTERS, STEP_S, address, changed, isSaid, kept, query } from "../state.js";
import { card } from "../parts/card.js";
import { chart, label } from "../parts/charts.js";
import { h, newId } from "../parts/dom.js";
import { FORMATS, capital, zone } from "../parts/format.js";
import { MOST, REST } from "../parts/palette.js";
import { columns, records, table } from "../parts/table.js";

export const GROUPS = ["tenant", "team", "key", "route", "model", "backend"];
const LONGEST_GRID = 5000;
/** So many rows a CSV has where a table shows the first. */
const ALL = "10000";

/** Ask for a panel in the range and with the filters of the page. */
export const ask = (context, name, more = {}) => () => panel(name, query(context.view.params, more), context.signal);
/** Where its CSV is. */
export const csvOf = (context, name, more = {}) => csvAddress(panelPath(name), query(context.view.params, more));
export const isEmpty = panel => panel.rows.length === 0;

/** The address of the calls of some names, in the range and with the filters of the page. */
export function callsOf(context, names = {}) {
  const chosen = Object.entries(names).filter(([name, value]) => CALL_FILTERS.has(name) && value !== REST && isSaid(name, value));
  return address("calls", changed(kept(context.view.params), { step: null, ...Object.fromEntries(chosen) }));
}
const CALL_FILTERS = new Set([...FILTERS, "since", "until", "user", "conversation", "status", "ending", "error", "call", "waste"]);

/** The dimension that the page is split by, from its address. */
export const splitBy = (context, usual = "model") => (GROUPS.includes(context.view.params.get("by")) ? context.view.params.get("by") : usual);

/** Choose it. */
export function splitChoice(context, usual) {
  const id = newId("by");
  const now = splitBy(context, usual);
  const select = h(
    "select",
    { id, onchange: () => (window.location.hash = context.to({ by: select.value })) },
    GROUPS.map(name => h("option", { value: name, selected: name === now }, name)),
  );
  return h("div", { class: "field" }, h("label", { for: id }, "By"), select);
}

/** The beginnings of all steps of an answer, also of those without a row. */
export function grid(answer, times) {
  const stepS = STEP_S[answer.step] ?? 0;
  if (!stepS || (answer.until - answer.since) / stepS > LONGEST_GRID) return { times: [...new Set(times)].sort((a, b) => a - b), stepS: stepS || 3600 };
  const first = Math.floor(answer.since / stepS) * stepS;
  const all = [];
  for (let time = first; time < answer.until; time += stepS) all.push(time);
  return { times: all.length ? all : [first], stepS };
}

/**
 * Series by name from rows of (time, name, value). What costs most comes first whatever is measured, so that a name
 * has the same colour in all charts of a page.
 */
function byName(answer, nameOf, valueOf, nothing) {
  const rows = records(answer);
  const { times, stepS } = grid(answer, rows.map(row => row.time));
  const places = new Map(times.map((time, at) => [time, at]));
  const series = new Map();
  for (const row of rows) {
    const name = nameOf(row);
    if (!series.has(name)) series.set(name, { name, values: times.map(() => nothing), shown: times.map(() => nothing), size: 0 });
    const one = series.get(name);
    const at = places.get(row.time);
    if (at === undefined) continue;
    one.shown[at] = valueOf(row);
    one.values[at] = one.shown[at] === null ? null : Number(one.shown[at]);
    one.size += Number(row.cost_usd ?? one.shown[at]);
  }
  const largestFirst = (a, b) => (a.name === REST) - (b.name === REST) || b.size - a.size;
  return { times, stepS, series: [...series.values()].sort(largestFirst) };
}

/**
 * A card with a chart of stacked bars, and the same as a table.
 *
 * @param {any} context
 * @param {{title: string, note?: string, size?: string, panel?: string, by: string, measure: string, name?: string, more?: object, height?: number}} options
 */
export function stackCard(context, options) {
  const name = options.panel ?? "series";
  const nameColumn = options.name ?? "name";
  const more = { ...(options.panel ? {} : { by: options.by, limit: String(MOST) }), ...options.more };
  const type = answer => answer.columns.find(column => column.name === options.measure).type;
  return card(context, {
    ...options,
    load: ask(context, name, more),
    csv: csvOf(context, name, more),
    empty: isEmpty,
    draw: answer => {
      const plan = byName(answer, row => row[nameColumn], row => row[options.measure], 0);
      const pick = (time, series) => (window.location.hash = callsOf(context, { since: String(time), until: String(time + plan.stepS), [options.by]: series.name }));
      const words = `${options.title}: stacked bars, ${plan.series.length} series from ${FORMATS.time(plan.times[0])} (${zone()}). The button Table shows the numbers.`;
      return { main: chart({ ...plan, kind: "stack", type: type(answer), label: words, pick, height: options.height }, context.signal), table: whole(context, answer, options.title, options.by, nameColumn) };
    },
  });
}

function whole(context, answer, caption, by, nameColumn) {
  const href = row => callsOf(context, { since: String(row.time), until: String(row.time + (STEP_S[answer.step] ?? 3600)), [by]: row[nameColumn] });
  return table({ columns: answer.columns, rows: answer.rows, caption, href });
}

/**
 * A card with lines over time, one for each of some columns.
 *
 * @param {any} context
 * @param {{title: string, note?: string, size?: string, panel: string, lines: [string, string][], type: string}} options
 */
export function lineCard(context, options) {
  return card(context, {
    ...options,
    load: ask(context, options.panel),
    csv: csvOf(context, options.panel),
    empty: answer => isEmpty(answer) || records(answer).every(row => options.lines.every(([column]) => row[column] === null)),
    draw: answer => {
      const { times, stepS } = grid(answer, records(answer).map(row => row.time));
      const rows = new Map(records(answer).map(row => [row.time, row]));
      const series = options.lines.map(([column, name]) => {
        const shown = times.map(time => rows.get(time)?.[column] ?? null);
        return { name, shown, values: shown.map(value => (value === null ? null : Number(value))) };
      });
      const pick = time => (window.location.hash = callsOf(context, { since: String(time), until: String(time + stepS) }));
      const wanted = ["time", ...options.lines];
      return {
        main: chart({ times, stepS, series, kind: "lines", type: options.type, label: `${options.title}: lines over time. The button Table shows the numbers.`, pick }, context.signal),
        table: table({ ...columns(answer, wanted), caption: options.title }),
      };
    },
  });
}

/**
 * A card with a table of a panel.
 *
 * @param {any} context
 * @param {{title: string, note?: string, size?: string, panel: string, more?: object, columns?: (string | [string, string])[], by?: string, nameColumn?: string, bar?: string, cells?: object, nothing?: string, tools?: Node[], names?: (row: any) => object, only?: (row: any) => boolean, sort?: object, most?: number}} options
 */
export function tableCard(context, options) {
  const more = { ...(options.by ? { by: options.by } : {}), ...options.more };
  const nameColumn = options.nameColumn ?? "name";
  const names = options.names ?? (options.by ? row => ({ [options.by]: row[nameColumn] }) : null);
  const href = names ? row => (isNamed(names(row)) ? callsOf(context, names(row)) : "") : undefined;
  return card(context, {
    ...options,
    load: async () => wanted(await ask(context, options.panel, more)(), options.only),
    csv: csvOf(context, options.panel, { ...more, ...(more.limit ? { limit: ALL } : {}) }),
    empty: isEmpty,
    draw: answer => table({ ...(options.columns ? columns(answer, options.columns) : answer), caption: options.title, href, bar: options.bar, cells: options.cells, sort: options.sort, most: options.most }),
  });
}

/** What is beyond the first names, or cannot be asked for, leads nowhere. */
const isNamed = names => Object.entries(names).some(([name, value]) => value !== REST && isSaid(name, value));
const wanted = (answer, only) => (only ? { ...answer, rows: records(answer).flatMap((row, at) => (only(row) ? [answer.rows[at]] : [])) } : answer);

/** How much an amount has changed: an arrow, the amount, and a word. */
export function change(amount, part, type = "usd") {
  const size = Number(amount);
  if (!size) return h("span", { class: "change" }, "unchanged");
  const words = `${FORMATS[type](String(amount).replace("-", ""))} ${size > 0 ? "more" : "less"}`;
  const percent = part === null || part === undefined ? "" : ` (${size > 0 ? "+" : ""}${FORMATS.share(part)})`;
  return h("span", { class: `change ${size > 0 ? "up" : "down"}` }, h("span", { "aria-hidden": "true" }, size > 0 ? "\u25b2 " : "\u25bc "), words + percent);
}

/** The biggest changes against the span before. */
export function moversCard(context, by, size = "third") {
  return tableCard(context, {
    title: "Top movers",
    note: `By ${by}, against the span of equal length before`,
    size,
    panel: "movers",
    by,
    more: { limit: "8" },
    columns: [["name", capital(by)], ["cost_usd", "Cost"], ["change_usd", "Change"]],
    cells: { change_usd: (value, row) => change(value, row.change_share) },
    nothing: "Nothing was spent in either span",
  });
}

/** What was paid for nothing. */
export function wasteCard(context, size = "third") {
  return tableCard(context, {
    title: "Wasted",
    note: "Paid for what nobody had anything of",
    size,
    panel: "waste",
    columns: [["waste", "Why"], ["cause", "Cause"], ["attempts", "Attempts"], ["cost_usd", "Cost"]],
    bar: "cost_usd",
    names: row => ({ waste: row.waste }),
    nothing: "Nothing was wasted",
  });
}

const CONFIDENCE = { reported: "the provider said so", counted: "counted by the gateway", estimated: "estimated", unpriced: "no price is known", "": "nothing was used" };
/** How sure the amounts are. */
export function confidenceCard(context, size = "third") {
  return tableCard(context, {
    title: "Confidence",
    note: "Where the numbers of tokens are from",
    size,
    panel: "confidence",
    columns: [["confidence", "Tokens"], ["attempts", "Attempts"], ["cost_usd", "Cost"], ["share", "Share"]],
    bar: "share",
    cells: { confidence: value => CONFIDENCE[value] ?? value },
  });
}

/** So anomalies call the sum of all. */
const ALL_TENANTS = "(all)";
/** Hours that cost more or less than they usually do. */
export function anomaliesCard(context, limit = "50") {
  return tableCard(context, {
    title: "Anomalies",
    note: "Hours whose spend is outside the usual band of that hour and weekday; the latest first",
    panel: "anomalies",
    more: { limit },
    columns: [["time", "Hour"], ["tenant", "Tenant"], ["cost_usd", "Cost"], ["usual_usd", "Usual"], ["low_usd", "Band from"], ["high_usd", "Band to"], ["score", "Score"]],
    names: row => ({ since: String(row.time), until: String(row.time + 3600), ...(row.tenant === ALL_TENANTS ? {} : { tenant: row.tenant }) }),
    nothing: "Nothing unusual",
  });
}

export { label };
