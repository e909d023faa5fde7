/** What is around each page: name, pages, who is logged in, the banner, the filters, the footer. */
import { address, kept } from "../state.js";
import { fill, h } from "../parts/dom.js";
import { zone } from "../parts/format.js";
import { filterBar } from "./filters.js";
import { chosen, turn } from "./theme.js";

const THEMES = { system: ["\u25d0", "Theme: the system\u2019s"], light: ["\u2600", "Theme: light"], dark: ["\u263e", "Theme: dark"] };

/**
 * Draw the frame; returns the element for the page's content.
 *
 * @param {Element} root
 * @param {any} context
 * @param {Record<string, {title: string}>} pages
 */
export function frame(root, context, pages) {
  const content = h("div", { class: "grid" });
  const { view, page } = context;
  const to = changes => context.to(changes);
  const skip = h("a", { class: "skip", href: "#content", onclick: event => (event.preventDefault(), content.closest("main").focus()) }, "Skip to the numbers");
  fill(
    root,
    skip,
    context.me.demo ? h("div", { class: "banner", role: "status" }, h("b", {}, "Demo data."), " These calls were made up by ", h("code", {}, "forebay demo"), "; nobody has paid for them.") : null,
    h(
      "header",
      { class: "top" },
      h("a", { class: "brand", href: address("overview", kept(view.params)) }, h("span", { class: "brand-mark", "aria-hidden": "true" }), "Forebay"),
      h(
        "nav",
        { class: "pages", "aria-label": "Pages" },
        Object.entries(pages).map(([name, one]) => h("a", { href: address(name, kept(view.params)), "aria-current": name === view.page ? "page" : null }, one.title)),
      ),
      h("div", { class: "who" }, identity(context.me), themeSwitch(context), h("button", { type: "button", class: "quiet-button", onclick: context.logout }, "Log out")),
    ),
    h(
      "main",
      { id: "content", tabindex: "-1" },
      h("div", { class: "page-head" }, h("h1", {}, view.id ? page.single : page.title), view.id ? null : filterBar(context, to)),
      content,
    ),
    h("footer", { class: "foot" }, `Times are ${zone()}; whole days are UTC days. Amounts are US dollars, rounded to be read: point at one for all its digits.`),
  );
  document.title = `${view.id || page.title} \u00b7 Forebay`;
  return content;
}

function identity(me) {
  return h("span", { class: "identity", title: me.admin ? "This key sees all tenants" : "This key sees its own tenant" }, me.admin ? h("span", { class: "badge" }, "admin") : null, h("span", {}, me.admin ? me.key : me.tenant));
}

function themeSwitch(context) {
  const [sign, name] = THEMES[chosen()];
  const button = h("button", { type: "button", class: "quiet-button theme", title: name, "aria-label": name, onclick: () => (turn(), context.redraw()) }, sign);
  return button;
}
