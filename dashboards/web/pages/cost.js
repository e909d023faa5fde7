/** Cost: where the money goes, what each thing costs, what was saved. */
import { csvAddress } from "../api.js";
import { card } from "../parts/card.js";
import { h, newId } from "../parts/dom.js";
import { capital } from "../parts/format.js";
import { REST } from "../parts/palette.js";
import { anomaliesCard, confidenceCard, moversCard, splitBy, splitChoice, stackCard, tableCard, wasteCard } from "./pieces.js";

const FINER = { tenant: "team", team: "key", key: "model", route: "model", model: "backend", backend: "model" };

export const cost = {
  title: "Cost",
  steps: true,
  show(context, content) {
    const by = splitBy(context);
    content.append(
      stackCard(context, { title: "Cost over time", note: `By ${by}; click a bar to see its calls`, size: "full", by, measure: "cost_usd", tools: [splitChoice(context)] }),
      breakdown(context, by),
      moversCard(context, by),
      unitCosts(context, by),
      stackCard(context, { title: "Cost by kind of token", size: "half", panel: "kinds", by: "kind", name: "kind", measure: "cost_usd", height: 220 }),
      savings(context, by),
      wasteCard(context, "half"),
      confidenceCard(context, "half"),
      anomaliesCard(context),
      statement(context),
    );
  },
};

function breakdown(context, by) {
  const then = FINER[by];
  return tableCard(context, {
    title: `By ${by} and ${then}`,
    note: "The dearest; a row leads to its calls, the CSV has all",
    size: "wide",
    panel: "breakdown",
    more: { by: `${by},${then}`, limit: "12" },
    names: row => (row.name1 === REST ? {} : { [by]: row.name1, [then]: row.name2 }),
    columns: [["name1", capital(by)], ["name2", capital(then)], ["calls", "Calls"], ["input_tokens", "Input"], ["output_tokens", "Output"], ["cost_usd", "Cost"]],
    bar: "cost_usd",
  });
}

function unitCosts(context, by) {
  return tableCard(context, {
    title: "Unit costs",
    note: "What one of each costs",
    size: "half",
    panel: "unit_costs",
    by,
    more: { limit: "12" },
    columns: [["name", capital(by)], ["per_call_usd", "Call"], ["per_1k_tokens_usd", "1k tokens"], ["per_good_conversation_usd", "Good conversation"], ["per_user_usd", "User"]],
  });
}

function savings(context, by) {
  const id = newId("baseline");
  const now = context.view.params.get("baseline") ?? "";
  const field = h("input", { id, value: now, placeholder: "backend/model", size: "18" });
  const form = h(
    "form",
    { class: "field", onsubmit: event => (event.preventDefault(), (window.location.hash = context.to({ baseline: field.value.trim() }))) },
    h("label", { for: id }, "Baseline"),
    field,
    h("button", { type: "submit", class: "quiet-button" }, "Compare"),
  );
  return tableCard(context, {
    title: "Savings",
    note: "Against the same tokens uncached, and at the baseline\u2019s price; below zero: it cost more",
    size: "full",
    panel: "savings",
    by,
    more: { limit: "12", baseline: now || null },
    columns: [["name", capital(by)], ["cost_usd", "Cost"], ["uncached_usd", "Uncached"], ["saved_by_cache_usd", "Saved by caches"], ["baseline_usd", "At the baseline"], ["saved_by_routing_usd", "Saved by routing"], ["fallback_usd", "Spent on fallbacks"]],
    tools: [form],
  });
}

/** One tenant's at a time: those of the filter, else the key's own. */
function statement(context) {
  const id = newId("month");
  const month = h("input", { id, type: "month", required: true, value: new Date().toISOString().slice(0, 7) });
  const links = h("div", { class: "statements" });
  const filtered = context.me.admin ? context.view.params.getAll("tenant").filter(Boolean) : [];
  const tenants = filtered.length ? filtered : [context.me.tenant];
  const path = "/v1/usage/statement";
  const show = () =>
    links.replaceChildren(...tenants.map(tenant => {
      const asked = new URLSearchParams({ month: month.value, tenant });
      const page = new URLSearchParams([...asked, ["format", "html"]]);
      return h("div", { class: "inline-form" }, h("b", {}, tenant),
        h("a", { class: "button", href: `${path}?${page}`, target: "_blank", rel: "noopener" }, "Open to print"),
        h("a", { class: "button", href: csvAddress(path, asked), download: `statement-${tenant}-${month.value}.csv` }, "CSV"));
    }));
  month.addEventListener("change", () => month.reportValidity() && show());
  show();
  return card(context, {
    title: "Chargeback statement",
    note: `What a tenant is charged for a calendar month${context.me.admin ? "; filter by tenants to have theirs" : ""}`,
    load: async () => null,
    draw: () => h("div", { class: "inline-form" }, h("label", { for: id }, "Month"), month, links),
  });
}
