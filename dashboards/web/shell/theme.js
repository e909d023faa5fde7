/** Light or dark: the system's, or what was chosen with the switch (kept in this browser). */

const KEY = "forebay.theme";
const ORDER = ["system", "light", "dark"];

/** What was chosen: system, light or dark. */
export const chosen = () => document.documentElement.dataset.theme || "system";

/** Whether it is dark now. */
export function isDark() {
  const now = chosen();
  return now === "system" ? window.matchMedia("(prefers-color-scheme: dark)").matches : now === "dark";
}

/** Choose the next one; returns it. */
export function turn() {
  const next = ORDER[(ORDER.indexOf(chosen()) + 1) % ORDER.length];
  if (next === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  try {
    if (next === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, next);
  } catch {
    // No storage: until the page is left.
  }
  return next;
}

/** Call back when the system's theme changes. */
export function watch(callback) {
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", callback);
}
