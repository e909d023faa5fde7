/** When a page was loaded, and loading it again by itself. */
import { h } from "../parts/dom.js";
import { hour } from "../parts/format.js";

const EVERY_S = 30;

/** One for the whole page; it is told each time which cards are shown. */
export class Clock {
  everyS = EVERY_S;
  auto = false;
  told = h("span", { class: "updated", "aria-live": "off" });
  #cards = () => [];
  #timer = 0;

  /** @param {() => (() => Promise<void>)[]} cards what there is to refresh */
  show(cards) {
    this.#cards = cards;
    this.#say();
  }

  /** Load all again, in place. */
  async refresh() {
    await Promise.all(this.#cards().map(card => card()));
    this.#say();
  }

  /** @param {boolean} on */
  turn(on) {
    this.auto = on;
    window.clearInterval(this.#timer);
    if (on) this.#timer = window.setInterval(() => document.hidden || this.refresh(), EVERY_S * 1000);
  }

  #say() {
    this.told.textContent = `as of ${hour(Date.now() / 1000)}`;
  }
}
