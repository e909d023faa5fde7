/** Budgets: what is spent of each, when it runs out, and the limits on this key. */
import { getJson } from "../api.js";
import { query } from "../state.js";
import { card } from "../parts/card.js";
import { h } from "../parts/dom.js";
import { FORMATS, compact, day, duration, full, moment, money, share } from "../parts/format.js";
import { table } from "../parts/table.js";
import { ask, csvOf, isEmpty } from "./pieces.js";
import { chart } from "../parts/charts.js";
import { records } from "../parts/table.js";

export const budgets = {
  title: "Budgets",
  steps: false,
  show(context, content) {
    content.append(running(context), burndown(context), limits(context));
  },
};

function running(context) {
  return card(context, {
    title: "Budgets",
    note: "In the period that runs now",
    load: () => getJson("/v1/usage/budgets", tenantsOf(context), context.signal),
    empty: answer => !answer.data.length,
    nothing: "No budget holds here. policies/quotas.yaml and policies/budgets.yaml set them.",
    draw: answer => h("div", { class: "budgets" }, answer.data.map(budget)),
  });
}

function tenantsOf(context) {
  return new URLSearchParams([...query(context.view.params)].filter(([name]) => name === "tenant"));
}

/** One budget as a bar: spent, and where the period's end is forecast. */
function budget(one) {
  const part = Number(one.share ?? 0);
  const level = part >= 1 ? "over" : part >= 0.8 ? "near" : "within";
  const per = Object.entries(one.per ?? {}).map(([name, value]) => `${name} ${value}`).join(", ");
  const words = { over: "used up", near: "nearly used up", within: "within" }[level];
  return h(
    "article",
    { class: `budget ${level}` },
    h("h3", {}, one.name, per ? h("span", { class: "note" }, ` ${per}`) : null),
    h("p", { class: "budget-sum" }, h("b", {}, money(one.spent_usd)), ` of ${money(one.limit_usd)}, ${share(part)}`, h("span", { class: `state ${level}` }, words)),
    h("meter", { min: "0", max: "1", low: "0.8", high: "0.999", optimum: "0", value: String(Math.min(part, 1)), "aria-label": `${share(part)} of ${one.name}` }),
    h("p", { class: "note" }, leads(one)),
    h("p", { class: "note" }, `${one.text}${one.shadow ? "; it only measures" : ""}`),
    one.days?.length ? h("details", {}, h("summary", { class: "note" }, "Day by day"), daily(one)) : null,
  );
}

const MONTH = { by: "tenant", step: null };

/** Where it leads. */
function leads(one) {
  const end = one.end ? `by ${moment(one.end)}` : "";
  const forecast = one.forecast_usd ? `At this rate ${money(one.forecast_usd)} ${end}.` : "";
  return `${forecast}${one.runs_out ? ` Runs out ${moment(one.runs_out)}.` : ""}`;
}

function daily(one) {
  const columns = [["time", "time", "Day"], ["spent_usd", "usd", "Spent"], ["running_usd", "usd", "So far"]].map(([name, type, title]) => ({ name, type, title }));
  const rows = one.days.map(row => columns.map(({ name }) => row[name]));
  return table({ columns, rows, caption: `${one.name}, day by day`, cells: { time: value => day(value) } });
}

function burndown(context) {
  return card(context, {
    title: "Spent within the month",
    note: "By tenant, added up from the first day of each month that the range is in (UTC)",
    load: ask(context, "burndown", MONTH),
    csv: csvOf(context, "burndown", MONTH),
    empty: isEmpty,
    nothing: "Nothing was spent",
    draw: answer => {
      const rows = records(answer);
      const times = [...new Set(rows.map(row => row.time))].sort((a, b) => a - b);
      const names = [...new Set(rows.map(row => row.name))];
      const series = names.map(name => {
        const mine = new Map(rows.filter(row => row.name === name).map(row => [row.time, row.running_usd]));
        const shown = times.map(time => mine.get(time) ?? null);
        return { name, shown, values: shown.map(value => (value === null ? null : Number(value))) };
      });
      return {
        main: chart({ times, stepS: 86_400, series, kind: "lines", type: "usd", label: "What was spent since the month began: a line for each tenant. The button Table shows the numbers." }, context.signal),
        table: table({ ...answer, caption: "Spent within the month" }),
      };
    },
  });
}

const UNITS = {
  nanousd: value => money(decimalOf(value)),
  tokens: compact,
};
/** Nano-dollars as dollars, exactly. */
export function decimalOf(nanousd) {
  const digits = String(nanousd).padStart(10, "0");
  return `${digits.slice(0, -9)}.${digits.slice(-9)}`;
}

function limits(context) {
  const shown = (value, metric) => (UNITS[metric] ?? full)(value);
  return card(context, {
    title: "Limits on this key",
    note: "As GET /v1/usage/limits says",
    load: () => getJson("/v1/usage/limits", null, context.signal),
    empty: answer => !answer.data.length,
    nothing: "No limit holds for this key",
    draw: answer => {
      const columns = [["text", "Limit"], ["rule", "Rule"], ["taken", "Taken"], ["remaining", "Left"], ["resets_ms", "Free again"]].map(([name, title]) => ({ name, title, type: ["text", "rule"].includes(name) ? "text" : "number" }));
      const rows = answer.data.map(one => Object.assign(columns.map(({ name }) => one[name]), { named: one }));
      const cells = {
        taken: (value, row) => shown(value, row.metric),
        remaining: (value, row) => shown(value, row.metric),
        resets_ms: value => (value === null ? "when calls end" : value - Date.now() < 120_000 ? `in ${duration(Math.max(0, value - Date.now()))}` : FORMATS.time(value / 1000)),
      };
      return table({ columns, rows, cells, caption: "Limits on this key" });
    },
  });
}
