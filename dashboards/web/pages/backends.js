/** Backends and breakers: how each upstream did; for admins also how it does now, and the gateway's own parts. */
import { getJson } from "../api.js";
import { card } from "../parts/card.js";
import { h } from "../parts/dom.js";
import { full, lately } from "../parts/format.js";
import { table } from "../parts/table.js";
import { callsOf, stackCard, tableCard } from "./pieces.js";

export const backends = {
  title: "Backends and breakers",
  steps: true,
  show(context, content) {
    const { admin } = context.me;
    content.append(
      ...(admin ? [deployments(context)] : []),
      tableCard(context, {
        title: "Backends",
        note: "Each attempt counts, also those behind calls that were answered in the end",
        panel: "backends",
        names: row => ({ backend: row.backend, model: row.model }),
        columns: [
          ["backend", "Backend"], ["model", "Model"], ["attempts", "Attempts"], ["failures", "Failed"], ["failure_share", "Failed share"],
          ["first_token_p50_ms", "First token, median"], ["first_token_p95_ms", "First token, 95 %"], ["attempt_p50_ms", "Attempt, median"],
          ["attempt_p95_ms", "Attempt, 95 %"], ["output_per_s_p50", "Speed, median"], ["cost_usd", "Cost"],
        ],
        bar: "failure_share",
      }),
      stackCard(context, { title: "Calls by backend", note: "Click a bar to see its calls", size: "half", by: "backend", measure: "calls", height: 200 }),
      stackCard(context, { title: "Errors by backend", size: "half", by: "backend", measure: "errors", height: 200 }),
      ...(admin ? [parts(context)] : []),
    );
  },
};

const STATES = { closed: ["good", "\u2713 closed"], open: ["bad", "\u2715 open"], half_open: ["warn", "\u25d0 half open"] };
const COLUMNS = [
  ["backend", "text", "Backend"], ["model", "text", "Model"], ["state", "text", "Breaker"], ["trouble", "text", "In the way of calls"], ["probe", "text", "Probe"],
  ["in_flight", "number", "Running"], ["waiting", "number", "Waiting"], ["failures", "number", "Failed lately"], ["first_token_ms", "ms", "First token"],
  ["total_ms", "ms", "Whole answer"], ["output_per_s", "per_s", "Speed"], ["routes", "text", "Routes"],
].map(([name, type, title]) => ({ name, type, title }));

/** How each deployment does now. */
function deployments(context) {
  return card(context, {
    title: "Deployments now",
    note: "Not of the range above: breakers, places and the latest times as GET /v1/backends tells them",
    load: () => getJson("/v1/backends", null, context.signal),
    empty: answer => !shown(context, answer).length,
    nothing: "No route leads to such a backend",
    draw: answer => h("div", {},
      table({ columns: COLUMNS, rows: shown(context, answer), cells: CELLS, caption: "Deployments now", href: row => callsOf(context, { backend: row.backend, ...(row.model ? { model: row.model } : {}) }) }),
      h("p", { class: "note below" }, `As the worker with the process id ${answer.worker} knows it; each worker has its own counts. Times are smoothed over about ten calls.`),
    ),
  });
}

/** As table rows, those in trouble first. */
function shown(context, answer) {
  const asked = name => context.view.params.getAll(name);
  const wanted = (name, values) => !asked(name).length || values.some(value => asked(name).includes(value));
  const mine = answer.data.filter(one => wanted("backend", [one.backend]) && wanted("model", [one.model]) && wanted("route", one.routes));
  const first = one => (one.obstacle || one.probe?.ok === false ? 0 : 1);
  return mine.sort((a, b) => first(a) - first(b)).map(one => {
    const flat = {
      ...one, state: one.breaker?.state ?? "", trouble: one.obstacle?.reason ?? "", waiting: one.gate?.waiting ?? null,
      probe: one.probe ? (one.probe.ok ? "well" : one.probe.why) : "", failures: one.breaker?.failures ?? null, routes: one.routes.join(", "),
    };
    return Object.assign(COLUMNS.map(({ name }) => flat[name]), { named: { whole: one } });
  });
}

const NOTHING = "\u2013";
const CELLS = {
  model: value => value ?? "(any)",
  state: (value, { whole }) => (value ? [h("span", { class: `state ${STATES[value][0]}` }, STATES[value][1]), whole.breaker.since ? h("div", { class: "note" }, `since ${lately(whole.breaker.since)}`) : null] : NOTHING),
  trouble: (value, { whole }) => (value ? h("div", { class: "words" }, value, again(whole)) : NOTHING),
  probe: (value, { whole }) => (whole.probe ? h("span", { class: `state ${whole.probe.ok ? "good" : "bad"}` }, `${whole.probe.ok ? "\u2713" : "\u2715"} ${value}`) : NOTHING),
  waiting: (value, { whole }) => (whole.gate ? full(value) : NOTHING),
  failures: (value, { whole }) => (whole.breaker ? `${full(value)} of ${full(whole.breaker.calls)}` : NOTHING),
  routes: value => h("div", { class: "words" }, value),
};

/** When calls go there again. */
function again({ breaker, obstacle }) {
  if (breaker?.tried_again) return h("div", { class: "note" }, breaker.tried_again * 1000 <= Date.now() ? "the next call tries it" : `tried again from ${lately(breaker.tried_again)}`);
  return obstacle.until ? h("div", { class: "note" }, `until ${lately(obstacle.until)}`) : null;
}

function parts(context) {
  return card(context, {
    title: "Parts of the gateway",
    note: "Now, as GET /readyz says",
    size: "half",
    load: () => readiness(context.signal),
    draw: ({ parts: all }) =>
      h("ul", { class: "parts" }, Object.entries(all).map(([name, { ok, detail, since, needed }]) =>
        h("li", {}, h("span", { class: ok ? "state good" : "state bad" }, ok ? "\u2713 works" : "\u2715 does not work"), h("b", {}, name), h("span", { class: "note" }, `${detail}; since ${lately(Date.parse(since) / 1000)}${needed ? "" : "; calls are served without it"}`)),
      )),
  });
}

/** Readiness is also told with status 503. */
async function readiness(signal) {
  const response = await fetch("/readyz", { signal, cache: "no-store" }).catch(() => null);
  return response ? response.json() : getJson("/readyz", null, signal);
}
