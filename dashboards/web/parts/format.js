/**
 * Numbers and times for people. Nothing is added up here; the exact value is the API's.
 *
 * Amounts come as decimal strings and stay strings: Intl formats those exactly.
 */

const LOCALE = "en-US";
const MINUS = "\u2212";
const NONE = "\u2013";
const THIN = "\u202f";

const cached = new Map();
function numbers(options) {
  const key = JSON.stringify(options);
  if (!cached.has(key)) cached.set(key, new Intl.NumberFormat(LOCALE, options));
  return cached.get(key);
}
const whole = numbers({ maximumFractionDigits: 0 });

const missing = value => value === null || value === undefined || value === "";

/** Dollars: $1,234.57, $12.35, $0.0123, $0.000123. */
export function money(value) {
  if (missing(value)) return NONE;
  const size = Math.abs(Number(value));
  if (size === 0) return "$0";
  const digits =
    size >= 1 ? { minimumFractionDigits: 2, maximumFractionDigits: 2 }
    : size >= 0.1 ? { minimumFractionDigits: 2, maximumFractionDigits: 3 }
    : { maximumSignificantDigits: 3 };
  const text = numbers({ ...digits, signDisplay: "never" }).format(value);
  return `${Number(value) < 0 ? MINUS : ""}$${text}`;
}

/** Dollars on an axis: $1.2k, $40, $0.002. */
export function moneyShort(value) {
  const size = Math.abs(value);
  if (size === 0) return "$0";
  if (size >= 1000) return `$${compact(value)}`;
  return `$${numbers(size >= 10 ? { maximumFractionDigits: 1 } : { maximumSignificantDigits: 3 }).format(value)}`;
}

/** A count: 1,234; 12.3k; 4.56M. */
export function compact(value) {
  if (missing(value)) return NONE;
  const number = Number(value);
  const size = Math.abs(number);
  const sign = number < 0 ? MINUS : "";
  const [unit, letter] = size >= 1e9 ? [1e9, "B"] : size >= 1e6 ? [1e6, "M"] : size >= 1e4 ? [1e3, "k"] : [1, ""];
  const scaled = size / unit;
  const digits = letter ? { maximumSignificantDigits: 3 } : { maximumFractionDigits: size < 10 ? 2 : 0 };
  return sign + numbers(digits).format(scaled) + letter;
}

/** A count with all its digits. */
export const full = value => (missing(value) ? NONE : whole.format(value).replace("-", MINUS));

/** A duration: 0.4 ms, 843 ms, 1.24 s, 2 min 5 s. */
export function duration(ms) {
  if (missing(ms) || Number.isNaN(Number(ms))) return NONE;
  const value = Number(ms);
  if (value < 1) return `${numbers({ maximumSignificantDigits: 1 }).format(value)}${THIN}ms`;
  if (value < 999.5) return `${whole.format(value)}${THIN}ms`;
  if (value < 59_950) return `${numbers({ maximumSignificantDigits: 3 }).format(value / 1000)}${THIN}s`;
  const seconds = Math.round(value / 1000);
  const rest = seconds % 60 ? ` ${seconds % 60}${THIN}s` : "";
  return `${Math.floor(seconds / 60)}${THIN}min${rest}`;
}

/** A share of one as per cent. */
export function share(value) {
  if (missing(value)) return NONE;
  const percent = Number(value) * 100;
  const digits = Math.abs(percent) >= 100 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 3 };
  return numbers(digits).format(percent).replace("-", MINUS) + THIN + "%";
}

/** Tokens a second. */
export const rate = value => (missing(value) ? NONE : `${numbers({ maximumSignificantDigits: 3 }).format(value)}${THIN}tok/s`);

const DAY = { day: "numeric", month: "short" };
const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const dates = new Map();
function clock(options, utc) {
  const key = JSON.stringify(options) + utc;
  if (!dates.has(key)) dates.set(key, new Intl.DateTimeFormat("en-GB", utc ? { ...options, timeZone: "UTC" } : options));
  return dates.get(key);
}

/** The viewer's time zone, by name and as it stands to UTC: "Europe/Berlin (GMT+1)". */
export function zone(at = new Date()) {
  const name = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const part = new Intl.DateTimeFormat("en-GB", { timeZoneName: "shortOffset" }).formatToParts(at).find(one => one.type === "timeZoneName");
  return part && part.value !== name && name !== "UTC" ? `${name} (${part.value})` : name;
}

/** A day: "21 Nov", in UTC where days are counted in it. */
export const day = (unix, utc = false) => clock(DAY, utc).format(unix * 1000);
/** A time of day: "14:05". */
export const hour = (unix, utc = false) => clock(CLOCK, utc).format(unix * 1000);
/** A moment, to the second. */
export const moment = (unix, utc = false) =>
  missing(unix) ? NONE : clock({ ...DAY, year: "numeric", ...CLOCK, second: "2-digit" }, utc).format(unix * 1000);
/** A moment of these weeks: "21 Nov 14:05:09". */
export const lately = unix => `${day(unix)} ${clock({ ...CLOCK, second: "2-digit" }, false).format(unix * 1000)}`;
/** A name as a title: "Model". */
export const capital = name => name.charAt(0).toUpperCase() + name.slice(1);
/** The time that one step of a chart covers; whole days are UTC's. */
export function period(unix, seconds) {
  if (seconds >= 86_400) return `${clock({ weekday: "short", ...DAY, year: "numeric" }, true).format(unix * 1000)} (UTC)`;
  return `${day(unix)}, ${hour(unix)}\u2013${hour(unix + seconds)}`;
}

/** By the type of a panel's column. */
export const FORMATS = {
  text: value => (missing(value) ? NONE : String(value)),
  number: compact,
  usd: money,
  ms: duration,
  time: moment,
  share,
  per_s: rate,
};

/** The same on the axis of a chart. */
export const AXES = { number: compact, usd: moneyShort, ms: duration, share, per_s: value => compact(value) };

/** The exact value, as a tooltip; empty where it is what is shown. */
export function exact(type, value) {
  if (missing(value)) return "";
  if (type === "usd") return `$${value}`;
  if (type === "number") return full(value);
  if (type === "time") return new Date(value * 1000).toISOString();
  return type === "text" ? "" : String(value);
}
