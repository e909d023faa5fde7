/**
 * Charts over time: stacked bars, or lines. Drawn by uPlot; what is shown is also in a table beside it (card.js).
 *
 * @typedef {{name: string, values: (number | null)[], shown: any[], tone?: string}} Series
 *   `values` are drawn, `shown` are as the API gave them.
 * @typedef {object} Plan
 * @property {number[]} times the beginnings of the steps, Unix seconds
 * @property {number} stepS
 * @property {Series[]} series
 * @property {"stack" | "lines"} kind
 * @property {string} type of the values: usd, number, ms, ...
 * @property {string} label says in words what is shown
 * @property {(time: number, series: Series) => void} [pick] a bar was chosen
 * @property {number} [height]
 */
import uPlot from "../vendor/uPlot.esm.js";
import { h } from "./dom.js";
import { AXES, FORMATS, day, hour, period } from "./format.js";
import { REST, ink, paint, sample } from "./palette.js";

const HEIGHT = 240;
const DAY_S = 86_400;
/** Bars that are narrower have no gaps, and no patterns. */
const NARROW_PX = 8;
/** Of axes: what people count time and calls in. */
const ROUND_MS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 3e4, 6e4, 12e4, 3e5, 6e5, 12e5, 36e5];
const ROUND = Array.from({ length: 13 }, (_, at) => [1, 2, 5].map(one => one * 10 ** at)).flat();

/**
 * Draw a chart into a new element; it follows its element's width.
 *
 * @param {Plan} plan
 * @param {AbortSignal} signal ends it
 */
export function chart(plan, signal) {
  const stage = h("div", { class: "chart-stage" });
  const legend = h("div", { class: "legend", role: "group", "aria-label": "Series" });
  const host = h("div", { class: "chart" }, h("div", { class: "chart-image", role: "img", "aria-label": plan.label }, stage), legend);
  const hidden = new Set();
  let drawn = null;
  const draw = () => {
    drawn?.destroy();
    stage.replaceChildren();
    drawn = plot(plan, hidden, stage);
  };
  plan.series.forEach((one, place) => legend.append(entry(plan, one, place, hidden, draw)));
  let width = 0;
  const follow = new ResizeObserver(() => {
    const now = Math.floor(stage.clientWidth);
    if (!now || now === width) return;
    width = now;
    if (drawn) drawn.setSize({ width, height: plan.height ?? HEIGHT });
    else draw();
  });
  follow.observe(stage);
  signal.addEventListener("abort", () => {
    follow.disconnect();
    drawn?.destroy();
  });
  return host;
}

function entry(plan, one, place, hidden, draw) {
  const toggle = () => {
    if (!hidden.delete(place)) hidden.add(place);
    button.setAttribute("aria-pressed", String(!hidden.has(place)));
    draw();
  };
  const button = h(
    "button",
    { type: "button", class: "legend-entry", "aria-pressed": "true", title: "Show or hide", onclick: toggle },
    sample(ink(place, one.name), plan.kind === "lines"),
    h("span", {}, label(one.name)),
  );
  return button;
}

/** A name that is empty is shown as such. */
export const label = name => (name === "" ? "(none)" : name);

function plot(plan, hidden, stage) {
  const shown = plan.series.map((one, place) => ({ ...one, place })).filter(({ place }) => !hidden.has(place));
  const { times, stepS } = plan;
  const stacked = plan.kind === "stack";
  const xs = stacked ? times.map(time => time + stepS / 2) : times;
  const rows = stacked ? piled(shown, times.length) : shown.map(one => one.values);
  const order = stacked ? shown.map((_, at) => at).reverse() : shown.map((_, at) => at);
  const utc = stepS >= DAY_S;
  const colours = getComputedStyle(stage);
  const edge = stacked ? stepS : 0;
  const narrow = stage.clientWidth < 420;
  const tip = h("div", { class: "tip", hidden: true });
  const options = {
    width: stage.clientWidth,
    height: plan.height ?? HEIGHT,
    padding: [10, 24, 0, 0],
    tzDate: unix => (utc ? uPlot.tzDate(new Date(unix * 1000), "Etc/UTC") : new Date(unix * 1000)),
    scales: {
      x: { time: true, range: () => [times[0], times[times.length - 1] + Math.max(edge, stacked || times.length > 1 ? 0 : stepS)] },
      y: { range: (_, low, high) => [0, uPlot.rangeNum(0, high > 0 ? high : 1, 0.08, true)[1]] },
    },
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { show: !stacked, size: 6 } },
    axes: [axisX(colours, utc, narrow), axisY(colours, plan.type, narrow)],
    series: [{}, ...order.map(at => look(shown[at], stacked, times.length, stage.clientWidth / times.length))],
    hooks: {
      setCursor: [self => point(self, tip, plan, shown)],
      ready: [self => choose(self, plan, shown, rows)],
    },
  };
  const made = new uPlot(options, [xs, ...order.map(at => rows[at])], stage);
  made.over.append(tip);
  return made;
}

/** For each series its own values on those of the ones below it. */
function piled(series, length) {
  const sums = new Array(length).fill(0);
  return series.map(one => one.values.map((value, at) => (sums[at] += value ?? 0)));
}

function look(one, stacked, count, slotPx) {
  const style = ink(one.place, one.name);
  if (!stacked) return { stroke: style.colour, width: 2, dash: style.dash, spanGaps: false, points: { show: count < 2, size: 6, fill: style.colour } };
  let made = null;
  return {
    width: 0,
    points: { show: false },
    fill: self => (made ??= slotPx < NARROW_PX ? style.colour : paint(self.ctx, style)),
    paths: uPlot.paths.bars({ size: [1, 110], gap: slotPx < NARROW_PX ? (slotPx < 3 ? 0 : 1) : 3 }),
  };
}

function axisX(colours, utc, narrow) {
  const name = (unix, step) => (utc || step >= DAY_S || (step < DAY_S && hour(unix, utc) === "00:00") ? day(unix, utc) : hour(unix, utc));
  return {
    ...axis(colours),
    space: narrow ? 56 : 72,
    grid: { show: false },
    size: 28,
    incrs: utc ? [1, 2, 3, 7, 14, 30, 60, 90].map(days => days * DAY_S) : undefined,
    values: (_, splits, _axis, _space, step) => splits.map(unix => name(unix, step)),
  };
}

function axisY(colours, type, narrow) {
  return {
    ...axis(colours),
    size: (self, values) => Math.max(narrow ? 40 : 46, ...(values ?? []).map(text => text.length * 7 + 16)),
    space: 38,
    incrs: { number: ROUND, ms: ROUND_MS }[type],
    values: (_, splits) => splits.map(value => (value === null ? "" : AXES[type](value))),
  };
}

function axis(colours) {
  const line = { stroke: colours.borderTopColor, width: 1 };
  return { stroke: colours.color, font: `11px ${colours.fontFamily}`, gap: 6, grid: line, ticks: { ...line, size: 4 } };
}

/** Say what is under the pointer. */
function point(self, tip, plan, shown) {
  const at = self.cursor.idx;
  tip.hidden = at === null || at === undefined || self.cursor.left < 0;
  if (tip.hidden) return;
  const lines = shown.filter(one => one.values[at] !== null && (plan.kind === "lines" || one.values[at] !== 0));
  if (plan.kind === "stack") lines.reverse();
  tip.replaceChildren(
    h("div", { class: "tip-time" }, period(plan.times[at], plan.stepS)),
    ...lines.map(one =>
      h("div", { class: "tip-line" }, sample(ink(one.place, one.name), plan.kind === "lines"), h("span", {}, label(one.name)), h("b", {}, FORMATS[plan.type](one.shown[at]))),
    ),
    ...(lines.length ? [] : [h("div", { class: "tip-none" }, "nothing")]),
  );
  const wide = self.over.clientWidth;
  const left = self.cursor.left + 14 + tip.offsetWidth > wide ? Math.max(0, self.cursor.left - 14 - tip.offsetWidth) : self.cursor.left + 14;
  tip.style.transform = `translate(${Math.min(left, Math.max(0, wide - tip.offsetWidth))}px, 4px)`;
}

/** A click chooses the series under the pointer, in its step. */
function choose(self, plan, shown, rows) {
  if (!plan.pick) return;
  self.over.classList.add("can-pick");
  self.over.addEventListener("click", event => {
    const at = self.cursor.idx;
    if (at === null || at === undefined) return;
    const height = self.posToVal(event.clientY - self.over.getBoundingClientRect().top, "y");
    const found = plan.kind === "stack" ? rows.findIndex(row => row[at] >= height) : 0;
    if (shown.length) plan.pick(plan.times[at], shown[found] ?? { name: REST });
  });
}
