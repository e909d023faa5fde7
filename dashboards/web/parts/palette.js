/**
 * Colours that colour-blind eyes tell apart (after Okabe and Ito), each with a pattern or a dash of its own, so that
 * colour is never all there is.
 *
 * @typedef {{colour: string, pattern: string, dash: number[]}} Ink
 */
import { isDark } from "../shell/theme.js";

const LIGHT = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#5d4e9c", "#7a6a00"];
const DARK = ["#3f97d3", "#e6a930", "#22ad85", "#d58fb8", "#8ccbf0", "#e8763a", "#9c8fd8", "#c4b454"];
const OTHER = { light: "#9aa0a8", dark: "#767d87" };
const PATTERNS = ["solid", "rising", "solid", "dots", "falling", "solid", "dots", "rising"];
const DASHES = [[], [7, 4], [2, 3], [10, 3, 2, 3], [5, 2], [1, 4], [12, 4], [3, 6]];
/** So the API calls what is beyond the first names. */
export const REST = "(other)";
export const MOST = LIGHT.length - 1;

/** How the series at a place is drawn. @returns {Ink} */
export function ink(place, name = "") {
  const dark = isDark();
  if (name === REST) return { colour: dark ? OTHER.dark : OTHER.light, pattern: "solid", dash: [2, 2] };
  const at = place % LIGHT.length;
  return { colour: (dark ? DARK : LIGHT)[at], pattern: PATTERNS[at], dash: DASHES[at] };
}

const TILE = 8;
/** What fills an area: the colour, with its pattern over it. */
export function paint(context, { colour, pattern }) {
  if (pattern === "solid") return colour;
  const tile = document.createElement("canvas");
  tile.width = tile.height = TILE;
  const on = tile.getContext("2d");
  on.fillStyle = colour;
  on.fillRect(0, 0, TILE, TILE);
  on.strokeStyle = on.fillStyle = isDark() ? "rgb(0 0 0 / 32%)" : "rgb(255 255 255 / 38%)";
  on.lineWidth = 1.6;
  if (pattern === "dots") {
    for (const [x, y] of [[2, 2], [6, 6]]) {
      on.beginPath();
      on.arc(x, y, 1.2, 0, 7);
      on.fill();
    }
  } else {
    const [from, to] = pattern === "rising" ? [TILE, 0] : [0, TILE];
    on.beginPath();
    for (const shift of [-TILE, 0, TILE]) {
      on.moveTo(shift, from);
      on.lineTo(shift + TILE, to);
    }
    on.stroke();
  }
  return context.createPattern(tile, "repeat");
}

/** A small sample for legends. @param {Ink} look @param {boolean} line */
export function sample(look, line) {
  const [wide, high, scale] = [line ? 22 : 12, 12, 2];
  const canvas = document.createElement("canvas");
  canvas.width = wide * scale;
  canvas.height = high * scale;
  canvas.className = line ? "sample sample-line" : "sample";
  canvas.setAttribute("aria-hidden", "true");
  const on = canvas.getContext("2d");
  on.scale(scale, scale);
  if (line) {
    on.strokeStyle = look.colour;
    on.lineWidth = 2;
    on.setLineDash(look.dash);
    on.beginPath();
    on.moveTo(0, high / 2);
    on.lineTo(wide, high / 2);
    on.stroke();
  } else {
    on.fillStyle = paint(on, look);
    on.fillRect(0, 0, wide, high);
  }
  return canvas;
}
