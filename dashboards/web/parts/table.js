/**
 * Tables that sort.
 *
 * @typedef {{name: string, type: string, title: string}} Column
 * @typedef {object} TableOptions
 * @property {Column[]} columns
 * @property {any[][]} rows
 * @property {string} caption for those who do not see the page
 * @property {(row: Record<string, any>) => string} [href] where a row leads
 * @property {string} [bar] the column that has a bar behind its numbers
 * @property {Record<string, (value: any, row: Record<string, any>) => any>} [cells] own contents of cells
 * @property {{name: string, down: boolean}} [sort]
 * @property {number} [most] so many rows are shown
 */
import { h } from "./dom.js";
import { FORMATS, exact } from "./format.js";
import { label } from "./charts.js";

/** @param {TableOptions} options */
export function table(options) {
  const { columns, rows } = options;
  let sort = options.sort ?? null;
  const body = h("tbody");
  const heads = columns.map((column, at) => head(column, () => {
    sort = { name: column.name, down: sort?.name === column.name ? !sort.down : column.type !== "text" };
    show();
  }, at));
  const largest = options.bar ? Math.max(0, ...rows.map(row => Number(row[indexOf(columns, options.bar)]) || 0)) : 0;
  const show = () => {
    heads.forEach((cell, at) => {
      const mine = sort?.name === columns[at].name;
      cell.setAttribute("aria-sort", mine ? (sort.down ? "descending" : "ascending") : "none");
    });
    body.replaceChildren(...sorted(rows, columns, sort).slice(0, options.most).map(row => line(row, options, largest)));
  };
  show();
  return h(
    "div",
    { class: "table-frame", tabindex: "0", role: "region", "aria-label": `${options.caption}: table` },
    h("table", {}, h("caption", { class: "unseen" }, options.caption), h("thead", {}, h("tr", {}, heads)), body),
  );
}

const indexOf = (columns, name) => columns.findIndex(column => column.name === name);
const isText = column => column.type === "text" || column.type === "time";

function head(column, onclick) {
  const button = h("button", { type: "button", class: "sorter", onclick }, h("span", {}, column.title), h("span", { class: "sort-mark", "aria-hidden": "true" }));
  return h("th", { scope: "col", class: isText(column) ? null : "number" }, button);
}

function line(row, options, largest) {
  const { columns } = options;
  const named = Object.fromEntries(columns.map((column, at) => [column.name, row[at]]));
  Object.assign(named, row.named);
  const cells = columns.map((column, at) => {
    const own = options.cells?.[column.name]?.(row[at], named);
    const shown = own ?? (column.type === "text" ? label(row[at] ?? "") : FORMATS[column.type](row[at]));
    const href = at === 0 && options.href ? options.href(named) : "";
    const inside = href ? h("a", { href }, shown) : shown;
    const part = column.name === options.bar && largest ? (Number(row[at]) || 0) / largest : 0;
    const bar = part > 0 ? h("span", { class: "bar", "aria-hidden": "true", css: { width: `calc(${part.toFixed(4)} * (100% - 16px))` } }) : null;
    const title = exact(column.type, row[at]);
    return at === 0
      ? h("th", { scope: "row", title, class: column.type === "time" ? "time" : null }, inside)
      : h("td", { class: `${isText(column) ? "" : "number"}${bar ? " with-bar" : ""}`, title, "data-value": row[at] ?? "" }, bar, h("span", {}, inside));
  });
  return h("tr", {}, cells);
}

function sorted(rows, columns, sort) {
  const at = sort ? indexOf(columns, sort.name) : -1;
  if (at < 0) return rows;
  const text = columns[at].type === "text";
  const order = (a, b) => (text ? String(a ?? "").localeCompare(String(b ?? "")) : (Number(a ?? -Infinity) || 0) - (Number(b ?? -Infinity) || 0));
  return [...rows].sort((a, b) => (sort.down ? -1 : 1) * order(a[at], b[at]));
}

/**
 * Take some columns of a panel, in this order, with other titles where they are given.
 *
 * @param {{columns: Column[], rows: any[][]}} panel
 * @param {(string | [string, string])[]} wanted
 */
export function columns(panel, wanted) {
  const chosen = wanted.map(one => [one].flat()).map(([name, title]) => [indexOf(panel.columns, name), title]).filter(([at]) => at >= 0);
  return {
    columns: chosen.map(([at, title]) => (title ? { ...panel.columns[at], title } : panel.columns[at])),
    rows: panel.rows.map(row => Object.assign(chosen.map(([at]) => row[at]), { named: named(panel, row) })),
  };
}

/** A row of a panel by the names of its columns. */
export const named = (panel, row) => Object.fromEntries(panel.columns.map((column, at) => [column.name, row[at]]));
/** All of them. */
export const records = panel => panel.rows.map(row => named(panel, row));
