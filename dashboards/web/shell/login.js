/** The login: a key for a cookie. */
import { ApiError, login } from "../api.js";
import { fill, h } from "../parts/dom.js";

/**
 * Show it.
 *
 * @param {Element} root
 * @param {() => void} done
 * @param {string} [why] shown at once
 */
export function showLogin(root, done, why = "") {
  const told = h("p", { class: "login-error", role: "alert" }, why);
  const key = h("input", { id: "key", name: "key", type: "password", required: true, autocomplete: "current-password", spellcheck: "false", placeholder: "fb-\u2026" });
  const button = h("button", { type: "submit", class: "button primary" }, "Log in");
  const submit = async event => {
    event.preventDefault();
    button.disabled = true;
    told.textContent = "";
    try {
      await login(key.value.trim());
      done();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      told.textContent = error.status === 401 ? "This key is not known, or has ended." : error.message;
      key.select();
    } finally {
      button.disabled = false;
    }
  };
  fill(
    root,
    h(
      "main",
      { class: "login" },
      h(
        "form",
        { class: "login-card", onsubmit: submit },
        h("div", { class: "brand" }, h("span", { class: "brand-mark", "aria-hidden": "true" }), "Forebay"),
        h("h1", {}, "Usage and cost"),
        h("p", { class: "note" }, "A tenant\u2019s key shows that tenant; an admin key shows all of them."),
        h("label", { for: "key" }, "Key"),
        key,
        told,
        button,
      ),
    ),
  );
  document.title = "Log in \u00b7 Forebay";
  key.focus();
}
