/** The gateway's API. It must not know what is shown. */

/** A refusal, or no answer at all (status 0). */
export class ApiError extends Error {
  /** @param {number} status @param {string} message @param {string} [code] */
  constructor(status, message, code = "") {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** @returns {Promise<Response>} Raises ApiError for all but 2xx. */
async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", cache: "no-store", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The gateway does not answer.");
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

async function refusal(response) {
  let told = {};
  try {
    const body = await response.json();
    told = typeof body.error === "object" && body.error ? body.error : body;
  } catch {
    // Not of the gateway: the status must do.
  }
  const message = told.message || told.detail || `The gateway answered with status ${response.status}.`;
  return new ApiError(response.status, String(message), String(told.code || ""));
}

const at = (path, query) => (query && [...query].length ? `${path}?${query}` : path);

/** GET as JSON. */
export async function getJson(path, query, signal) {
  return (await ask(at(path, query), { signal })).json();
}

/** The address of a panel, of the same as CSV with `format`. */
export const panelPath = name => `/v1/usage/panels/${encodeURIComponent(name)}`;
/** A panel's columns and rows. */
export const panel = (name, query, signal) => getJson(panelPath(name), query, signal);
/** Where the CSV of an answer is. */
export function csvAddress(path, query) {
  const asked = new URLSearchParams(query);
  asked.set("format", "csv");
  return `${path}?${asked}`;
}

/** Who is logged in. Raises ApiError with 401 when nobody is. */
export const me = () => getJson("/dashboard/me");

/** Log in with a key. */
export async function login(key) {
  const headers = { "content-type": "application/json" };
  await ask("/dashboard/login", { method: "POST", headers, body: JSON.stringify({ key }) });
}

/** Log out. */
export async function logout() {
  await ask("/dashboard/logout", { method: "POST" });
}
