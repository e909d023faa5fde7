/**
 * What is looked at is in the address, so that links can be shared and Back works: `#/cost?since=7d&tenant=acme`.
 * Pure, but for `current`.
 *
 * @typedef {{page: string, id: string, params: URLSearchParams}} View
 */

export const FILTERS = ["tenant", "team", "key", "route", "model", "backend"];
const RANGE = ["since", "until", "step"];
/** What stays when the page changes. */
const KEPT = [...RANGE, ...FILTERS];
export const DEFAULT_SINCE = "7d";
/** An empty filter asks for what has no such name; anything else that is empty is not asked for. */
export const isSaid = (name, value) => value !== "" || FILTERS.includes(name);

/** Read an address. */
export function parse(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [page, ...rest] = path.split("/");
  let id = "";
  try {
    id = decodeURIComponent(rest.join("/"));
  } catch {
    // Not one of ours: no id.
  }
  return { page: page || "overview", id, params: new URLSearchParams(query) };
}

/** The view that the address bar shows. */
export const current = () => parse(window.location.hash);

/** Write an address. */
export function address(page, params, id = "") {
  const query = new URLSearchParams([...params].filter(([name, value]) => isSaid(name, value))).toString();
  return `#/${page}${id ? `/${encodeURIComponent(id)}` : ""}${query ? `?${query}` : ""}`;
}

/**
 * The parameters with some of them changed.
 *
 * @param {URLSearchParams} params
 * @param {Record<string, string | string[] | null>} changes null removes one.
 */
export function changed(params, changes) {
  const next = new URLSearchParams(params);
  for (const [name, value] of Object.entries(changes)) {
    next.delete(name);
    for (const one of [value].flat()) if (one !== null && one !== undefined && isSaid(name, one)) next.append(name, one);
  }
  return next;
}

/** The range and the filters alone. */
export function kept(params) {
  return new URLSearchParams([...params].filter(([name]) => KEPT.includes(name)));
}

/** Those as a query of the API, with what else it is to know. */
export function query(params, more = {}) {
  const asked = kept(params);
  if (!asked.has("since")) asked.set("since", DEFAULT_SINCE);
  return changed(asked, more);
}

/** The filters that are set, as pairs. */
export const filters = params => [...params].filter(([name]) => FILTERS.includes(name));

/** How long a step of an answer is, in seconds. */
export const STEP_S = { minute: 60, hour: 3600, day: 86_400 };
