/**
 * Build elements. Text only ever becomes text: nothing here takes markup.
 *
 * @typedef {Node | string | number | null | undefined | false} Child
 */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an element.
 *
 * Of its attributes, `on...` are listeners, `css` sets properties through the CSSOM (which the content security
 * policy allows, unlike `style`), null and false are left out, true is the empty string.
 *
 * @param {string} tag
 * @param {Record<string, any>} [attributes]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElement}
 */
export function h(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same, for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "css") for (const [key, one] of Object.entries(value)) element.style.setProperty(key, one);
    else if (name === "style") throw new TypeError("styles are set with css");
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter(child => child || child === 0 || child === "").map(one => one.nodeType ? one : String(one)));
  return element;
}

/**
 * Replace what is in an element.
 *
 * @param {Element} element
 * @param {...(Child | Child[])} children
 */
export function fill(element, ...children) {
  element.replaceChildren();
  return filled(element, {}, children);
}

let made = 0;
/** An id that no other element has. */
export const newId = stem => `${stem}-${++made}`;
