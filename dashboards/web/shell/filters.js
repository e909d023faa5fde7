/** The bar below the pages' names: range, step, filters, refreshing. All but the last is in the address. */
import { panel } from "../api.js";
import { DEFAULT_SINCE, FILTERS, changed, filters, kept, query } from "../state.js";
import { h, newId } from "../parts/dom.js";
import { day, hour, zone } from "../parts/format.js";
import { label } from "../parts/charts.js";

const PRESETS = [["1h", "1 h"], ["24h", "24 h"], ["7d", "7 d"], ["30d", "30 d"], ["90d", "90 d"], ["month", "Month"]];
const STEPS = [["", "Auto"], ["minute", "Minutes"], ["hour", "Hours"], ["day", "Days"]];
const SUGGESTED = "100";

/** @param {any} context @param {(changes: Record<string, any>) => string} to the address with changes */
export function filterBar(context, to) {
  const { params } = context.view;
  return h(
    "div",
    { class: "filter-bar" },
    h("div", { class: "filter-row" }, range(context, params, to), steps(context, params, to), adder(context, params, to), refreshing(context)),
    chips(params, to),
  );
}

function range(context, params, to) {
  const since = params.get("since") ?? DEFAULT_SINCE;
  const preset = !params.has("until");
  const links = PRESETS.map(([value, name]) =>
    h("a", { href: to({ since: value, until: null }), "aria-current": preset && since === value ? "true" : null, title: value === "month" ? "Since the calendar month began" : `The last ${name}` }, name),
  );
  const own = !preset || !PRESETS.some(([value]) => value === since);
  return h("div", { class: "segments", role: "group", "aria-label": "Time range" }, links, custom(context, params, to, own));
}

/** The value of a field of local time. */
function local(unix) {
  const at = new Date(unix * 1000);
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

function custom(context, params, to, own) {
  const unix = name => (/^\d+$/.test(params.get(name) ?? "") ? Number(params.get(name)) : null);
  const now = Math.floor(Date.now() / 1000);
  const from = h("input", { type: "datetime-local", name: "from", required: true, value: local(unix("since") ?? now - 86_400) });
  const until = h("input", { type: "datetime-local", name: "until", required: true, value: local(unix("until") ?? now) });
  const apply = event => {
    event.preventDefault();
    const [since, end] = [from, until].map(field => Math.floor(new Date(field.value).getTime() / 1000));
    until.setCustomValidity(end > since ? "" : "The end must be after the beginning.");
    if (until.reportValidity()) window.location.hash = to({ since: String(since), until: String(end) });
  };
  const text = own ? shownRange(params, unix) : "Custom";
  return h(
    "details",
    { class: "pop", name: "pop" },
    h("summary", { "aria-current": own ? "true" : null }, text),
    h(
      "form",
      { class: "pop-body", onsubmit: apply, oninput: () => until.setCustomValidity("") },
      h("label", {}, "From", from),
      h("label", {}, "Until", until),
      h("p", { class: "note" }, `Times are ${zone()}.`),
      h("button", { type: "submit", class: "button primary" }, "Show"),
    ),
  );
}

function shownRange(params, unix) {
  const one = name => (unix(name) === null ? params.get(name) : `${day(unix(name))} ${hour(unix(name))}`);
  return `${one("since") ?? DEFAULT_SINCE} \u2013 ${one("until") ?? "now"}`;
}

function steps(context, params, to) {
  if (!context.page.steps) return null;
  const id = newId("step");
  const options = STEPS.map(([value, name]) => h("option", { value, selected: (params.get("step") ?? "") === value }, name));
  const select = h("select", { id, onchange: () => (window.location.hash = to({ step: select.value })) }, options);
  return h("div", { class: "field" }, h("label", { for: id }, "Step"), select);
}

function adder(context, params, to) {
  const [listId, dimensionId, valueId] = ["list", "dimension", "value"].map(newId);
  const choices = h("datalist", { id: listId });
  const mine = FILTERS.filter(name => name !== "tenant" || context.me.admin);
  const dimension = h("select", { id: dimensionId, onchange: suggest }, mine.map(name => h("option", { value: name }, name)));
  const value = h("input", { id: valueId, list: listId, required: true, autocomplete: "off", placeholder: "name" });
  async function suggest() {
    choices.replaceChildren();
    try {
      const found = await panel("breakdown", query(params, { by: dimension.value, limit: SUGGESTED, [dimension.value]: null }), context.signal);
      const at = Math.max(0, found.columns.findIndex(column => column.name === "name1"));
      choices.replaceChildren(...found.rows.filter(row => row[at] !== "").map(row => h("option", { value: row[at] })));
    } catch {
      // Suggestions are a convenience: a name can be typed.
    }
  }
  const add = chosen => {
    const name = dimension.value;
    window.location.hash = to({ [name]: [...params.getAll(name).filter(one => one !== chosen), chosen] });
  };
  return h(
    "details",
    { class: "pop", name: "pop", ontoggle: event => event.target.open && (suggest(), value.focus()) },
    h("summary", { class: "button" }, "+ Filter"),
    h(
      "form",
      { class: "pop-body", onsubmit: event => (event.preventDefault(), add(value.value)) },
      h("label", { for: dimensionId }, "Only this"),
      dimension,
      h("label", { for: valueId, class: "unseen" }, "Name"),
      value,
      choices,
      h(
        "div",
        { class: "pop-buttons" },
        h("button", { type: "submit", class: "button primary" }, "Add"),
        h("button", { type: "button", class: "button", title: "Only what has no such name", onclick: () => add("") }, "Without a name"),
      ),
    ),
  );
}

function chips(params, to) {
  const set = filters(params);
  if (!set.length) return null;
  const chip = ([name, value]) => {
    const without = params.getAll(name).filter(one => one !== value);
    return h("li", { class: "chip" }, h("span", { class: "chip-name" }, name), h("b", {}, label(value)), h("a", { href: to({ [name]: without }), "aria-label": `Remove the filter ${name} ${label(value)}` }, "\u00d7"));
  };
  const none = Object.fromEntries(FILTERS.map(name => [name, null]));
  return h("ul", { class: "chips", "aria-label": "Filters" }, set.map(chip), set.length > 1 ? h("li", {}, h("a", { href: to(none) }, "Remove all")) : null);
}

function refreshing(context) {
  const { clock } = context;
  const again = h("button", { type: "button", class: "button", onclick: () => clock.refresh() }, "Refresh");
  const auto = h("input", { type: "checkbox", role: "switch", checked: clock.auto, onchange: () => clock.turn(auto.checked) });
  return h("div", { class: "refreshing" }, clock.told, again, h("label", { class: "switch", title: "Refresh by itself" }, auto, `Every ${clock.everyS} s`));
}

/** The parameters without the filters, or with a longer range: what an empty page suggests. */
export function suggestions(view, address) {
  const { page, params } = view;
  const long = ["30d", "90d"].includes(params.get("since"));
  const none = Object.fromEntries(FILTERS.map(name => [name, null]));
  return {
    wider: long && !params.has("until") ? "" : address(page, changed(kept(params), { since: "30d", until: null, step: null })),
    unfiltered: filters(params).length ? address(page, changed(kept(params), none)) : "",
  };
}
