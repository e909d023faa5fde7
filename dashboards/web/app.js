/** The page: from an address to what is shown. */
import { ApiError, logout, me } from "./api.js";
import { address, changed, current } from "./state.js";
import { fill } from "./parts/dom.js";
import { trouble } from "./parts/card.js";
import { Clock } from "./shell/clock.js";
import { suggestions } from "./shell/filters.js";
import { frame } from "./shell/frame.js";
import { showLogin } from "./shell/login.js";
import { watch } from "./shell/theme.js";
import { backends } from "./pages/backends.js";
import { budgets } from "./pages/budgets.js";
import { calls } from "./pages/calls.js";
import { cost } from "./pages/cost.js";
import { latency } from "./pages/latency.js";
import { overview } from "./pages/overview.js";
import { usage } from "./pages/usage.js";

const PAGES = { overview, cost, usage, latency, backends, budgets, calls };

/** @param {Element} root */
function start(root) {
  const clock = new Clock();
  let who = null;
  let leaving = new AbortController();

  const show = () => {
    leaving.abort();
    leaving = new AbortController();
    if (!who) return;
    const view = current();
    if (!PAGES[view.page]) view.page = "overview";
    const context = { ...suggestions(view, address), ...actions(view), view, me: who, clock, cards: [], page: PAGES[view.page], signal: leaving.signal };
    context.page.show(context, frame(root, context, PAGES));
    clock.show(() => context.cards);
  };

  const actions = view => ({
    /** The address of this page with changes. */
    to: changes => address(view.page, changed(view.params, changes), view.id),
    redraw: show,
    /** A request has failed: where the session has ended, ask for the key again. */
    failed: error => error.status === 401 && leave("You were logged out: log in again."),
    logout: async () => {
      await logout().catch(() => {});
      leave("");
    },
  });

  const leave = why => {
    who = null;
    leaving.abort();
    showLogin(root, enter, why);
  };

  const enter = async () => {
    try {
      who = await me();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.status === 401) leave("");
      else fill(root, trouble(error, enter));
      return;
    }
    show();
  };

  window.addEventListener("hashchange", () => {
    show();
    window.scrollTo(0, 0);
  });
  document.addEventListener("keydown", event => {
    if (event.key === "Escape") for (const open of document.querySelectorAll("details.pop[open]")) open.open = false;
  });
  document.addEventListener("click", event => {
    for (const open of document.querySelectorAll("details.pop[open]")) if (!open.contains(event.target)) open.open = false;
  });
  watch(show);
  enter();
}

start(document.getElementById("app"));
